"""The installed package under a real systemd, on Debian's stock Postfix with its chroot."""

import json
import re
from contextlib import contextmanager

import pytest

from lab.instance import wait_until
from pointsman.cli.run import PROGRAMS
from tests.postfix.deb import altered, machine_with_package

UNITS = [f"pointsman-{program}.service" for program in PROGRAMS]
HOP = ["smtp-sink", "-u", "postfix", "127.0.0.1:2525", "10"]
PING = "WatchdogTimestampMonotonic"
SEND = """
import smtplib
with smtplib.SMTP("127.0.0.1", 25) as smtp:
    smtp.sendmail("clerk@court.test", ["someone@example.net"],
                  b"From: clerk@court.test\\r\\nSubject: by the package\\r\\n\\r\\nhello\\r\\n")
"""


@pytest.fixture(scope="module")
def served():
    """Set up on the stock Postfix, with all units running and a next hop."""
    with machine_with_package(systemd=True) as machine:
        machine.run("systemctl", "start", "postfix")
        machine.run("pointsman", "setup")  # it starts the units, too
        machine.run("systemd-run", "--unit=hop", *HOP)
        wait_until(lambda: all(state(machine, u) == "active" for u in UNITS), "the daemons", 60)
        yield machine


def state(machine, unit):
    return machine.try_run("systemctl", "is-active", unit).stdout.strip()


def shown(machine, unit, name):
    return machine.run("systemctl", "show", f"--property={name}", "--value", unit).strip()


def main_pid(machine, unit):
    return shown(machine, unit, "MainPID")


def log_of(machine, program):
    return machine.run("journalctl", "-o", "cat", "-t", f"pointsman/{program}")


def newest(said):
    """The revision that a command made, as the log writes it."""
    assert "live within 2 s" in said
    return re.search("revision [0-9]+", said)[0].replace(" ", "=")


def test_jailed_daemons_serve(served):
    """Each says by itself that it is ready, under the account that its unit names."""
    for unit in UNITS:
        user = served.run("ps", "-o", "user=", "-p", main_pid(served, unit)).strip()
        assert user == ("root" if "agent" in unit else "pointsman")


def test_message_takes_its_lane(served):
    """From a client through the chrooted smtpd to the next hop; the agent applies by itself."""
    run = served.run
    run("pointsman", "agency", "add", "court", "--network", "127.0.0.0/8")
    hop = ["--host", "127.0.0.1:2525", "--tls", "none", "--auth", "none"]
    run("pointsman", "connector", "add", "court-smtp", *hop)
    link = ["--agency", "court", "--connector", "court-smtp"]
    run("pointsman", "sender", "link", "@court.test", *link)
    known = newest(run("pointsman", "connector", "enable", "court-smtp"))
    wait_until(
        lambda: f"snapshot {known}, links=1" in log_of(served, "milter"), "the milter to know"
    )
    run("/usr/bin/python3", "-c", SEND)
    sent = r"postfix/pm-court-smtp/smtp\[\d+\]: .*\[127\.0\.0\.1\]:2525, .*status=sent"
    wait_until(lambda: re.search(sent, run("journalctl")), "the message to leave by its lane")


@contextmanager
def drop_in(machine, unit, text):
    """Run a unit with other settings for a while."""
    path = f"/run/systemd/system/{unit}.d/test.conf"
    machine.write(path, f"[Service]\n{text}\n".encode())
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", unit)
    yield
    machine.run("rm", path)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", unit)


@pytest.mark.parametrize("program", PROGRAMS)
def test_daemon_that_hangs_is_started_again(served, program):
    """The watchdog hears its pings, and then misses them."""
    unit = f"pointsman-{program}.service"
    with drop_in(served, unit, "WatchdogSec=3"):
        before, heard = main_pid(served, unit), shown(served, unit, PING)
        wait_until(lambda: shown(served, unit, PING) != heard, "a ping")
        assert main_pid(served, unit) == before
        served.run("kill", "-STOP", before)
        wait_until(
            lambda: main_pid(served, unit) not in ("0", before) and state(served, unit) == "active",
            "systemd to start another",
            60,
        )


def test_agent_needs_no_key_but_the_one_that_systemd_hands_over(served):
    """It applies a revision, for which it opens secrets, without the file."""
    with drop_in(served, "pointsman-agent.service", "InaccessiblePaths=/etc/pointsman/secret.key"):
        wanted = newest(served.run("pointsman", "agency", "add", "police", "--any-client"))
        wait_until(lambda: f"applied {wanted}" in log_of(served, "agent"), "the agent to apply")


def test_upgrade_starts_the_daemons_anew(served):
    """Those that run; and the configuration keeps what the admin made of its mode."""
    served.run("chmod", "600", "/etc/pointsman/pointsman.yaml")
    before = {unit: main_pid(served, unit) for unit in UNITS}
    served.run("dpkg", "-i", "/root/pointsman.deb")
    assert served.run("stat", "-c", "%a", "/etc/pointsman/pointsman.yaml") == "600\n"
    served.run("chmod", "640", "/etc/pointsman/pointsman.yaml")
    wait_until(
        lambda: all(
            state(served, unit) == "active" and main_pid(served, unit) != before[unit]
            for unit in UNITS
        ),
        "the daemons of the new version",
        60,
    )


def test_removal_is_refused_while_mail_is_led_through_it(served):
    """Should teardown fail, nothing has changed, and the admin reads what to do."""
    served.write("/usr/local/sbin/pointsman", b"#!/bin/sh\nexit 1\n", "755")
    result = served.try_run("dpkg", "--remove", "pointsman")
    served.run("rm", "/usr/local/sbin/pointsman")
    assert result.returncode != 0
    assert "mail is still led through it" in result.stderr
    assert [state(served, unit) for unit in UNITS] == ["active"] * len(UNITS)


def queued(machine):
    """Queue, sender and id of each message that waits."""
    found = [json.loads(line) for line in machine.run("postqueue", "-j").splitlines()]
    return [(q["queue_name"], q["sender"], q["queue_id"]) for q in found]


def test_removal_waits_for_mail_that_would_go_astray(served):
    """Carried mail: the package stays and serves, nothing is lost, and the advice is good."""
    served.run("systemctl", "stop", "hop")
    served.run("/usr/bin/python3", "-c", SEND.replace("clerk@court.test", "v@vendor.test", 1))
    wait_until(lambda: [q[0] for q in queued(served)] == ["deferred"], "a try")
    ((_, sender, queue_id),) = before = queued(served)
    assert sender == "v=vendor.test@court.court-smtp.pm.invalid"
    result = served.try_run("dpkg", "--remove", "pointsman")
    assert result.returncode != 0
    assert f"1 queued message would leave by the wrong way without Pointsman ({queue_id})" in (
        result.stderr
    )
    assert "let them go first (`postqueue -f`), or give --despite-queue" in result.stderr
    assert "do what `pointsman teardown` asks for" in result.stderr
    assert queued(served) == before
    assert [state(served, unit) for unit in UNITS] == ["active"] * len(UNITS)
    assert served.run("dpkg-query", "-W", "-f", "${db:Status-Status}", "pointsman") == "installed"
    served.run("systemd-run", "--unit=hop", *HOP)
    served.run("postqueue", "-f")
    sent = rf"postfix/pm-court-smtp/smtp\[\d+\]: {queue_id}: .*\[127\.0\.0\.1\]:2525, .*status=sent"
    wait_until(lambda: re.search(sent, served.run("journalctl")), "it to leave by its lane", 60)


def test_purge_leaves_nothing(served):
    """Prerm takes it out of Postfix: no unit, no file, and main.cf and master.cf as Debian's."""
    served.run("dpkg", "--purge", "pointsman")
    assert [state(served, unit) for unit in UNITS] == ["inactive"] * len(UNITS)
    assert altered(served) == []
    assert not served.is_there("/var/spool/postfix/pointsman")
