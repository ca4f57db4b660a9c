"""The Debian package on a machine of its own, with Debian's stock Postfix and a real systemd."""

import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import machine as machines
from lab.instance import wait_until
from pointsman import __version__
from pointsman.cli.run import PROGRAMS

ROOT = Path(__file__).parents[2]
REFUSED = machines.refused()
UNITS = [f"pointsman-{program}.service" for program in PROGRAMS]
# What every package that comes and goes leaves, and what a running machine writes by itself.
ELSEWHERE = re.compile(
    r"/(run|tmp|dev|root|var/log|var/cache|var/lib/(dpkg|systemd|postfix|ucf|apt|private)"
    r"|var/spool/postfix|usr/sbin/policy-rc\.d|etc/(mtab|hostname|resolv\.conf|machine-id))\b"
    r"|/(var|var/lib|etc|usr/lib/python3(/.*)?/__pycache__.*)$"
)
SEND = """
import smtplib
with smtplib.SMTP("127.0.0.1", 25) as smtp:
    smtp.sendmail("clerk@court.test", ["someone@example.net"],
                  b"From: clerk@court.test\\r\\nSubject: by the package\\r\\n\\r\\nhello\\r\\n")
"""


@pytest.fixture(scope="session")
def package():
    """The package, built as `make deb` builds it."""
    result = subprocess.run(
        [ROOT / "packaging" / "build"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return ROOT / result.stdout.splitlines()[-1].removeprefix("deb: ")


@pytest.fixture(scope="session")
def unpacked(package, tmp_path_factory):
    """Its files: some machines are told to install no manual pages."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return folder


@contextmanager
def machine_with(package, *, systemd):
    """A machine that the package is installed on."""
    if REFUSED:
        pytest.skip(f"no machine can be made here: {REFUSED}")
    with machines.running(systemd=systemd) as machine:
        # Here services may start, whatever this machine's own policy is.
        machine.run("rm", "-f", "/usr/sbin/policy-rc.d")
        machine.write("/root/pointsman.deb", package.read_bytes())
        machine.run("dpkg", "-i", "/root/pointsman.deb")
        yield machine


@pytest.fixture(scope="module")
def machine(package):
    """One for all tests that need no systemd and change nothing."""
    with machine_with(package, systemd=False) as machine:
        yield machine


def altered(machine):
    """What is other than before, where a package has no business."""
    return sorted(path for path in machine.changed() if not ELSEWHERE.match(path))


# -- the package


@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed")
def test_lintian_has_nothing_to_say(package):
    """Neither errors nor warnings, but for those that are overridden with a reason."""
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", str(package)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")


def test_nothing_names_the_folder_it_was_built_in(unpacked):
    """The environment stands where it was meant for."""
    command = ["grep", "-rlIF", str(ROOT), "--", unpacked]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_manual_pages_are_in_order(unpacked):
    """One for each command, and man(1) has no complaint about any."""
    pages = list((unpacked / "usr/share/man").rglob("*.gz"))
    names = {page.name.removesuffix(".gz") for page in pages}
    assert {"pointsman.1", "pointsman-sender-link.1", "pointsman-run.1"} <= names
    assert "pointsman.yaml.5" in names
    for page in pages:
        command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", page]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, ""), page


def test_completion_for_each_shell_is_there(unpacked):
    """Where the shells look; bash takes it as it is."""
    bash = unpacked / "usr/share/bash-completion/completions/pointsman"
    zsh = unpacked / "usr/share/zsh/vendor-completions/_pointsman"
    fish = unpacked / "usr/share/fish/vendor_completions.d/pointsman.fish"
    assert all("_POINTSMAN_COMPLETE" in file.read_text() for file in (bash, zsh, fish))
    command = ["bash", "-c", f". {bash}; complete -p pointsman"]
    assert "pointsman" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


# -- installed


def test_program_is_there(machine):
    """From any folder, whatever the caller's Python is."""
    assert machine.run("pointsman", "--version") == f"pointsman, version {__version__}\n"


def test_postfix_is_as_it_was(machine):
    """Nothing of Postfix is touched before setup."""
    assert [path for path in machine.changed() if path.startswith("/etc/postfix")] == []


def test_owners_and_modes(machine):
    """The configuration may hold a password; Postfix's group passes through to the sockets."""
    for path, wanted in {
        "/etc/pointsman/pointsman.yaml": "640 root:pointsman",
        "/var/lib/pointsman": "750 pointsman:pointsman",
        "/var/spool/postfix/pointsman": "2710 pointsman:postfix",
    }.items():
        assert machine.run("stat", "-c", "%a %U:%G", path).strip() == wanted


def test_configuration_file_says_the_defaults(machine):
    """As comments; each may be switched on as it stands."""
    text = machine.run("cat", "/etc/pointsman/pointsman.yaml")
    assert not re.search(r"^[^#\n]", text, re.MULTILINE)
    keys = re.sub(r"^# \S.*\n", "", text, flags=re.MULTILINE)
    switched_on = re.sub(r"^#", "", keys, flags=re.MULTILINE)
    check = (
        "import dataclasses, sys, pathlib; from pointsman.config import Config, load;"
        "found = load(pathlib.Path(sys.argv[1]));"
        "assert dataclasses.replace(found, path=Config().path) == Config(), found"
    )
    machine.write("/tmp/all.yaml", switched_on.encode())
    machine.run("/usr/lib/pointsman/bin/python3", "-c", check, "/tmp/all.yaml")


def test_every_library_is_there(machine):
    """Nothing was linked against what only the building machine has."""
    found = machine.run("find", "/usr/lib/pointsman", "-name", "*.so").split()
    assert any("milter" in path for path in found)
    assert "not found" not in machine.run("ldd", *found)
    paths = re.findall(r"RUNPATH.*\[(.*)\]", machine.run("readelf", "-d", *found))
    assert [path for path in paths if not path.startswith("$ORIGIN")] == []


# -- without systemd


def test_daemon_runs_where_there_is_no_systemd(package):
    """As the account, from the installed environment; the purge leaves nothing but the account."""
    with machine_with(package, systemd=False) as machine:
        machine.run("postfix", "start")
        machine.run("pointsman", "setup")
        run = "setpriv --reuid pointsman --regid pointsman --clear-groups pointsman run milter"
        machine.run("sh", "-c", f"{run} > /tmp/milter.log 2>&1 &")
        socket = "/var/spool/postfix/pointsman/milter.sock"
        wait_until(lambda: machine.is_there(socket), "the milter to listen")
        assert machine.run("stat", "-c", "%U:%G", socket).strip() == "pointsman:postfix"


def test_purge_leaves_nothing(package):
    """Every file of the machine is as before."""
    with machine_with(package, systemd=False) as machine:
        machine.run("pointsman", "--help")
        assert machine.is_there("/etc/pointsman")
        machine.run("dpkg", "--purge", "pointsman")
        assert altered(machine) == []
        assert not machine.is_there("/var/spool/postfix/pointsman")


# -- with systemd


@pytest.fixture(scope="module")
def served(package):
    """Set up on the stock Postfix, with all units running and a next hop."""
    with machine_with(package, systemd=True) as machine:
        machine.run("systemctl", "start", "postfix")
        machine.run("pointsman", "setup")
        machine.run("systemctl", "enable", "--now", "pointsman.target")
        hop = ["smtp-sink", "-u", "postfix", "127.0.0.1:2525", "10"]
        machine.run("systemd-run", "--unit=hop", *hop)
        wait_until(lambda: all(state(machine, u) == "active" for u in UNITS), "the daemons", 60)
        yield machine


def state(machine, unit):
    return machine.try_run("systemctl", "is-active", unit).stdout.strip()


def main_pid(machine, unit):
    return machine.run("systemctl", "show", "--property=MainPID", "--value", unit).strip()


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
    said = run("pointsman", "connector", "enable", "court-smtp")
    assert "live within 2 s" in said
    wait_until(
        lambda: "court-smtp" in run("cat", "/etc/postfix/pointsman/sender_transport"), "the lane"
    )
    run("/usr/bin/python3", "-c", SEND)
    sent = r"postfix/pm-court-smtp/smtp\[\d+\]: .*\[127\.0\.0\.1\]:2525, .*status=sent"
    wait_until(lambda: re.search(sent, run("journalctl")), "the message to leave by its lane")


@pytest.mark.parametrize("program", ["milter", "policy", "submit"])
def test_daemon_that_hangs_is_started_again(served, program):
    """The watchdog misses its pings."""
    unit = f"pointsman-{program}.service"
    drop_in = f"/run/systemd/system/{unit}.d/soon.conf"
    served.write(drop_in, b"[Service]\nWatchdogSec=2\n")
    served.run("systemctl", "daemon-reload")
    served.run("systemctl", "restart", unit)
    before = main_pid(served, unit)
    served.run("kill", "-STOP", before)
    wait_until(
        lambda: main_pid(served, unit) not in ("0", before) and state(served, unit) == "active",
        "systemd to start another",
        60,
    )
    served.run("rm", drop_in)
    served.run("systemctl", "daemon-reload")
    served.run("systemctl", "restart", unit)


def test_removal_is_refused_while_mail_is_led_through_it(served):
    """Should teardown fail, nothing has changed, and the admin reads what to do."""
    served.write("/usr/local/sbin/pointsman", b"#!/bin/sh\nexit 1\n", "755")
    result = served.try_run("dpkg", "--remove", "pointsman")
    served.run("rm", "/usr/local/sbin/pointsman")
    assert result.returncode != 0
    assert "mail is still led through it" in result.stderr
    assert [state(served, unit) for unit in UNITS] == ["active"] * len(UNITS)
