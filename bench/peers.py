"""Debian's packages that only the benchmarks need, and how they get here."""

import os
import subprocess
from pathlib import Path

PACKAGES = ("policyd-rate-limit", "postfwd")
GUARD = Path("/usr/sbin/policy-rc.d")


def install() -> None:
    """Install what is missing; as in ./bootstrap, no service of theirs is started."""
    missing = [name for name in PACKAGES if not version(name)]
    if not missing:
        return
    print(f"bench: installing {' '.join(missing)}", flush=True)
    guarded = not GUARD.exists()
    if guarded:
        GUARD.write_text("#!/bin/sh\nexit 101\n")
        GUARD.chmod(0o755)
    try:
        _apt("update")
        _apt("-y", "--no-install-recommends", "install", *missing)
    finally:
        if guarded:
            GUARD.unlink()


def _apt(*arguments: str) -> None:
    result = subprocess.run(
        ["apt-get", "-qq", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    )
    if result.returncode:
        raise RuntimeError(f"apt-get {' '.join(arguments)}: {result.stdout}{result.stderr}")


def version(package: str) -> str:
    """The version that is installed, or ''."""
    result = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    status, _, found = result.stdout.partition(" ")
    return found if status == "installed" else ""
