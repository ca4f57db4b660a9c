"""The daemons as systemd's units, where a package has installed them."""

import subprocess
from contextlib import ExitStack
from pathlib import Path

from pointsman.config import DEFAULT_PATH, Config
from pointsman.errors import PointsmanError

TARGET = "pointsman.target"
STARTING = f"systemctl enable --now {TARGET}"


class UnitsError(PointsmanError):
    """systemd does not start the daemons."""


def serve(config: Config) -> bool:
    """Whether systemd runs this host, knows our units, and they are for this configuration."""
    booted = Path("/run/systemd/system").is_dir()
    return booted and config.path == DEFAULT_PATH and _systemctl("cat", TARGET) is None


def at_work() -> bool:
    """Whether they are started, now and at boot."""
    return _systemctl("is-enabled", TARGET) is None and _systemctl("is-active", TARGET) is None


def start(undo: ExitStack) -> None:
    """Start them, now and at boot; a unit that is ready has told systemd so."""
    undo.callback(stop)
    trouble = _systemctl("enable", "--now", TARGET)
    if trouble is not None:
        raise UnitsError(f"systemd does not start {TARGET}: {trouble or 'see its journal'}")


def stop() -> None:
    """Stop them, now and at boot."""
    _systemctl("disable", "--now", TARGET)


def _systemctl(*arguments: str) -> str | None:
    """None if it succeeded, else what it said."""
    result = subprocess.run(  # noqa: S603
        ["/usr/bin/systemctl", *arguments], capture_output=True, text=True, check=False
    )
    return None if result.returncode == 0 else result.stderr.strip()
