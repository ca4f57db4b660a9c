"""A machine that Pointsman is installed on by pip, from a source distribution."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab import machine as machines
from lab.machine import Machine
from tests.postfix.deb import REFUSED, ROOT, package

WHEELS = ROOT / "build" / "wheels"
TOOLS = ROOT / "build" / "tools" / "bin"
PIP = (TOOLS / "pip", "-q", "--disable-pip-version-check")
OFFLINE = ("--no-index", "--find-links", WHEELS)
SDIST = "import sys; from setuptools.build_meta import build_sdist; build_sdist(sys.argv[1])"
NOT_SOURCE = shutil.ignore_patterns(".git", ".venv", ".*_cache", "build", "dist", "*.egg-info")


@cache
def wheel() -> tuple[str, bytes]:
    """The wheel that is made of the source distribution: its name, and what is in it."""
    package()  # which fetches the libraries
    with TemporaryDirectory(prefix="pointsman-wheel-") as name:
        folder = Path(name)
        shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=NOT_SOURCE)
        run(*PIP, "install", *OFFLINE, "--target", folder / "tools", "setuptools")
        environment = {**os.environ, "PYTHONPATH": str(folder / "tools")}
        command = TOOLS / "python3", "-c", SDIST, folder / "sdist"
        run(*command, cwd=folder / "source", env=environment)
        run(*PIP, "wheel", *OFFLINE, "--no-deps", "-w", folder, *(folder / "sdist").iterdir())
        (path,) = folder.glob("*.whl")
        return path.name, path.read_bytes()


def run(*command: str | Path, **options: object) -> None:
    """Run a command that must succeed."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr


@contextmanager
def machine_with_pip(folder: str) -> Iterator[Machine]:
    """A machine with a virtual environment that Pointsman is installed in."""
    if REFUSED:
        pytest.skip(f"no machine can be made here: {REFUSED}")
    name, content = wheel()
    libraries = io.BytesIO()
    with tarfile.open(fileobj=libraries, mode="w") as archive:
        archive.add(WHEELS, "wheels")
    with machines.running() as machine:
        machine.run("tar", "xC", "/root", stdin=libraries.getvalue())
        machine.write(f"/root/{name}", content)
        machine.run("/usr/bin/python3", "-m", "venv", folder)
        pip = f"{folder}/bin/pip", "-q", "install", "--no-index", "--find-links", "/root/wheels"
        machine.run(*pip, f"/root/{name}")
        yield machine
