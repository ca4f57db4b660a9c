"""Makes a running Postfix read its configuration, and waits until it really has.

`postfix reload` returns at once, while master is still opening the sockets of new
services and the old queue manager still answers from memory.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pointsman.postfix import probe
from pointsman.postfix.conf import Instance, PostfixError

PATIENCE = 5.0  # seconds that master may take
_PAUSE = 0.01


def reload(instance: Instance, started: Iterable[str] = ()) -> bool:
    """Reload, wait for new services and a new queue manager, and try each smtpd.

    Returns False if the old queue manager is still at work, with its memory of where
    senders go. Raises PostfixError if a service does not start.
    """
    old = queue_managers(instance)
    instance.run("postfix", "reload")
    _wait_for_sockets(instance, list(started))
    fresh = _wait(lambda: not (old & queue_managers(instance)))
    probe.probe_smtpd(instance)
    # The old one took unread triggers with it, and the new one would look into the
    # incoming queue only when more mail comes, or after minutes.
    _wait(lambda: instance.test("postkick", "public", "qmgr", "I"))
    return fresh


def queue_managers(instance: Instance) -> set[int]:
    """The process ids of the instance's queue managers: two for a moment, after a reload."""
    master = instance.master_pid()
    try:
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    except OSError:
        return set()
    return {int(pid) for pid in children if _command(pid) in ("qmgr", "nqmgr", "oqmgr")}


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _wait_for_sockets(instance: Instance, services: list[str]) -> None:
    places = [instance.queue_directory() / folder for folder in ("private", "public")]

    def missing() -> list[str]:
        return [s for s in services if not any((p / s).exists() for p in places)]

    if not _wait(lambda: not missing()):
        raise PostfixError(f"master does not start {missing()[0]}: see the mail log")


def _wait(condition: Callable[[], bool]) -> bool:
    """Look again and again, as master announces nothing; False if time runs out."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True
