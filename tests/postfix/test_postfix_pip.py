"""Installed by pip, under a real systemd: setup brings the units, and teardown takes them away."""

import pytest

from lab.instance import wait_until
from pointsman.cli.run import PROGRAMS
from pointsman.postfix.unit_files import FOLDER, TARGET
from tests.postfix.deb import altered
from tests.postfix.pip import machine_with_pip
from tests.postfix.test_postfix_units import SEND, UNITS, log_of, shown, state

PROGRAM = "/opt/pointsman/bin/pointsman"
FILES = [f"{FOLDER}/{name}" for name in (*UNITS, TARGET)]
MILTER = f"{FOLDER}/pointsman-milter.service"
# What setup leaves for the next one, and /opt, which is the admin's.
KEPT = ("/etc/pointsman", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/sub")


@pytest.fixture(scope="module")
def pip():
    """The stock Postfix runs, and nothing is set up."""
    with machine_with_pip("/opt/pointsman") as machine:
        machine.run("systemctl", "start", "postfix")
        yield machine


@pytest.fixture
def served(pip):
    """Set up; afterwards torn down again."""
    pip.run(PROGRAM, "setup")
    yield pip
    pip.run(PROGRAM, "teardown", "--yes")


def left(machine):
    """What is other than before pip was there, but for what stays by intent."""
    return [p for p in altered(machine) if not p.startswith((*KEPT, "/opt", "/var/lib/pointsman"))]


def refused(machine, *words):
    """Setup fails, with these words, and leaves no trace."""
    result = machine.try_run(PROGRAM, "setup")
    assert result.returncode == 1
    for word in words:
        assert word in result.stderr
    assert left(machine) == []
    assert shown(machine, TARGET, "LoadState") == "not-found"


def test_each_unit_is_said_before_it_is_written(pip):
    """--dry-run names the files and the start, and does nothing."""
    said = pip.run(PROGRAM, "setup", "--dry-run").splitlines()
    assert {f"write {file}" for file in FILES} <= set(said)
    assert f"systemctl enable --now {TARGET}" in said
    assert left(pip) == []


def test_units_run_this_installation(served):
    """Its program, jailed as in contrib/systemd, now and at boot; mail passes through it."""
    for program, unit in zip(PROGRAMS, UNITS, strict=True):
        assert state(served, unit) == "active"
        assert f"argv[]={PROGRAM} run {program} ;" in shown(served, unit, "ExecStart")
        assert shown(served, unit, "ProtectSystem") == "strict"
    assert served.run("systemctl", "is-enabled", TARGET).strip() == "enabled"
    served.run("/usr/bin/python3", "-c", SEND)
    wait_until(lambda: "from=<clerk@court.test>" in log_of(served, "milter"), "a decision")


def test_twice_is_once(served):
    """Not a file is written, and no daemon started anew."""
    before = [shown(served, unit, "MainPID") for unit in UNITS]
    said = served.run(PROGRAM, "setup")
    assert "write" not in said
    assert "systemctl" not in said
    assert [shown(served, unit, "MainPID") for unit in UNITS] == before


def test_unit_of_an_older_version_is_replaced(served):
    """The daemons then run by the new one."""
    other = f'cp {MILTER} /tmp/unit && cd /tmp && cat > older.py && exec "$0" older.py'
    older = "from pointsman.postfix.unit_files import _marked\n"
    older += (
        "text = open('/tmp/unit').read().partition('\\n')[2].replace('run milter', 'run agent')\n"
    )
    older += f"open({MILTER!r}, 'w').write(_marked(text))\n"
    served.run("sh", "-c", other, "/opt/pointsman/bin/python3", stdin=older.encode())
    before = shown(served, UNITS[0], "MainPID")
    said = served.run(PROGRAM, "setup")
    assert f"write {MILTER}\nsystemctl restart {TARGET}\n" in said
    assert "run milter" in served.run("cat", MILTER)
    assert [state(served, unit) for unit in UNITS] == ["active"] * len(UNITS)
    assert shown(served, UNITS[0], "MainPID") != before


def test_edited_unit_is_neither_overwritten_nor_removed(served):
    """Setup and teardown say that they leave it alone."""
    served.run("sed", "-i", "s/^RestartSec=.*/RestartSec=7/", MILTER)
    assert f"not touched: {MILTER}" in served.run(PROGRAM, "setup")
    assert f"not touched: {MILTER}" in served.run(PROGRAM, "teardown", "--yes")
    assert "RestartSec=7" in served.run("cat", MILTER)
    assert [file for file in FILES if served.is_there(file)] == [MILTER]
    served.run("rm", MILTER)
    served.run(PROGRAM, "setup")
    assert "RestartSec=1\n" in served.run("cat", MILTER)


def test_masked_daemon_stays_off(served):
    """As contrib/systemd says; setup has nothing to do about it."""
    unit = "pointsman-submit.service"
    served.run("systemctl", "mask", "--now", unit)
    assert "systemctl" not in served.run(PROGRAM, "setup")
    assert state(served, unit) == "inactive"
    served.run("systemctl", "unmask", unit)
    assert f"systemctl enable --now {TARGET}" in served.run(PROGRAM, "setup")
    assert state(served, unit) == "active"


def test_teardown_takes_the_units_away(pip):
    """Said one by one; Postfix's files and systemd's folders are as before."""
    pip.run(PROGRAM, "setup")
    said = pip.run(PROGRAM, "teardown", "--yes")
    assert all(f"remove {file}\n" in said for file in FILES)
    assert left(pip) == []
    assert [state(pip, unit) for unit in (*UNITS, TARGET)] == ["inactive"] * (len(UNITS) + 1)


def test_daemon_that_does_not_start_undoes_all(pip):
    """A target is reached without its daemons: setup looks at them, and says where to look."""
    drop_in = "/run/systemd/system/pointsman-milter.service.d/test.conf"
    pip.write(drop_in, b"[Service]\nExecStart=\nExecStart=/bin/false\n")
    refused(pip, "all is as it was: pointsman-milter.service does not start: `journalctl -u")
    pip.run("rm", drop_in)


def test_program_that_units_do_not_see_is_refused(pip):
    """ProtectHome= would hide it: nothing is changed, and the admin reads where to install it."""
    pip.run("sh", "-c", "mv /opt/pointsman /root && ln -s /root/pointsman /opt/pointsman")
    refused(pip, "systemd's units don't see /root/pointsman/bin/pointsman", "--no-units")
    said = pip.run(PROGRAM, "setup", "--no-units")
    assert "-- start the daemons: `pointsman run`; mail gets 451 without them" in said
    assert FOLDER.name not in said
    assert "systemd" not in pip.run(PROGRAM, "setup", "--enforce")  # it is remembered
    pip.run(PROGRAM, "teardown", "--yes")
    pip.run("sh", "-c", "rm /opt/pointsman && mv /root/pointsman /opt")
