"""The unit files of contrib/systemd, as setup writes them where no package brought any.

They go where systemd looks for what an admin installs, and not into /etc/systemd/system: a unit
there can't be masked, and `systemctl edit --full` has no original to go back to (systemd.unit(5)).
"""

import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files as resources
from pathlib import Path

from pointsman.errors import PointsmanError
from pointsman.postfix import files

FOLDER = Path("/usr/local/lib/systemd/system")
OF_PACKAGES = (Path("/lib/systemd/system"), Path("/usr/lib/systemd/system"))
TARGET = "pointsman.target"
PROGRAM = "ExecStart=/usr/bin/pointsman "  # in contrib/systemd
# What the units don't let their daemons see: ProtectHome= and PrivateTmp=.
HIDDEN = tuple(Path(path) for path in ("/home", "/root", "/run/user", "/tmp", "/var/tmp"))  # noqa: S108


class UnitsError(PointsmanError):
    """systemd does not start the daemons."""


@dataclass(frozen=True)
class Changes:
    """What is to be done to the files in FOLDER."""

    write: Mapping[Path, str]
    remove: tuple[Path, ...]
    edited: tuple[Path, ...]  # by somebody else since: theirs to keep

    def __bool__(self) -> bool:
        return bool(self.write or self.remove)

    def words(self) -> list[str]:
        """Each of them, for people."""
        return [
            *(f"write {path}" for path in self.write),
            *(f"remove {path}" for path in self.remove),
            *(f"not touched: {path} (edited; without it, setup writes its own)"
              for path in self.edited),
        ]  # fmt: skip

    def make(self) -> None:
        """Make them."""
        for path, text in self.write.items():
            files.write(path, text, 0o644)
        for path in self.remove:
            path.unlink()
        prune()


def prune() -> None:
    """Take away folders that hold nothing any more."""
    for folder in (FOLDER, FOLDER.parent):
        with suppress(OSError):  # there is something, or there never was a folder
            folder.rmdir()


def wanted() -> dict[str, str]:
    """Every unit of this installation with its text; none where a package brings its own.

    Raises UnitsError if a unit could not start this installation's program.
    """
    if any((folder / TARGET).exists() for folder in OF_PACKAGES):
        return {}
    program = Path(sysconfig.get_path("scripts"), "pointsman")
    _require_visible(program)
    start = f'ExecStart="{str(program).replace("%", "%%")}" '
    units = (unit for unit in (resources("pointsman") / "systemd").iterdir() if _is_unit(unit.name))
    return {unit.name: unit.read_text("utf-8").replace(PROGRAM, start) for unit in units}


def _is_unit(name: str) -> bool:
    return name.endswith((".service", ".target"))


def _require_visible(program: Path) -> None:
    if not program.exists():
        raise UnitsError(
            f"systemd's units have no {program} to start: install Pointsman with pip, or give "
            "--no-units and start the daemons yourself"
        )
    for path in hidden((program, Path(sys.executable), Path(sys.base_prefix), Path(__file__))):
        raise UnitsError(
            f"systemd's units don't see {path}, so they can't start the daemons: install Pointsman "
            "elsewhere (`python3 -m venv /opt/pointsman`), or give --no-units and start the "
            "daemons yourself"
        )


def hidden(paths: Iterable[Path]) -> Iterator[Path]:
    """Those that the daemons can't see, links followed."""
    for path in paths:
        yield from (p for p in (path, path.resolve()) if any(map(p.is_relative_to, HIDDEN)))


def changes(wanted: Mapping[str, str], folder: Path = FOLDER) -> Changes:
    """What is to be done so that just the wanted units are there, but for edited ones."""
    marked = {folder / name: _marked(text) for name, text in wanted.items()}
    there = {
        path: files.text_of(path) or "" for path in folder.glob("pointsman*") if path.is_file()
    }
    edited = {path for path, text in there.items() if not _is_untouched(text)}
    return Changes(
        {p: t for p, t in marked.items() if there.get(p) != t and p not in edited},
        tuple(sorted(p for p in there if p not in marked and p not in edited)),
        tuple(sorted(edited)),
    )


def _marked(text: str) -> str:
    """A unit with a first line by which we know it, and whether somebody edited it."""
    digest = sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"# `pointsman setup` writes this; yours goes into `systemctl edit` ({digest}).\n{text}"


def _is_untouched(text: str) -> bool:
    return _marked(text.partition("\n")[2]) == text
