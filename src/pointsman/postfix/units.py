"""The daemons as systemd's units: those of a package, or those that setup writes."""

import subprocess
import time
from pathlib import Path

from pointsman.config import DEFAULT_PATH, Config
from pointsman.postfix import unit_files
from pointsman.postfix.files import Undo
from pointsman.postfix.unit_files import TARGET, Changes, UnitsError

STARTING = f"systemctl enable --now {TARGET}"
RESTARTING = f"systemctl restart {TARGET}"
PATIENCE = 10.0  # seconds for a daemon that needs a second try
PAUSE = 0.1


def serve(config: Config) -> bool:
    """Whether systemd runs this host, knows our units, and they are for this configuration."""
    return may_serve(config) and _systemctl("cat", TARGET) is None


def may_serve(config: Config) -> bool:
    """Whether systemd runs this host, and its units would be for this configuration."""
    return Path("/run/systemd/system").is_dir() and config.path == DEFAULT_PATH


def at_work() -> bool:
    """Whether they are started, now and at boot."""
    enabled = _systemctl("is-enabled", TARGET) is None
    return enabled and _systemctl("is-active", TARGET) is None and not _asleep()


def plan() -> list[str]:
    """Each change that `bring_up` would make, in words.

    Raises UnitsError if the units could not start this installation.
    """
    changes = unit_files.changes(unit_files.wanted())
    return [*changes.words(), *_steps(changes)]


def _steps(changes: Changes) -> list[str]:
    if not at_work():
        return [STARTING]
    return [RESTARTING] if changes else []


def bring_up(undo: Undo) -> None:
    """Have the daemons run by the units of this installation, now and at boot."""
    changes = unit_files.changes(unit_files.wanted())
    steps = _steps(changes)
    _replace(changes, undo, restart=steps == [RESTARTING])
    for step in steps:
        if step == STARTING:
            undo.callback(stop)
        trouble = _systemctl(*step.split()[1:])
        if trouble is not None:
            raise UnitsError(f"systemd does not start {TARGET}: {trouble or 'see its journal'}")
        _insist()


def _replace(changes: Changes, undo: Undo, *, restart: bool) -> None:
    if not changes:
        return
    if restart:
        undo.callback(_systemctl, "restart", TARGET)
    undo.callback(_systemctl, "daemon-reload")
    undo.callback(unit_files.prune)
    undo.callback(undo.keep([*changes.write, *changes.remove]).restore_all)
    changes.make()
    _systemctl("daemon-reload")


def _insist() -> None:
    """A target is reached even if none of its daemons starts."""
    deadline = time.monotonic() + PATIENCE
    while asleep := _asleep():
        if time.monotonic() > deadline:
            raise UnitsError(f"{asleep[0]} does not start: `journalctl -u {asleep[0]}` says why")
        time.sleep(PAUSE)


def _asleep() -> list[str]:
    """The daemons that don't run; those that the admin has masked need not."""
    services = _said("show", "--property=Wants", "--value", TARGET).split()
    shown = _said("show", "--property=Id,LoadState,ActiveState", *services) if services else ""
    found = [dict(line.split("=", 1) for line in block.split()) for block in shown.split("\n\n")]
    awake = (("ActiveState", "active"), ("LoadState", "masked"))
    return [
        unit["Id"] for unit in found if unit and not any(item in unit.items() for item in awake)
    ]


def stop() -> None:
    """Stop them, now and at boot."""
    _systemctl("disable", "--now", TARGET)


def leaving() -> list[str]:
    """Each change that `take_down` would make, in words."""
    return ["stop the daemons (systemd)", *unit_files.changes({}).words()]


def take_down() -> None:
    """Stop them, and take away the files that setup wrote."""
    stop()
    unit_files.changes({}).make()
    _systemctl("daemon-reload")


def _systemctl(*arguments: str) -> str | None:
    """None if it succeeded, else what it said."""
    result = _run(*arguments)
    return None if result.returncode == 0 else result.stderr.strip()


def _said(*arguments: str) -> str:
    return _run(*arguments).stdout.strip()


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603
        ["/usr/bin/systemctl", *arguments], capture_output=True, text=True, check=False
    )
