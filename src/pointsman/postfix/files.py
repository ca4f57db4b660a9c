"""The files that apply keeps: written whole or not at all, and brought back if need be."""

import grp
import os
import pwd
from collections.abc import Iterable
from pathlib import Path

WITHOUT = "without"  # the folder of main.cf and master.cf without us: see theirs.py


def write(path: Path, text: str, mode: int, group: int = -1) -> None:
    """Replace a file by rename, never readable by more than `mode` allows."""
    stage(path, text, mode, group).replace(path)


def stage(path: Path, text: str, mode: int, group: int = -1) -> Path:
    """Write a file that only wants to be renamed to `path`, which needs no room on the disk."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    try:
        _fill(new, text, mode, group)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    return new


def _fill(path: Path, text: str, mode: int, group: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)
        file.flush()
        os.fchown(file.fileno(), -1, group)
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())


def group_of(user: str) -> int:
    """The account's group; our own where there is no such account."""
    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        return grp.getgrgid(os.getgid()).gr_gid


def holds(path: Path, text: str, mode: int) -> bool:
    """Whether a file is just so."""
    return text_of(path) == text and path.stat().st_mode & 0o777 == mode


def text_of(path: Path) -> str | None:
    """A file's text, or None if there is no such file."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


Kept = tuple[str, int, int]  # text, mode, group


def keep(path: Path) -> Kept | None:
    """What is needed to bring a file back, or None if there is none."""
    text = text_of(path)
    if text is None:
        return None
    status = path.stat()
    return text, status.st_mode & 0o777, status.st_gid


def bring_back(path: Path, kept: Kept | None) -> None:
    """Make a file what it was, or take it away."""
    if kept is None:
        path.unlink(missing_ok=True)
    elif keep(path) != kept:
        write(path, *kept)


def present(folder: Path) -> list[Path]:
    """The files that apply keeps, but for the table of senders."""
    return [
        p
        for p in folder.rglob("*")
        if p.is_file() and not p.name.startswith("sender_transport") and p.parent.name != WITHOUT
    ]


class Backup:
    """Files as they are, under second names: a full disk has room to bring them back.

    Who replaces the file by rename, as we and postconf(1) do, leaves the second name alone.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self.there: dict[Path, bool] = {}
        for path in paths:
            try:
                _link(path)
                self.there[path] = True
            except FileNotFoundError:
                self.there[path] = False

    def restore(self, path: Path) -> bool:
        """Bring a file back, or take away one that was not there; whether that was needed."""
        if not self.there[path]:
            needed = path.exists()
            path.unlink(missing_ok=True)
            return needed
        if path.exists() and path.samefile(_second(path)):
            return False
        _second(path).replace(path)
        return True

    def forget(self) -> None:
        """Take the second names away."""
        for path, there in self.there.items():
            if there:
                _second(path).unlink(missing_ok=True)


def _link(path: Path) -> None:
    try:
        os.link(path, _second(path))
    except FileExistsError:  # left behind by one that was killed
        _second(path).unlink()
        os.link(path, _second(path))


def _second(path: Path) -> Path:
    return path.with_name(f".{path.name}.kept")
