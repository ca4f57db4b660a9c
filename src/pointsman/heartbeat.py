"""The agent's signs of life, for those who look at the database from another host."""

import secrets

from pointsman import __version__, logs
from pointsman.errors import PointsmanError
from pointsman.store import hosts
from pointsman.store.database import Store
from pointsman.store.hosts import Host


class Heartbeat:
    """Writes this host's row when something is new, else now and then."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._run = secrets.token_hex(8)
        self._told: tuple[int, str] | None = None  # revision and trouble in the row
        self._applied = 0.0
        self._next = 0.0
        self._away = False  # whether the database took nothing the last time
        self._twin = ""  # another agent under the same name

    def beat(self, revision: int, trouble: str, now: float) -> None:
        """Say that this host lives, what it has applied, and what keeps it from more."""
        news = (revision, trouble)
        if now < self._next and (news == self._told or self._away):
            return
        if self._told is None or self._told[0] != revision:
            self._applied = now
        self._next = now + hosts.BEAT
        name = self._store.config.host
        row = Host(name, __version__, revision, self._applied, now, trouble, self._run)
        try:
            before = hosts.put(self._store, row)
        except PointsmanError as error:
            self._failed(error)
            return
        self._away = False
        if self._told is not None:
            self._look_for_twin(before)
        self._told = news

    def _failed(self, error: PointsmanError) -> None:
        """Mail and changes need no row: say it once, and go on."""
        if not self._away:
            logs.host_not_written(error)
        self._away = True

    def _look_for_twin(self, before: Host | None) -> None:
        """What we wrote last must be there still, else two agents have one name."""
        twin = before.run if before and before.run != self._run else ""
        if twin and twin != self._twin:
            logs.alarm(
                f"host {self._store.config.host}",
                "host-twice",
                "is the name of two agents: give each its own host_name in the configuration",
            )
        self._twin = twin or self._twin
