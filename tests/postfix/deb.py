"""Builds the Debian package, and machines that it is installed on."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from lab import machine as machines
from lab.machine import Machine

ROOT = Path(__file__).parents[2]
REFUSED = machines.refused()
# What every package that comes and goes leaves, and what a running machine writes by itself.
ELSEWHERE = re.compile(
    r"/(run|tmp|dev|root|var/log|var/cache|var/lib/(dpkg|systemd|postfix|ucf|apt|private)"
    r"|var/spool/postfix|usr/sbin/policy-rc\.d|etc/(mtab|hostname|resolv\.conf|machine-id))\b"
    r"|/(var|var/lib|etc|usr/lib/python3(/.*)?/__pycache__.*)$"
)


@cache
def package() -> Path:
    """The package, built once as `make deb` builds it."""
    command = [ROOT / "packaging" / "build"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return ROOT / result.stdout.splitlines()[-1].removeprefix("deb: ")


@contextmanager
def machine_with_package(*, systemd: bool) -> Iterator[Machine]:
    """A machine that the package is installed on."""
    if REFUSED:
        pytest.skip(f"no machine can be made here: {REFUSED}")
    with machines.running(systemd=systemd) as machine:
        # Here services may start, whatever this machine's own policy is.
        machine.run("rm", "-f", "/usr/sbin/policy-rc.d")
        machine.write("/root/pointsman.deb", package().read_bytes())
        machine.run("dpkg", "-i", "/root/pointsman.deb")
        yield machine


def altered(machine: Machine) -> list[str]:
    """What is other than before, where a package has no business."""
    return sorted(path for path in machine.changed() if not ELSEWHERE.match(path))
