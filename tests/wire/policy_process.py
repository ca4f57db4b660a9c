"""The policy daemon as a process of its own, and a client that asks as Postfix does."""

import getpass
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import yaml

from pointsman.control import Control, ControlError
from pointsman.routing.snapshot import Agency, Lane, Link, Snapshot, Surroundings, dump

PATIENCE = 20.0  # seconds: a busy machine is no failure
SNAPSHOT = Snapshot(
    revision=7,
    tokens=("0" * 31 + "a",),
    agencies={
        "default": Agency("default", any_client=True),
        "court": Agency("court", any_client=True, rate="5/hour", over_limit="reject"),
        "patient": Agency("patient", any_client=True, rate="5/hour"),
        "free": Agency("free", any_client=True),
    },
    lanes={"a": Lane("a", "[h1.test]:587")},
    links={"@a.test": Link("court", "a"), "@free.test": Link("free", "a")},
    around=Surroundings(myorigin="mx.test", hosted=frozenset({"town.test"})),
)


def until(condition, what):
    """Wait for something that says nothing when it happens."""
    pause = threading.Event()
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline, f"waited in vain for {what}"
        pause.wait(0.01)


def request(queue_id, agency="court", /, **more):
    """One question as the milter asks it."""
    attributes = {
        "request": "smtpd_access_policy",
        "protocol_state": "END-OF-MESSAGE",
        "queue_id": queue_id,
        "instance": f"i.{queue_id}",
        "agency": agency,
        "connector": "a",
        **more,
    }
    return ("".join(f"{k}={v}\n" for k, v in attributes.items()) + "\n").encode()


class Peer:
    """One connection to the daemon."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self._data = b""
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

    def answer(self):
        """One answer, without `action=`."""
        while b"\n\n" not in self._data:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("the daemon hung up")
            self._data += more
        answer, _, self._data = self._data.partition(b"\n\n")
        assert answer.startswith(b"action=")
        return answer.removeprefix(b"action=").decode()

    def ask(self, *args, **more):
        """One question and its answer."""
        self.send(request(*args, **more))
        return self.answer()

    def hung_up(self):
        """Whether the daemon closes the connection, and says nothing more."""
        try:
            return self.socket.recv(4096) == b""
        except ConnectionError:
            return True


@dataclass
class Daemon:
    """A configuration without Postfix, and the policy daemon that runs on it."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None
    open: ExitStack = field(default_factory=ExitStack)

    @property
    def socket(self):
        return self.folder / "policy.sock"

    @property
    def journal(self):
        return self.folder / "policy.journal"

    def configure(self, **policy):
        """Write the configuration; the daemon stays the account that runs the test."""
        values = {
            "database": f"sqlite:///{self.folder}/none.db",
            "state_directory": str(self.folder),
            "user": getpass.getuser(),
            "log": str(self.folder / "log"),
            "policy": {"socket": f"unix:{self.socket}", **policy},
        }
        (self.folder / "pointsman.yaml").write_text(yaml.safe_dump(values))
        return self

    def apply(self, snapshot=SNAPSHOT):
        """Replace the snapshot by rename, as apply does."""
        new = self.folder / "new"
        new.write_text(dump(snapshot))
        new.replace(self.folder / "snapshot.json")
        return self

    def log(self):
        """The lines that were logged, without those about the database that is not there."""
        path = self.folder / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.partition("]: ")[2] for line in lines if "not written down" not in line]

    def logged(self, words):
        """The lines with these words, once there is one."""
        until(lambda: any(words in line for line in self.log()), f"{words!r} in the log")
        return [line for line in self.log() if words in line]

    def run(self):
        """Start the daemon."""
        command = [sys.executable, "-m", "pointsman.cli.main"]
        command += ["--config", str(self.folder / "pointsman.yaml"), "run", "policy"]
        with (self.folder / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr, stdout=stderr)
        return self

    def start(self):
        """Start the daemon and wait until it takes connections."""
        self.run()
        until(self.answers, "the daemon to answer")
        return self

    def answers(self):
        """Whether it takes a connection; a daemon that has ended never will."""
        assert self.process.poll() is None, self.stderr()
        with suppress(OSError, ControlError), closing(Peer(self.socket)):
            return "revision" in self.control("state", counters=[])
        return False

    def connect(self):
        """A new connection, closed when the test ends."""
        return self.open.enter_context(closing(Peer(self.socket)))

    def ask(self, *args, **more):
        """One question over a connection of its own."""
        with closing(Peer(self.socket)) as peer:
            return peer.ask(*args, **more)

    def control(self, do, **question):
        """Ask as the agent does."""
        with Control(self.folder / "control.sock") as control:
            return control.ask(do, **question)

    def used(self, counter="agency court"):
        """How much of a counter's first window is used."""
        return self.control("state", counters=[counter])["use"][counter][0]["used"]

    def memory(self):
        """Resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def stderr(self):
        """What the process said outside its log."""
        return (self.folder / "stderr").read_text()

    def ended(self):
        """Wait for the end, and return the status."""
        return self.process.wait(PATIENCE)

    def kill(self):
        """Kill -9."""
        self.process.kill()
        self.process.wait()
        return self

    def stop(self):
        """Take the process away, however it is."""
        self.open.close()
        if self.process is not None and self.process.poll() is None:
            self.kill()
