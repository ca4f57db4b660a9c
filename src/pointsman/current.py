"""What decisions rest on, kept fresh by a thread of Python's own: snapshot and health."""

import gc
import json
import threading
from pathlib import Path

from pointsman import logs
from pointsman.postfix.files import Version, version
from pointsman.routing.snapshot import Snapshot, load

POLL = 0.1  # seconds between looks at the file


class Current:
    """Holds the newest good snapshot; replacing it is one assignment."""

    def __init__(self, path: Path, health: Path | None = None, *, quiet: bool = False) -> None:
        self.path = path
        self._health = health
        self._quiet = quiet
        self.snapshot: Snapshot | None = None
        self.down: frozenset[str] = frozenset()  # connectors, as the agent says
        self._lock = threading.Lock()
        self._seen: Version | None = None

    def refresh(self) -> None:
        """Load the file if it is another one than last time; keep the old one on trouble."""
        with self._lock:
            self._refresh()

    def _refresh(self) -> None:
        self._refresh_snapshot()
        if self._health is None:
            return
        found = down(self._health)
        if found != self.down:
            self.down = found
            logs.down(found)

    def _refresh_snapshot(self) -> None:
        try:
            seen = version(self.path)
            if seen == self._seen:
                return
            self._seen = seen
            self.snapshot = _loaded(self.path)
            if not self._quiet:
                logs.snapshot_loaded(self.snapshot)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            logs.snapshot_unreadable(self.path, error)

    def watch(self) -> None:
        """Start the thread that refreshes."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(POLL):
            self.refresh()


def _loaded(path: Path) -> Snapshot:
    """Load without the garbage collector, and keep it from what was loaded.

    With 100,000 agencies it would look through a million new objects several times, all
    threads standing still for a third of a second each. A snapshot has no cycles: it goes
    when nobody holds it.
    """
    gc.disable()
    try:
        snapshot = load(path)
        gc.freeze()
    finally:
        gc.enable()
    return snapshot


def down(path: Path) -> frozenset[str]:
    """The connectors that the agent found down; none, if it never said."""
    try:
        return frozenset(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return frozenset()
