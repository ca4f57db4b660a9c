"""The files that apply keeps: written whole or not at all, and brought back if need be."""

import grp
import os
import pwd
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

WITHOUT = "without"  # the folder of main.cf and master.cf without us: see theirs.py

Version = tuple[int, int]


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


def version(path: Path) -> Version:
    """What another content of a file would change: nobody writes a snapshot in place."""
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


def present(folder: Path) -> list[Path]:
    """The files that apply keeps, but for the table of senders."""
    return [
        p
        for p in folder.rglob("*")
        if p.is_file()
        and not p.name.startswith("sender_transport")
        and not (p.name.startswith(".") and p.name.endswith(f".{Undo.MARK}"))
        and p.parent.name != WITHOUT
    ]


class Backup:
    """Files as they are, under second names: a full disk has room to bring them back.

    Who replaces the file by rename, as we and postconf(1) do, leaves the second name alone.
    """

    def __init__(self, paths: Iterable[Path], mark: str = "kept") -> None:
        self.mark = mark  # of the second names
        self.there: dict[Path, bool] = {}
        for path in paths:
            try:
                self._link(path)
                self.there[path] = True
            except FileNotFoundError:
                self.there[path] = False
            except OSError:
                self.forget()
                raise

    def _link(self, path: Path) -> None:
        try:
            os.link(path, self._second(path))
        except FileExistsError:  # left behind by one that was killed
            self._second(path).unlink()
            os.link(path, self._second(path))

    def _second(self, path: Path) -> Path:
        return path.with_name(f".{path.name}.{self.mark}")

    def restore(self, path: Path) -> bool:
        """Bring a file back, or take away one that was not there; whether that was needed."""
        if not self.there[path]:
            needed = path.exists()
            path.unlink(missing_ok=True)
            return needed
        if path.exists() and path.samefile(self._second(path)):
            return False
        self._second(path).replace(path)
        return True

    def restore_all(self) -> None:
        """Bring every file back; then the second names are not needed any more."""
        for path in self.there:
            self.restore(path)
        self.forget()

    def forget(self) -> None:
        """Take the second names away."""
        for path, there in self.there.items():
            if there:
                self._second(path).unlink(missing_ok=True)


class Undo(ExitStack):
    """What takes setup's steps back: `close` it after a failure, else say `done`."""

    MARK = "setup"

    def __init__(self) -> None:
        super().__init__()
        self._backups: list[Backup] = []

    def keep(self, paths: Iterable[Path]) -> Backup:
        """Second names of files for who registers how to bring them back, and forgets them then."""
        backup = Backup(paths, self.MARK)
        self._backups.append(backup)
        return backup

    def done(self) -> None:
        """Take nothing back."""
        self.pop_all()
        for backup in self._backups:
            backup.forget()
