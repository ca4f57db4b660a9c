"""The files that apply keeps: written whole or not at all."""

import grp
import os
import pwd
from pathlib import Path


def write(path: Path, text: str, mode: int, group: int = -1) -> None:
    """Replace a file by rename, never readable by more than `mode` allows."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fchown(file.fileno(), -1, group)
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    new.replace(path)


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
    kept = keep(path)
    return kept[0].decode("utf-8", "surrogateescape") if kept else None


Kept = tuple[bytes, int]


def keep(path: Path) -> Kept | None:
    """What is needed to bring a file back: content and mode."""
    try:
        return path.read_bytes(), path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None


def present(folder: Path) -> list[Path]:
    """The files that apply keeps, but for the table of senders."""
    return [
        p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("sender_transport")
    ]


def restore(path: Path, kept: Kept | None) -> None:
    """Bring a file back, or take away one that was not there; in place, as owned."""
    if kept is None:
        path.unlink(missing_ok=True)
    elif keep(path) != kept:
        path.touch(mode=0o600)
        path.write_bytes(kept[0])
        path.chmod(kept[1])
