"""The units of contrib/systemd: how much they lay open, and that they fit the program."""

import re
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from pointsman.cli.run import PROGRAMS
from pointsman.config import Config
from pointsman.store.secrets import CREDENTIAL

FOLDER = Path(__file__).parents[2] / "contrib" / "systemd"
MOST = {"milter": 1.5, "policy": 1.5, "submit": 1.5, "agent": 3.0}  # of 10, less is better


def unit(name):
    """The settings of a unit; those that are there twice, as systemd joins them."""
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(FOLDER / name)
    return parser


def exposure(path):
    """What `systemd-analyze security` makes of a unit file."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(re.search(r"Overall exposure level for .*: ([\d.]+)", result.stdout)[1])


@pytest.mark.parametrize("program", PROGRAMS)
def test_exposure_is_low(program):
    """By systemd's own reckoning; the README gives the very figure."""
    found = exposure(FOLDER / f"pointsman-{program}.service")
    assert found <= MOST[program]
    assert f"| `pointsman-{program}` | {found} |" in (FOLDER / "README.md").read_text()


def test_unit_without_a_jail_would_fail(tmp_path):
    """Else the test above would prove nothing."""
    path = tmp_path / "open.service"
    path.write_text("[Service]\nExecStart=/bin/true\n")
    assert exposure(path) > max(MOST.values())


@pytest.mark.parametrize("program", PROGRAMS)
def test_unit_runs_its_program(program):
    """Watched, started again for ever, and with the target."""
    found = unit(f"pointsman-{program}.service")
    service = found["Service"]
    assert service["ExecStart"] == f"/usr/bin/pointsman run {program}"
    assert (service["Type"], service["Restart"]) == ("notify", "always")
    assert service["WatchdogSec"]
    assert found["Unit"]["StartLimitIntervalSec"] == "0"
    assert "postfix.service" in found["Unit"]["After"].split()
    assert found["Unit"]["PartOf"] == "pointsman.target"
    assert f"pointsman-{program}.service" in unit("pointsman.target")["Unit"]["Wants"].split()


def test_only_the_agent_is_root():
    """And it alone gets the key."""
    for program in PROGRAMS:
        service = unit(f"pointsman-{program}.service")["Service"]
        assert service.get("User", "root") == ("root" if program == "agent" else Config().user)
        assert ("LoadCredential" in service) == (program == "agent")


def test_paths_are_those_of_the_default_configuration():
    """Key, state and sockets."""
    config = Config()
    agent = unit("pointsman-agent.service")["Service"]
    assert agent["LoadCredential"] == f"{CREDENTIAL}:{config.secret_key_file}"
    folders = {str(config.state_directory), str(config.policy_socket.parent)}
    for program in ("policy", "milter", "submit"):
        service = unit(f"pointsman-{program}.service")["Service"]
        assert set(service["ReadWritePaths"].split()) == folders
    made = (FOLDER / "pointsman.tmpfiles.conf").read_text()
    for folder in folders:
        assert re.search(rf"^d {folder} ", made, re.MULTILINE)


def test_account_is_that_of_the_default_configuration():
    """sysusers.d(5) makes it."""
    lines = (FOLDER / "pointsman.sysusers.conf").read_text()
    assert re.search(rf"^u {Config().user} ", lines, re.MULTILINE)
