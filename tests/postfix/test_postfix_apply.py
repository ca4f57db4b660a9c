"""`apply` and `setup`: all of it or nothing, said before it is done, safe to repeat."""

import json
import pwd
import stat
from pathlib import Path

import pytest

from lab.city import built
from lab.client import message, sendmail
from lab.instance import answers
from pointsman import config
from pointsman.agent import Agent
from pointsman.postfix.apply import Applier


@pytest.fixture
def still_city():
    """A city whose agent does not run: the admin applies by hand."""
    with built(daemons=("milter",)) as city:
        run = city.postfix.cli
        run("agency", "add", "a", "--login", "a-app")
        run("connector", "add", "a", *city.connector_options("shared", "court"))
        run("sender", "link", "clerk@a.test", "--agency", "a", "--connector", "a")
        yield city


def files(city):
    """Everything that apply may touch, to the byte, with its mode."""
    etc = city.postfix.config_directory
    # What an admin edits is noted in `without`, whether or not it can be applied.
    found = (p for p in etc.rglob("*") if p.is_file() and p.parent.name != "without")
    paths = [p for p in found if p.suffix != ".lmdb"]
    paths.append(city.postfix.state_directory / "snapshot.json")
    return {p: (p.read_bytes(), stat.S_IMODE(p.stat().st_mode)) for p in paths}


def rows(city):
    table = city.postfix.config_directory / "pointsman" / "sender_transport"
    return set(city.postfix.postfix("postmap", "-s", f"lmdb:{table}").splitlines())


def test_new_connector_changes_nothing_for_mail(still_city):
    """Until it is enabled its links are staged, and mail goes on as before."""
    city = still_city
    city.postfix.cli("apply")
    assert city.send("clerk@a.test", "clerk@a.test", "staged", login="stranger").code == 250
    assert city.arrived("staged")[0].server == "default"


def test_edit_says_that_it_is_not_applied(still_city):
    """Without an agent the CLI says what to do; with one, that it is on its way."""
    city = still_city
    output = city.postfix.cli("connector", "enable", "a")
    assert output.endswith("not applied yet: run pointsman apply\n")
    city.postfix.start_daemon("agent")
    output = city.postfix.cli("agency", "set", "a", "--description", "x")
    assert output.endswith("live within 2 s\n")


def test_edit_that_comes_while_the_agent_applies_is_seen(still_city, monkeypatch):
    """The agent has just written main.cf itself: that edit is not taken for its own."""
    city, apply = still_city, Applier.apply
    state = city.postfix.state_directory / "snapshot.json"

    def edited_meanwhile(applier):
        report = apply(applier)
        assert report.changes
        city.postfix.set(relayhost="[192.0.2.9]")
        return report

    city.postfix.cli("connector", "enable", "a")
    agent = Agent(config.load(city.postfix.config_file))
    with monkeypatch.context() as patch:
        patch.setattr(Applier, "apply", edited_meanwhile)
        agent.step()
    assert "192.0.2.9" not in state.read_text()
    agent.step()
    assert "192.0.2.9" in state.read_text()


def test_dry_run_says_all_and_does_nothing(still_city):
    """--dry-run lists what apply then does, word for word."""
    city = still_city
    city.postfix.cli("connector", "enable", "a")
    before = files(city)
    *planned, last = city.postfix.cli("apply", "--dry-run").splitlines()
    assert last.endswith("changes, none made")
    assert files(city) == before
    done = city.postfix.cli("apply").splitlines()
    assert done[: len(planned)] == planned
    assert city.postfix.cli("apply", "--dry-run").splitlines() == ["-- 0 changes, none made"]


def test_secrets_are_for_root_alone(still_city):
    """Credentials and the requeue token are 0600, the snapshot 0640, and no secret is printed."""
    city = still_city
    output = city.postfix.cli("connector", "enable", "a") + city.postfix.cli("apply")
    folder = city.postfix.config_directory / "pointsman"
    modes = {
        p.name.split(".")[0]: stat.S_IMODE(p.stat().st_mode)
        for p in folder.rglob("*")
        if p.is_file()
    }
    assert modes["a"] == modes["requeue"] == 0o600
    state = (city.postfix.state_directory / "snapshot.json").stat()
    assert stat.S_IMODE(state.st_mode) == 0o640
    assert "c0urt" not in output + city.postfix.log()
    assert "c0urt" not in (city.postfix.state_directory / "snapshot.json").read_text()


@pytest.mark.parametrize("step", ["postmap", "postconf", "login"])
def test_failed_step_brings_everything_back(still_city, step, monkeypatch):
    """Whatever fails, Postfix, tables and snapshot are as before, and mail goes on."""
    city = still_city
    city.postfix.cli("connector", "enable", "a")
    city.postfix.cli("apply")
    before, table = files(city), rows(city)
    run = city.postfix.cli
    run("connector", "add", "b", *city.connector_options("shared", "police"))
    run("sender", "link", "@b.test", "--agency", "a", "--connector", "b")
    run("connector", "enable", "b")
    sabotage(city, step, monkeypatch)
    result = city.postfix.cli("apply", check=False)
    assert "not applied, all is as before" in result
    assert files(city) == before
    assert rows(city) == table
    monkeypatch.undo()
    city.postfix.reload()
    assert city.send("clerk@a.test", "clerk@a.test", f"after {step}").code == 250
    assert city.arrived(f"after {step}")[0].login == "court"
    city.postfix.cli("apply")
    assert any(row.startswith("@b.test") for row in rows(city))


def sabotage(city, step, monkeypatch):
    """Make one of Postfix's own commands fail, as a full disk or a broken package would."""
    folder = city.folder / "bin"
    folder.mkdir()
    broken = {
        "postmap": ("postmap", 'case "$*" in *lmdb:*sender_transport) echo broken >&2;; esac'),
        "login": ("postmap", 'case "$*" in *-q*login*) echo someone:else; exit 0;; esac'),
        "postconf": ("postconf", r'case "$*" in *-M\ pm-b*) exit 0;; esac'),
    }
    name, line = broken[step]
    script = folder / name
    script.write_text(f'#!/bin/sh\n{line}\nexec /usr/sbin/{name} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setattr("pointsman.postfix.conf._PATH", f"{folder}:/usr/sbin:/sbin:/usr/bin:/bin")


def test_smtpd_that_cannot_start_is_noticed(still_city):
    """`postfix check` would pass it, the probe does not: back to what was there before."""
    city = still_city
    city.postfix.postfix("postconf", "-e", "smtpd_milters={ unix:/unfinished")
    city.postfix.cli("connector", "enable", "a")
    before = files(city)
    output = city.postfix.cli("apply", check=False)
    assert "does not greet" in output
    assert files(city) == before


def test_apply_without_postfix_running(still_city):
    """What was applied counts when Postfix starts."""
    city = still_city
    city.postfix.halt()
    city.postfix.cli("connector", "enable", "a")
    assert "Postfix is not running" in city.postfix.cli("apply")
    city.postfix.start()
    assert city.send("clerk@a.test", "clerk@a.test", "started").code == 250
    assert city.arrived("started")[0].login == "court"


def test_setup_twice_is_once(still_city):
    """The second setup changes no byte."""
    city = still_city
    city.postfix.cli("apply")
    before = files(city)
    city.postfix.cli("setup")
    assert files(city) == before


def test_admins_own_settings_are_kept(still_city):
    """Lists that the admin had keep their items, ours before or after them."""
    city = still_city
    values = city.postfix.postfix("postconf", "virtual_alias_maps")
    assert values.startswith("virtual_alias_maps = $virtual_maps, pcre:")


def test_hand_edited_table_is_mended(still_city):
    """Apply compares files with what they should be, not with what it once wrote."""
    city = still_city
    city.postfix.cli("connector", "enable", "a")
    city.postfix.cli("apply")
    marker = city.postfix.config_directory / "pointsman" / "marker.pcre"
    right = marker.read_text()
    marker.write_text("/^/ FILTER smtp:evil\n")
    assert f"write {marker}" in city.postfix.cli("apply")
    assert marker.read_text() == right


def test_lane_of_the_admins_own_is_left_alone(still_city):
    """A service called pm-something that is not ours stays in master.cf."""
    city = still_city
    city.postfix.postfix("postconf", "-M", "pm-special/unix=pm-special unix - - n - - smtp")
    city.postfix.cli("connector", "enable", "a")
    city.postfix.cli("apply")
    assert "pm-special" in city.postfix.postfix("postconf", "-M", "pm-special/unix")


def test_database_belongs_to_the_daemons_account(still_city):
    """Run by root, the CLI leaves the database to the account that the daemons have."""
    owner = pwd.getpwnam("pointsman").pw_uid
    found = {p.stat().st_uid for p in (still_city.postfix.folder / "db").iterdir()}
    assert found == {owner}


def test_milter_runs_unprivileged(still_city):
    """The milter is not root, and its socket is for Postfix alone."""
    milter = still_city.postfix.daemons["milter"]
    assert Path(f"/proc/{milter.pid}").stat().st_uid == pwd.getpwnam("pointsman").pw_uid
    socket = still_city.postfix.queue_directory / "pointsman" / "milter.sock"
    assert stat.S_IMODE(socket.stat().st_mode) & 0o007 == 0


def test_one_agent_at_a_time(still_city):
    """A second agent says who is there, and ends."""
    still_city.postfix.start_daemon("agent")
    result = still_city.postfix.run_cli("run", "agent")
    assert result.returncode == 1
    assert "another agent is running" in result.stderr


def test_run_starts_all_and_stops_all(still_city):
    """`pointsman run` is milter and agent in the foreground; one dies, all end."""
    city = still_city
    city.postfix.stop_daemon("milter")
    city.postfix.start_all()
    revision = json.loads(city.postfix.cli("history", "--json", "--limit", "1"))["revision"]
    city.postfix.wait_for_revision(revision)
    assert city.postfix.stop_daemon("all") == 0
    assert not answers(city.postfix.queue_directory / "pointsman" / "milter.sock")


def test_chrooted_cleanup_reaches_the_milter():
    """Debian chroots cleanup: sendmail(1) mail, which passes ours, must find the milter too."""
    with built(daemons=(), chroot=True) as city:
        city.postfix.start_daemon("milter")
        sendmail(city.postfix, ["x@ext.test"], message("x@other.test", "from a chroot"))
        assert city.arrived("from a chroot")[0].server == "default"
        assert city.send("x@other.test", "x@other.test", "by SMTP").code == 250
        assert city.arrived("by SMTP")[0].server == "default"
