"""The milter as a process of its own, spoken to as Postfix speaks, and as nobody should."""

import getpass
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from time import monotonic

import pytest
import yaml

from pointsman.routing.snapshot import Agency, Lane, Link, Snapshot, Surroundings, dump

PATIENCE = 20.0  # seconds: a busy machine is no failure
TOKEN = "0" * 31 + "a"
SNAPSHOT = Snapshot(
    revision=7,
    tokens=(TOKEN,),
    agencies={
        "default": Agency("default", any_client=True),
        "court": Agency("court", frozenset({"court-app"}), (ip_network("192.0.2.0/24"),)),
    },
    lanes={"a": Lane("a", "[h1.test]:587")},
    links={"clerk@a.test": Link("court", "a"), "@a.test": Link("court", "a")},
    around=Surroundings(myorigin="mx.test", hosted=frozenset({"mx.test", "town.test"})),
)


def until(condition, what):
    """Wait for something that says nothing when it happens."""
    pause = threading.Event()
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline, f"waited in vain for {what}"
        pause.wait(0.01)


# A milter client in a few lines: sendmail's milter protocol, version 6.

NO_CONNECT, NO_MAIL, NO_RCPT, NO_BODY, NO_HEADERS, NO_EOH = 1, 4, 8, 0x10, 0x20, 0x40
SILENT = {b"L": 0x80, b"C": 0x1000, b"H": 0x2000, b"M": 0x4000, b"R": 0x8000, b"N": 0x40000}


def packet(command, data=b""):
    """Length, command, data."""
    return struct.pack("!I", len(data) + 1) + command + data


def strings(*values):
    """Each ended by a NUL."""
    return b"".join(value.encode("utf-8", "surrogateescape") + b"\0" for value in values)


NEGOTIATE = packet(b"O", struct.pack("!III", 6, 0x1FF, 0x1FFFFF))


class Postfix:
    """One connection to the milter."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.steps = 0
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise

    def close(self):
        self.socket.close()

    def send(self, data):
        """Write bytes, whatever they are."""
        self.socket.sendall(data)

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError("the milter hung up")
            data += more
        return data

    def answer(self):
        """One packet: command and data."""
        (size,) = struct.unpack("!I", self._exactly(4))
        data = self._exactly(size)
        return data[:1], data[1:]

    def negotiate(self):
        """Offer everything, and remember which steps the milter wants."""
        self.send(NEGOTIATE)
        command, data = self.answer()
        assert command == b"O"
        _, self.actions, self.steps = struct.unpack("!III", data[:12])
        return self

    def step(self, command, data, unwanted=0):
        """One event, with its answer where the milter gives one."""
        if self.steps & unwanted:
            return
        self.send(packet(command, data))
        if not self.steps & SILENT[command]:
            assert self.answer()[0] == b"c"

    def macros(self, command, **values):
        """What Postfix tells before an event."""
        pairs = [
            part
            for name, value in values.items()
            for part in (name if len(name) == 1 else f"{{{name}}}", value)
        ]
        self.send(packet(b"D", command + strings(*pairs)))

    def connect(self, address="203.0.113.1"):
        """A client on the other side of Postfix."""
        data = strings("client.test") + b"4" + struct.pack("!H", 2525) + strings(address)
        self.step(b"C", data, NO_CONNECT)
        return self

    def start(self, sender, *recipients, login="", mailer="smtp", headers=()):
        """A message but for its end."""
        known = {"auth_authen": login} if login else {}
        self.macros(b"M", mail_addr=sender, **known)
        self.step(b"M", strings(f"<{sender}>"), NO_MAIL)
        for recipient in recipients:
            host = recipient.rpartition("@")[2]
            self.macros(b"R", rcpt_mailer=mailer, rcpt_host=host, rcpt_addr=recipient)
            self.step(b"R", strings(f"<{recipient}>"), NO_RCPT)
        for name, value in headers:
            self.step(b"L", strings(name, value), NO_HEADERS)
        self.step(b"N", b"", NO_EOH)

    def end(self, queue_id="4Q1234"):
        """The end of a message: changes asked for, and the final answer."""
        self.macros(b"E", i=queue_id)
        self.send(packet(b"E"))
        changes = []
        while True:
            command, data = self.answer()
            if command in b"artcy":
                return changes, (command + data).rstrip(b"\0").decode()
            changes.append((command + data).rstrip(b"\0").decode())

    def message(self, *args, **kwargs):
        """A whole message."""
        self.start(*args, **kwargs)
        return self.end()


@dataclass
class Milter:
    """A configuration without Postfix, and the milter that runs on it."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    open: ExitStack = field(default_factory=ExitStack)

    @property
    def socket(self):
        return self.folder / "milter.sock"

    @property
    def snapshot(self):
        return self.folder / "snapshot.json"

    def configure(self, **changes):
        """Write the configuration; the milter stays the account that runs the test."""
        values = {
            "database": f"sqlite:///{self.folder}/none.db",
            "state_directory": str(self.folder),
            "user": getpass.getuser(),
            "log": str(self.folder / "log"),
            "milter": {"socket": f"unix:{self.socket}"},
        }
        (self.folder / "pointsman.yaml").write_text(yaml.safe_dump({**values, **changes}))

    def apply(self, snapshot):
        """Replace the snapshot by rename, as apply does."""
        new = self.folder / "new"
        new.write_text(snapshot if isinstance(snapshot, str) else dump(snapshot))
        new.replace(self.snapshot)

    def log(self):
        """What the milter has logged."""
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def wait_for_log(self, words):
        """Until a line with these words is there; returns it."""
        until(lambda: words in self.log(), f"{words!r} in the log")
        return next(line for line in self.log().splitlines() if words in line)

    def run(self, *interpreter):
        """Start the milter."""
        command = [sys.executable, *interpreter, "-m", "pointsman.cli.main"]
        command += ["--config", str(self.folder / "pointsman.yaml"), "run", "milter"]
        with (self.folder / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr, stdout=stderr)
        return self

    def start(self, *interpreter):
        """Start the milter and wait until it answers."""
        self.run(*interpreter)
        until(self.answers, "the milter to answer")
        return self

    def answers(self):
        """Whether it negotiates; a milter that has ended never will."""
        assert self.process.poll() is None, self.stderr()
        with suppress(OSError), closing(Postfix(self.socket)) as postfix:
            return bool(postfix.negotiate().steps)
        return False

    def connect(self, address="203.0.113.1"):
        """A new connection from Postfix, closed when the test ends."""
        return self.open.enter_context(closing(Postfix(self.socket).negotiate())).connect(address)

    def stderr(self):
        """What the process said outside its log."""
        return (self.folder / "stderr").read_text()

    def ended(self):
        """Wait for the end, and return the status."""
        return self.process.wait(PATIENCE)

    def stop(self):
        """Take the process away, however it is."""
        self.open.close()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def milter(tmp_path):
    """A configuration with an applied snapshot; not started yet."""
    milter = Milter(tmp_path)
    milter.configure()
    milter.apply(SNAPSHOT)
    yield milter
    milter.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One milter for all tests that must not bring it down."""
    milter = Milter(tmp_path_factory.mktemp("milter"))
    milter.configure()
    milter.apply(SNAPSHOT)
    milter.start()
    yield milter
    milter.stop()


CLERK = (("From", "Clerk <clerk@a.test>"),)


# What it answers.


def test_message_is_carried(running):
    """Over the wire, with the carrier in angle brackets and the message accepted."""
    changes, answer = running.connect().message(
        "v+1@v.test", "x@ext.test", login="court-app", headers=CLERK
    )
    assert changes == ["e<v+1=v.test@court.a.pm.invalid>"]
    assert answer == "a"
    line = running.wait_for_log("from=<v+1@v.test>")
    assert ", way=carrier, rate=go-unasked, " in line
    assert line.endswith(", revision=7")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"sender": "clerk@a.test", "login": "court-app", "mailer": "pm-a", "headers": CLERK},
            ([], "a"),
        ),
        ({"sender": "", "login": "court-app", "headers": CLERK}, None),
        ({"sender": "x@vendor.test"}, ([], "a")),
        (
            {"sender": "clerk@a.test", "mailer": "pm-a"},
            ([], "y550 5.7.1 <clerk@a.test>: client 203.0.113.1 may not send for it"),
        ),
        (
            {"sender": "v=v.test@court.a.pm.invalid"},
            ([], "y550 5.7.1 <v=v.test@court.a.pm.invalid>: sender domain is reserved"),
        ),
        (
            {"sender": "100%s@a.test", "mailer": "pm-a"},
            ([], "y550 5.7.1 <100%%s@a.test>: client 203.0.113.1 may not send for it"),
        ),
        (
            {"sender": "x@vendor.test", "headers": [("X-Pointsman-Lane", f"{TOKEN} a")]},
            ([], "y550 5.7.1 X-Pointsman-Lane is not for you to write"),
        ),
    ],
)
def test_answer(running, message, expected):
    """Accepted as it is, marked, or refused with the very words."""
    message = dict(message)
    changes, answer = running.connect().message(message.pop("sender"), "x@ext.test", **message)
    if expected is None:
        assert answer == "a"
        assert [change[:1] for change in changes] == ["h"]
        assert changes[0][1:].split("\0")[0] == "X-Pointsman-Lane"
        assert changes[0].split("\0")[1].strip() == f"{TOKEN} a"
    else:
        assert (changes, answer) == expected


def test_messages_of_one_connection_are_told_apart(running):
    """Nothing of one reaches the next, RSET or not."""
    postfix = running.connect()
    postfix.start("clerk@a.test", "x@ext.test", login="court-app", mailer="pm-a", headers=CLERK)
    postfix.send(packet(b"A"))
    assert postfix.message("x@vendor.test", "x@ext.test") == ([], "a")
    assert postfix.message("clerk@a.test", "x@ext.test", mailer="pm-a")[1].startswith("y550 5.7.1")


def test_client_in_a_network_of_the_agency_may_send(running):
    """Its address arrives with the connection."""
    postfix = running.connect("192.0.2.9")
    assert postfix.message("clerk@a.test", "x@ext.test", mailer="pm-a") == ([], "a")


def test_8_bit_text_is_read_and_logged(running):
    """SMTPUTF8 addresses as text, other bytes as nothing that hurts."""
    postfix = running.connect("192.0.2.9")
    changes, answer = postfix.message(
        "z\u00fcrich@v.test", "x@ext.test", headers=[("From", "J\udcfcrgen <clerk@a.test>")]
    )
    assert (changes, answer) == (["e<z\u00fcrich=v.test@court.a.pm.invalid>"], "a")


def test_many_connections_at_once_are_served(running):
    """Fifty open sessions, each with its own message."""
    sessions = [running.connect() for _ in range(50)]
    for number, postfix in enumerate(sessions):
        postfix.start(f"v{number}@v.test", "x@ext.test", login="court-app", headers=CLERK)
    for number, postfix in enumerate(sessions):
        assert postfix.end() == ([f"e<v{number}=v.test@court.a.pm.invalid>"], "a")


def test_from_field_that_was_cut_is_refused(running):
    """A field of 100 kB reaches the milter as its first 59,993 characters."""
    header = [("From", ("x" * 100_000 + " <clerk@a.test>")[:59_993])]
    _, answer = running.connect().message("v@v.test", "x@ext.test", headers=header)
    assert answer.startswith("y550 5.7.1 The From field can't be read: longer than 59,000")


def test_header_beyond_what_libmilter_takes_brings_nothing_down(running):
    """Libmilter ends such a connection, for which Postfix has its default_action."""
    with suppress(ConnectionError):
        header = [("To", "x" * 100_000)]
        running.connect().message("v@v.test", "x@ext.test", headers=header)
    assert running.process.poll() is None
    assert running.connect().message("x@vendor.test", "x@ext.test") == ([], "a")


# What nobody should say to it.

GARBAGE = {
    "nothing": b"",
    "length 0": struct.pack("!I", 0),
    "length 0 twice": struct.pack("!II", 0, 0) + NEGOTIATE,
    "length 2^31": struct.pack("!I", 1 << 31) + b"O",
    "length 2^32-1": struct.pack("!I", (1 << 32) - 1) + b"O" * 100,
    "half a length": b"\0\0",
    "half a packet": NEGOTIATE[:9],
    "unknown command": packet(b"z"),
    "unknown command with data": packet(b"\xff", b"\xff" * 1000),
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "SMTP": b"EHLO x\r\n",
    "zeros": b"\0" * 10_000,
    "short negotiation": packet(b"O", b"\0\0"),
    "negotiation of version 0": packet(b"O", struct.pack("!III", 0, 0, 0)),
    "negotiation of version 99": packet(b"O", struct.pack("!III", 99, 0, 0)),
    "message before negotiation": packet(b"M", strings("<x@a.test>")),
    "end before negotiation": packet(b"E"),
    "negotiation twice": NEGOTIATE * 2,
    "unknown command later": NEGOTIATE + packet(b"z"),
    "half a packet later": NEGOTIATE + packet(b"M", b"<x@a.test>\0")[:7],
    "length 2^31 later": NEGOTIATE + struct.pack("!I", 1 << 31) + b"M",
    "sender without its NUL": NEGOTIATE + packet(b"M", b"<x@a.test>"),
    "empty sender": NEGOTIATE + packet(b"M", b""),
    "recipient without a sender": NEGOTIATE + packet(b"R", strings("<x@a.test>")),
    "header without a value": NEGOTIATE + packet(b"L", b"From"),
    "end without a message": NEGOTIATE + packet(b"E"),
    "macros without values": NEGOTIATE + packet(b"D", b"M" + b"{auth_authen}"),
    "macros of nothing": NEGOTIATE + packet(b"D", b""),
    "connection of an unknown family": NEGOTIATE + packet(b"C", strings("x") + b"Z"),
    "connection cut short": NEGOTIATE + packet(b"C", strings("x") + b"4\0"),
    "quit": NEGOTIATE + packet(b"Q"),
    "quit first": packet(b"Q"),
}


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("goodbye", ["at once", "after its answer"])
def test_garbage_does_not_bring_it_down(running, garbage, goodbye):
    """The process lives, and answers the next negotiation and the next message."""
    with closing(Postfix(running.socket)) as stranger, suppress(OSError):
        stranger.send(GARBAGE[garbage])
        if goodbye == "after its answer":
            stranger.socket.shutdown(socket.SHUT_WR)
            while stranger.socket.recv(4096):
                pass
    assert running.process.poll() is None
    assert running.connect().message("x@vendor.test", "x@ext.test") == ([], "a")


def test_stranger_who_says_nothing_keeps_nobody_waiting(running):
    """An open connection costs the others nothing."""
    with closing(Postfix(running.socket)), closing(Postfix(running.socket)) as half:
        half.send(NEGOTIATE[:5])
        assert running.connect().message("x@vendor.test", "x@ext.test") == ([], "a")


# The snapshot.


def test_new_snapshot_counts_for_open_sessions(milter):
    """The next message is decided by the new revision."""
    milter.start()
    postfix = milter.connect()
    assert postfix.message("x@vendor.test", "x@ext.test") == ([], "a")
    milter.apply(Snapshot(**{**vars(SNAPSHOT), "revision": 8, "default": "none"}))
    milter.wait_for_log("snapshot revision=8, links=2")
    assert postfix.message("x@vendor.test", "x@ext.test", mailer="pm-none")[1].startswith(
        "y550 5.7.1 <x@vendor.test> has no connector"
    )


DAMAGED = {
    "empty": "",
    "cut": dump(SNAPSHOT)[:-200],
    "zeros": "\0" * 1000,
    "list": "[]",
    "null": "null",
    "nothing in it": '{"format": 2}',
    "older format": '{"format": 1}',
    "newer format": '{"format": 3}',
    "links as a list": dump(SNAPSHOT).replace('"links": {', '"links": [], "x": {'),
    "lane with another field": dump(SNAPSHOT).replace('"nexthop"', '"newer"'),
}


@pytest.mark.parametrize("damaged", DAMAGED)
def test_damaged_snapshot_is_not_taken(milter, damaged):
    """The last good one serves, the log says so, and a good one later is taken again."""
    milter.start()
    milter.apply(DAMAGED[damaged])
    milter.wait_for_log("can't be read, the last good one serves")
    refused = milter.connect().message("clerk@a.test", "x@ext.test", mailer="pm-a")
    assert refused[1].startswith("y550 5.7.1 <clerk@a.test>: client 203.0.113.1")
    milter.apply(Snapshot(**{**vars(SNAPSHOT), "revision": 9}))
    milter.wait_for_log("snapshot revision=9")


def test_snapshot_that_disappears_does_no_harm(milter):
    """What was read serves on."""
    milter.start()
    milter.snapshot.unlink()
    sent = milter.connect("192.0.2.9").message("clerk@a.test", "x@ext.test", mailer="pm-a")
    assert sent == ([], "a")


@pytest.mark.parametrize("content", [None, "", "{", '{"format": 3}'])
def test_without_a_snapshot_it_starts_and_defers(milter, content):
    """Nothing leaves unseen; once something is applied, mail flows."""
    milter.snapshot.unlink()
    if content is not None:
        milter.apply(content)
    milter.start()
    postfix = milter.connect()
    deferred = ([], "y451 4.3.0 not configured yet, try again later")
    assert postfix.message("x@vendor.test", "x@ext.test") == deferred
    milter.apply(SNAPSHOT)
    milter.wait_for_log("snapshot revision=7")
    assert postfix.message("x@vendor.test", "x@ext.test") == ([], "a")


# The process.


def test_no_database_library_is_in_its_process(milter):
    """Neither imported nor mapped, not even after messages of every kind."""
    milter.start("-X", "importtime")
    postfix = milter.connect()
    postfix.message("v@v.test", "x@ext.test", login="court-app", headers=CLERK)
    postfix.message("", "x@ext.test", login="court-app", headers=CLERK)
    postfix.message("clerk@a.test", "x@ext.test")
    modules = {
        line.rpartition("|")[2].strip()
        for line in milter.stderr().splitlines()
        if line.startswith("import time:")
    }
    assert "pointsman.routing.decide" in modules
    unwanted = ("sqlalchemy", "sqlite3", "_sqlite3", "alembic", "cryptography", "ctypes")
    assert not [name for name in modules if name.split(".")[0] in unwanted]
    maps = Path(f"/proc/{milter.process.pid}/maps").read_text()
    assert "libmilter" in maps or "milter.cpython" in maps
    for library in ("sqlalchemy", "_sqlite3", "libsqlite", "_ctypes"):
        assert library not in maps


def test_regular_file_in_place_of_the_socket_is_left_alone(milter):
    """One sentence, status 1, and the file as it was."""
    milter.socket.write_text("precious")
    assert milter.run().ended() == 1
    assert milter.stderr() == f"Error: {milter.socket} is there and is no socket: move it away\n"
    assert milter.socket.read_text() == "precious"


def test_folder_in_place_of_the_socket_is_left_alone(milter):
    """The same for whatever else is no socket."""
    milter.socket.mkdir()
    assert milter.run().ended() == 1
    assert milter.stderr() == f"Error: {milter.socket} is there and is no socket: move it away\n"


def test_missing_folder_of_the_socket_is_a_sentence(milter):
    """Setup makes it."""
    milter.configure(milter={"socket": f"unix:{milter.folder}/gone/milter.sock"})
    assert milter.run().ended() == 1
    assert milter.stderr() == (
        f"Error: there is no folder {milter.folder}/gone: run `pointsman setup`\n"
    )


def test_path_too_long_for_a_socket_is_a_sentence(milter):
    """The system allows 107 bytes."""
    milter.configure(milter={"socket": f"unix:{milter.folder}/{'x' * 120}"})
    assert milter.run().ended() == 1
    lines = milter.stderr().splitlines()
    assert len(lines) == 1, milter.stderr()
    assert lines[0].startswith("Error: ")


def test_second_milter_does_not_take_the_socket_away(milter):
    """One sentence, status 1, and the first serves on."""
    milter.start()
    first = milter.process
    assert milter.run().ended() == 1
    assert milter.stderr() == f"Error: a milter is already serving {milter.socket}\n"
    milter.process = first
    assert milter.connect().message("x@vendor.test", "x@ext.test") == ([], "a")


def test_socket_that_a_killed_milter_left_is_taken_over(milter):
    """Kill -9, and start again."""
    milter.start()
    milter.process.kill()
    milter.ended()
    assert stat.S_ISSOCK(milter.socket.stat().st_mode)
    milter.start()
    assert milter.connect().message("x@vendor.test", "x@ext.test") == ([], "a")


def test_socket_is_for_its_group_alone(running):
    """Postfix's daemons reach it through the group of its folder."""
    assert running.socket.stat().st_mode & 0o777 == 0o770


@pytest.mark.parametrize("busy", [False, True])
def test_sigterm_ends_it_well(milter, busy):
    """Status 0 and no traceback, with or without an open session."""
    milter.start()
    if busy:
        milter.connect().message("x@vendor.test", "x@ext.test")
    milter.process.send_signal(signal.SIGTERM)
    assert milter.ended() == 0
    assert milter.stderr() == ""


def test_account_that_is_not_there_is_a_sentence(milter):
    """As root it would otherwise serve with all of root's rights."""
    if os.geteuid() != 0:
        return
    milter.configure(user="no-such-account")
    assert milter.run().ended() == 1
    assert milter.stderr() == "Error: there is no account no-such-account: run `pointsman setup`\n"
