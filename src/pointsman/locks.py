"""Locks between processes; the kernel lets go of a dead holder's."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pointsman.errors import PointsmanError


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock for the length of the block; without `wait`, fail if another has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise PointsmanError(f"another {path.stem} is running: it holds {path}") from None
        yield


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
