"""`check` on a real Postfix: a healthy one has no finding, each mistake is found and mended."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import suppress

import pytest
from click.testing import CliRunner

from lab.city import built, new_folder
from lab.instance import Instance, free_port, wait_until
from pointsman.checks import host
from pointsman.cli.main import cli
from tests.postfix.mistakes import MISTAKES

PLACEHOLDER = re.compile(r"\b(HOST:PORT|FILE|NAME|LOGIN)\b")


class Town:
    """A healthy instance with a second smtpd service, and a shell on it."""

    def __init__(self, city):
        self.city = city
        self.postfix = city.postfix
        self.second = free_port()
        self.free = free_port()

    def furnish(self):
        """One agency, one connector, one domain; a service more."""
        run = self.postfix.cli
        run("agency", "add", "a", "--login", "a-app")
        run("connector", "add", "a", *self.city.connector_options("shared", "court"))
        run("sender", "link", "@town.test", "--agency", "a", "--connector", "a")
        run("connector", "enable", "a")
        self.shell(f'postconf -M "{self.second}/inet={self.second} inet n - n - - smtpd"')
        self.shell("postfix reload")
        bin_ = self.postfix.folder / "bin"
        bin_.mkdir()
        command = f'exec {sys.executable} -m pointsman.cli.main --config {self.yaml} "$@"'
        (bin_ / "pointsman").write_text(f"#!/bin/sh\n{command}\n")
        (bin_ / "pointsman").chmod(0o755)
        self.city.settle()

    @property
    def yaml(self):
        return self.postfix.config_file

    def shell(self, commands, *, check=True):
        """Run commands as an admin would type them."""
        folder = self.postfix.folder
        places = {
            "PATH": f"{folder / 'bin'}:/usr/sbin:{os.environ['PATH']}",
            "MAIL_CONFIG": self.postfix.config_directory,
            "TABLES": self.postfix.config_directory / "pointsman",
            "QUEUE": self.postfix.queue_directory,
            "STATE": self.postfix.state_directory,
            "DB": folder / "db" / "pointsman.db",
            "KEY": folder / "secret.key",
            "YAML": self.yaml,
            "FIRST": self.postfix.port,
            "PORT": self.second,
            "FREE": self.free,
        }
        env = {**os.environ, **{name: str(value) for name, value in places.items()}}
        result = subprocess.run(
            ["/bin/bash", "-ec", commands], env=env, capture_output=True, text=True, check=False
        )
        assert not check or result.returncode == 0, f"{commands}: {result.stderr}{result.stdout}"

    def check(self):
        """What `check` finds, as an admin's monitoring reads it; and its status."""
        result = CliRunner().invoke(cli, ["--config", str(self.yaml), "check", "--json"])
        return [json.loads(line) for line in result.stdout.splitlines()], result.exit_code

    def finds(self, expected):
        """What `check` finds once the agent has looked at what was edited: just these kinds."""
        checked = []

        def found():
            checked[:] = self.check()
            return kinds(checked[0]) == expected

        with suppress(AssertionError):
            wait_until(found, "the agent to look")
        assert kinds(checked[0]) == expected
        return checked

    def rest(self):
        """An agent that has looked at all there is, and has no reason to look again."""
        self.postfix.stop_daemon("agent")
        mark = self.postfix.log_size()
        self.postfix.start_daemon("agent")
        self.postfix.wait_for_log(r"pointsman/agent\S* applied revision", mark)

    def do(self, fix):
        """Run the first command of a fix that is complete as printed."""
        commands = re.findall(r"`([^`]+)`", fix)
        self.shell(next(c for c in commands if not PLACEHOLDER.search(c)))


@pytest.fixture(scope="module")
def one_town():
    """One for all tests of the module."""
    # After one failed start master would wait for a minute.
    with built({"service_throttle_time": "1s"}) as city:
        town = Town(city)
        town.furnish()
        yield town


@pytest.fixture
def town(one_town):
    """The same, as it was at first when the test is over."""
    folder = one_town.postfix.config_directory
    choice = folder / "pointsman" / "without" / "choice.json"
    paths = (folder / "main.cf", folder / "master.cf", choice)
    files = {path: path.read_bytes() for path in paths}
    yield one_town
    if "nothing to change" not in one_town.postfix.cli("connector", "default", "postfix"):
        one_town.city.settle()
    if any(path.read_bytes() != data for path, data in files.items()):
        for path, data in files.items():
            path.write_bytes(data)
        one_town.postfix.reload()
    for name in ("own", "own.lmdb", "copy", "meta"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).unlink(missing_ok=True) if not (folder / name).is_dir() else None


def kinds(found):
    return {f["kind"] for f in found}


def test_healthy_instance_has_no_finding(town):
    """Else nobody would read the others."""
    assert town.check() == ([], 0)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_found_and_mended_as_printed(town, name):
    """It is named; after its fix nothing is found any more. A note alone is no failure."""
    mistake = MISTAKES[name]
    if mistake.kind == "snapshot":
        town.rest()  # it would mend that by the way
    town.shell(mistake.make)
    found, status = town.finds({mistake.kind, *mistake.also})
    assert status == int(any(f["severity"] != "note" for f in found))
    fix = next(f["fix"] for f in found if f["kind"] == mistake.kind)
    if mistake.mend:
        town.shell(mistake.mend, check=False)
    if not mistake.mend.endswith("false"):
        town.do(fix)
    town.finds(set(mistake.after))


@pytest.mark.parametrize("name", ["milter", "policy", "agent"])
def test_daemon_that_ended_is_found(town, name):
    """It is asked, not looked for among the processes; started again, nothing is found."""
    town.postfix.stop_daemon(name)
    found, status = town.check()
    assert (kinds(found), status) == ({name}, 1)
    assert f"run {name}`" in found[0]["fix"]
    town.postfix.start_daemon(name)
    assert town.check() == ([], 0)


def test_lane_edited_while_no_agent_runs(town):
    """The agent would put it right at once; without it, `apply` is the fix, word for word."""
    town.postfix.stop_daemon("agent")
    town.shell("postconf -P pm-a/unix/smtp_tls_security_level=may; postfix reload")
    found, _ = town.check()
    assert kinds(found) == {"agent", "edited"}
    (edited,) = [f for f in found if f["kind"] == "edited"]
    assert "master.cf: change pm-a/unix" in edited["text"]
    town.do(edited["fix"])
    assert kinds(town.check()[0]) == {"agent"}
    town.postfix.start_daemon("agent")
    assert town.check() == ([], 0)


def test_change_that_nobody_applied(town):
    """Without an agent it waits for `apply`."""
    town.postfix.stop_daemon("agent")
    town.postfix.cli("agency", "set", "a", "--description", "x")
    found, _ = town.check()
    assert kinds(found) == {"agent", "not-applied"}
    town.do(next(f["fix"] for f in found if f["kind"] == "not-applied"))
    assert kinds(town.check()[0]) == {"agent"}
    town.postfix.start_daemon("agent")


def test_libsasl2_modules_removed(town, monkeypatch, tmp_path):
    """The plug-ins of libsasl2 itself are left, without those that log in by password."""
    names = ("libsasldb.so.2", "libanonymous.so.2")
    for name in names:
        (tmp_path / name).touch()
    monkeypatch.setattr(host, "SASL_FOLDERS", [str(tmp_path)])
    found, status = town.check()
    assert (kinds(found), status) == ({"sasl"}, 1)
    assert "apt install libsasl2-modules" in found[0]["fix"]
    (tmp_path / "libplain.so.2").touch()
    assert town.check() == ([], 0)


def test_connector_that_was_forgotten(town):
    """Links are there, but it was never enabled: for a day nobody is reminded."""
    options = town.city.connector_options("tax", "tax")
    town.postfix.cli("connector", "add", "late", *options)
    town.postfix.cli("sender", "link", "@late.test", "--agency", "a", "--connector", "late")
    assert town.check() == ([], 0)
    with sqlite3.connect(town.postfix.folder / "db" / "pointsman.db") as database:
        database.execute("UPDATE change SET at = '2026-01-01T00:00:00+00:00' WHERE name = 'late'")
    found, status = town.check()
    assert (kinds(found), status) == ({"connector-waits"}, 1)
    town.do(found[0]["fix"])
    assert town.check() == ([], 0)


def lane_of(city, subject):
    """Who delivered a message of town.test with a vendor's envelope sender."""
    queue_id = city.send("v@vendor.test", "clerk@town.test", subject).queue_id
    wait_until(lambda: city.lanes(queue_id), "a delivery")
    return city.lanes(queue_id)["someone@example.net"]


def test_mail_takes_its_lane_again_behind_srs(town):
    """The fix is not only quiet: carriers leave by their lane, and are decoded."""
    town.shell(MISTAKES["SRS that takes all"].make)
    assert lane_of(town.city, "rewritten") == "postfix"
    town.do(next(f["fix"] for f in town.check()[0] if f["kind"] == "carrier-rewritten"))
    assert lane_of(town.city, "kept") == "postfix/pm-a"
    assert [r.sender for r in town.city.arrived("kept")] == ["v@vendor.test"]


def test_instance_that_was_never_set_up():
    """One finding says it all."""
    folder = new_folder()
    try:
        bare = Instance(folder / "postfix")
        bare.create()
        result = CliRunner().invoke(cli, ["--config", str(bare.config_file), "check", "--json"])
        found = [json.loads(line) for line in result.stdout.splitlines()]
        assert kinds(found) == {"not-set-up", "database", "postfix"}
        assert result.exit_code == 1
    finally:
        shutil.rmtree(folder)
