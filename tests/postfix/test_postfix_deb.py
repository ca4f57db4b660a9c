"""The Debian package: what is in it, and what it does to a machine that has no systemd."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.instance import wait_until
from pointsman import __version__
from tests.postfix.deb import ROOT, altered, machine_with_package, package


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    """Its files: some machines are told to install no manual pages."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "-x", package(), folder], check=True)
    return folder


@pytest.fixture(scope="module")
def machine():
    """One for all tests that need no systemd and change nothing."""
    with machine_with_package(systemd=False) as machine:
        yield machine


# -- the package


@pytest.mark.skipif(shutil.which("lintian") is None, reason="lintian is not installed")
def test_lintian_has_nothing_to_say():
    """Neither errors nor warnings, but for those that are overridden with a reason."""
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", str(package())]
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


def test_every_library_is_there(machine):
    """Nothing was linked against what only the building machine has."""
    found = machine.run("find", "/usr/lib/pointsman", "-name", "*.so").split()
    assert any("milter" in path for path in found)
    assert "not found" not in machine.run("ldd", *found)
    paths = re.findall(r"RUNPATH.*\[(.*)\]", machine.run("readelf", "-d", *found))
    assert [path for path in paths if not path.startswith("$ORIGIN")] == []


# -- without systemd


def test_daemon_runs_where_there_is_no_systemd():
    """As the account, from the installed environment; the purge leaves nothing but the account."""
    with machine_with_package(systemd=False) as machine:
        machine.run("postfix", "start")
        machine.run("pointsman", "setup")
        run = "setpriv --reuid pointsman --regid pointsman --clear-groups pointsman run milter"
        machine.run("sh", "-c", f"{run} > /tmp/milter.log 2>&1 &")
        socket = "/var/spool/postfix/pointsman/milter.sock"
        wait_until(lambda: machine.is_there(socket), "the milter to listen")
        assert machine.run("stat", "-c", "%U:%G", socket).strip() == "pointsman:postfix"


def test_what_is_altered_is_noticed():
    """Else the next test would prove nothing."""
    with machine_with_package(systemd=False) as machine:
        machine.run("dpkg", "--purge", "pointsman")
        machine.write("/etc/postfix/main.cf", b"# other\n")
        machine.run("chmod", "600", "/etc/postfix/master.cf")
        machine.run("touch", "/etc/left-behind")
        machine.run("rm", "/etc/services")
        machine.run("sh", "-c", "rm -r /etc/skel && mkdir /etc/skel")
        found = altered(machine)
    names = ["left-behind", "postfix/main.cf", "postfix/master.cf", "services"]
    skeletons = [str(path) for path in Path("/etc/skel").iterdir()]
    assert found == sorted([*(f"/etc/{name}" for name in names), *skeletons])


def test_purge_leaves_nothing():
    """Every file of the machine is as before."""
    with machine_with_package(systemd=False) as machine:
        machine.run("pointsman", "--help")
        assert machine.is_there("/etc/pointsman")
        machine.run("dpkg", "--purge", "pointsman")
        assert altered(machine) == []
        assert not machine.is_there("/var/spool/postfix/pointsman")
