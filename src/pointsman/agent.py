"""`pointsman run agent`: the only privileged daemon; brings new revisions to Postfix."""

import gc
import math
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pointsman import logs, notify_socket
from pointsman.checks.facts import EMPTY_BOOK, Facts
from pointsman.checks.finding import findings
from pointsman.checks.table import CERTIFICATES
from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.heartbeat import Heartbeat
from pointsman.locks import locked
from pointsman.oauth.renewal import Renewal
from pointsman.postfix.apply import Applier
from pointsman.release import Release
from pointsman.routing.snapshot import applied
from pointsman.store.book import connectors
from pointsman.store.database import Store, StoreError, jittered
from pointsman.trouble import Trouble
from pointsman.watch import Watch

POLL = 0.1  # seconds between looks at the revision
POLL_SHARED = 0.5  # the same where several hosts ask one server
RETRY = 5.0  # seconds to wait after trouble, more or less
DAY = 86_400.0  # seconds between warnings of what comes to an end

Seen = tuple[int, int, int]


class Agent:
    """Watches the database's revision and Postfix's own files."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._store = Store(config)
        self._applier = Applier(config, self._store)
        self._heartbeat = Heartbeat(self._store)
        self._applied: Seen | None = None
        self._wrote = False  # whether the last apply had something to change
        self._ends = math.inf  # when what was applied is no longer right
        self._trouble = Trouble()
        self._warned = float("-inf")
        self.stop = threading.Event()

    def run(self) -> None:
        """Apply whatever is new until told to stop."""
        logs.start("agent", self._config.log)
        with locked(self._config.agent_lock, wait=False):
            logs.started("agent")
            daemon = notify_socket.service("apply", "release", "renewal", "watch")
            Release(self._config, self.stop, daemon.alive).start()
            Renewal(self._config, self._store, self.stop, daemon.alive).start()
            Watch(self._config, self.stop, daemon.alive).start()
            daemon.ready()
            while not self.stop.wait(self._pause()):
                self.step()
                daemon.alive("apply")
            daemon.stopping()

    def _pause(self) -> float:
        if self._trouble:
            return jittered(RETRY)
        return POLL_SHARED if self._store.is_shared else POLL

    def step(self) -> None:
        """Look once, and apply if there is something new."""
        try:
            seen = self._look()
            if seen != self._applied or time.time() >= self._ends:
                gc.disable()  # 100,000 links are many objects, and none of them is garbage yet
                report = self._applier.apply()
                # What we wrote is looked at once more, as an edit of the admin's may have come
                # while we wrote; that says something only if there was one.
                is_news = self._applied is None or seen[0] != self._applied[0]
                if report.changes or is_news or not self._wrote:
                    logs.applied(report.revision, len(report.changes), report.moved)
                self._ends = report.ends
                self._wrote = bool(report.changes)
                self._applied = (report.revision, *seen[1:])  # the files as they were before
            self.warn(time.monotonic())
            self._trouble.over()
        except StoreError as error:
            self._trouble.came(error)
        except (PointsmanError, OSError) as error:
            self._trouble.came(error)
            self._beat(str(error))
        else:
            self._beat()
        finally:
            gc.enable()

    def _beat(self, trouble: str = "") -> None:
        revision = self._applied[0] if self._applied else applied(self._config.snapshot) or 0
        self._heartbeat.beat(revision, trouble, time.time())

    def _look(self) -> Seen:
        """What would make us apply: an edit of the admin's, in either place."""
        instance = self._applier.instance
        return (
            self._store.revision(),
            _changed_at(instance.main_cf),
            _changed_at(instance.master_cf),
        )

    def warn(self, now: float) -> None:
        """Say once a day what will stop mail before long."""
        if now < self._warned + DAY:
            return
        book = replace(EMPTY_BOOK, connectors={c.name: c for c in connectors(self._store)})
        for found in findings(CERTIFICATES, Facts(datetime.now(UTC), book=book)):
            logs.alarm(found.name, found.kind, found.text)
        self._warned = now


def _changed_at(path: Path) -> int:
    return path.stat().st_mtime_ns
