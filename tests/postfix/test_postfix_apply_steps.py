"""An apply comes to grief at each of its steps: mail goes by the old way or the new one, whole.

Whatever a step is, interrupted_apply.py finds it: nobody has to keep a list.
"""

import itertools
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.city import PASSWORDS, built
from pointsman.postfix import apply
from pointsman.postfix.files import WITHOUT
from tests.postfix.interrupted_apply import FILLER

SENDERS = {"table": "clerk@a.test", "carrier": "v@vendor.test", "marker": "<>"}
SCRIPT = Path(__file__).with_name("interrupted_apply.py")
# Delivered, put off or put on hold: what a message comes to within a moment.
SETTLED = r"status=(sent|deferred)|milter-header-hold"
KILLED, DONE, FAILED, NO_SUCH_STEP = -signal.SIGKILL, 0, 1, 3
FEWEST = 8  # steps that there are at least: else the test looks at nothing


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    """Ten applies a minute would wait for each other's reloads."""
    monkeypatch.setattr(apply, "RELOAD_INTERVAL", 0.0)


@contextmanager
def two_providers(daemons=("policy", "milter")):
    """Two servers, each with a login of its own; no agent, so that nobody else applies."""
    with built(daemons=()) as city:
        for login in ("court", "police"):
            city.add_hop(f"of-{login}", tls="starttls", logins=[login])
        for name in daemons:
            city.postfix.start_daemon(name)
        city.postfix.cli("agency", "add", "a", "--any-client", "--rate", "unlimited")
        yield city


def folders(city):
    """What an apply writes to."""
    return [city.postfix.config_directory, city.postfix.state_directory]


@contextmanager
def on_small_disks(city):
    """File systems of 1 MB each, which can be filled up."""
    for folder in folders(city):
        copy = folder.with_name(f"{folder.name}.copy")
        subprocess.run(["cp", "-a", folder, copy], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
        subprocess.run(["cp", "-aT", copy, folder], check=True)
    try:
        yield
    finally:
        for folder in folders(city):
            subprocess.run(["umount", "--lazy", folder], check=True)


def make_room(city):
    """Take away what fills them."""
    for folder in folders(city):
        (folder / FILLER).unlink(missing_ok=True)


class Moves:
    """Host, login and password of a live connector change, from one server to the other."""

    def __init__(self, city):
        self.city, self.login = city, "court"
        run = city.postfix.cli
        run("connector", "add", "a", *city.connector_options("of-court", "court"))
        run("connector", "enable", "a")
        run("connector", "default", "a")  # so that main.cf changes as well
        run("sender", "link", "@a.test", "--agency", "a", "--connector", "a")
        run("apply")
        city.settle()

    @property
    def server(self):
        """Where mail goes when all is applied."""
        return f"of-{self.login}"

    def turn(self):
        """Make the change; whether queued mail follows."""
        self.login = "police" if self.login == "court" else "court"
        options = self.city.connector_options(self.server, self.login)
        self.city.postfix.cli("connector", "set", "a", *options, "--untested")

    def again(self):
        """Be ready for the next turn: it leads back."""


class ComesAndGoes:
    """A connector is added with its link and its login; or it is removed with them."""

    def __init__(self, city, way):
        self.city, self.server = city, "default"
        if way == "goes":
            self.again()

    def turn(self):
        """Make the change."""
        run = self.city.postfix.cli
        if self.server == "default":
            run("connector", "add", "a", *self.city.connector_options("of-court", "court"))
            run("connector", "enable", "a")
            run("sender", "link", "@a.test", "--agency", "a", "--connector", "a")
            self.server = "of-court"
        else:
            run("sender", "unlink", "@a.test")
            run("connector", "disable", "a")
            run("connector", "remove", "a", "--despite-queue")
            self.server = "default"

    def again(self):
        """Undo the turn; what waits for a connector that is gone would wait for days."""
        self.turn()
        self.city.postfix.cli("apply")
        self.city.settle()
        self.city.postfix.postfix("postsuper", "-d", "ALL")


def interrupt(city, grief, number):
    """Apply in a process of its own; how it ended, and at what."""
    command = [sys.executable, str(SCRIPT), str(city.postfix.config_file), grief, str(number)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def send_three(city, prefix):
    """One message by each way, all taken; waits until each has left, or been put off."""
    for way, sender in SENDERS.items():
        reply = city.send(sender, "clerk@a.test", f"{prefix} {way}")
        assert reply.code == 250, (prefix, reply)
        city.postfix.wait_for_log(rf"{reply.queue_id}: .*({SETTLED})")


def servers(city, prefix):
    """Which servers got which of the three messages."""
    found = [(r.subject, r.server) for hop in city.hops.values() for r in hop.received]
    return {subject: server for subject, server in found if subject.startswith(f"{prefix} ")}


def assert_whole(city, prefix, allowed):
    """Each message once at most, at an allowed server; no server saw another one's login."""
    subjects = [r.subject for hop in city.hops.values() for r in hop.received]
    assert len(subjects) == len(set(subjects)), "twice"
    assert set(servers(city, prefix).values()) <= allowed, prefix
    for login in ("court", "police"):
        hop = city.hops[f"of-{login}"]
        assert set(hop.attempts) <= {(login, PASSWORDS[login])}, (prefix, hop.name)
        assert all(r.tls and r.login == login for r in hop.received)


def assert_all_at(city, prefix, server):
    """All three have arrived at this server."""
    for way in SENDERS:
        city.arrived(f"{prefix} {way}")
    assert set(servers(city, prefix).values()) == {server}, prefix


def without_us(city):
    """What `teardown` would bring back."""
    folder = city.postfix.config_directory / "pointsman" / WITHOUT
    return [(folder / name).read_text() for name in ("main.cf", "master.cf")]


def walk(city, story, grief):
    """One change after the other, each interrupted one step later than the one before."""
    admins = without_us(city)
    for number in itertools.count(1):
        before = story.server
        story.turn()
        ended = interrupt(city, grief, number)
        where = f"{number} {story.server}"
        send_three(city, where)
        assert_whole(city, where, {before, story.server})
        yield number, before, ended, where
        assert without_us(city) == admins, where
        if ended.returncode == NO_SUCH_STEP:
            assert number > FEWEST
            return
        city.clear()
        story.again()


def go_on(city, story, where):
    """The next apply completes it: nothing is left to do, and mail takes the new way."""
    city.postfix.cli("apply")
    city.settle()
    assert city.postfix.cli("apply", "--dry-run") == "-- 0 changes, none made\n"
    leftovers = [p for p in city.postfix.config_directory.rglob(".*") if p.is_file()]
    assert leftovers == []
    send_three(city, f"then {where}")
    assert_all_at(city, f"then {where}", story.server)


def test_killed_while_a_connector_moves():
    """No server ever sees the other's login, and what waited goes by the new way."""
    with two_providers() as city:
        story = Moves(city)
        for _, before, ended, where in walk(city, story, "kill"):
            assert ended.returncode in (KILLED, NO_SUCH_STEP), ended
            go_on(city, story, where)
            city.postfix.wait_for_empty_queue()
            assert len(servers(city, where)) == len(SENDERS), where
            assert_whole(city, where, {before, story.server})


@pytest.mark.parametrize("way", ["comes", "goes"])
def test_killed_while_a_connector_comes_or_goes(way):
    """Mail leaves as one of nobody's, or by the connector with its login: nothing between."""
    with two_providers() as city:
        story = ComesAndGoes(city, way)
        for _, before, ended, where in walk(city, story, "kill"):
            assert ended.returncode in (KILLED, NO_SUCH_STEP), ended
            go_on(city, story, where)
            assert_whole(city, where, {before, story.server})


@pytest.mark.parametrize("way", ["moves", "comes"])
def test_disk_full_at_each_step(way):
    """What can't be written is undone: mail takes the old way until there is room again."""
    with two_providers(daemons=("milter",)) as city, on_small_disks(city):
        story = Moves(city) if way == "moves" else ComesAndGoes(city, way)
        for _, before, ended, where in walk(city, story, "full"):
            assert ended.returncode in (DONE, FAILED, NO_SUCH_STEP), ended
            if ended.returncode == FAILED:
                assert "not applied, all is as before: " in ended.stderr
                assert_all_at(city, where, before)
            else:
                assert_all_at(city, where, story.server)
            make_room(city)
            go_on(city, story, where)


def test_lane_does_not_serve_the_hosts_of_others():
    """Whatever leads another server to it, a map of the admin's for instance: that mail waits."""
    with two_providers() as city:
        Moves(city)
        elsewhere = city.hops["of-police"]
        table = f"inline:{{other.net=pm-a:[localhost]:{elsewhere.port}}}"
        city.postfix.set(transport_maps=table)
        reply = city.send("x@b.test", "x@b.test", "elsewhere", "x@other.net")
        city.postfix.wait_for_log(
            rf"pm-a/smtp.*: {reply.queue_id}: to=.*, relay=none, .* dsn=4.3.5, status=deferred "
            r"\(not a host of this connector, or not yet\)"
        )
        assert elsewhere.attempts == []
