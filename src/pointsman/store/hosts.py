"""The hosts that share the database: what each one's agent says of itself."""

from dataclasses import asdict, dataclass

from sqlalchemy import delete, insert, select, update

from pointsman.store import tables
from pointsman.store.database import Store

BEAT = 10.0  # seconds between two signs of life
AWAY = 35.0  # seconds after the last one; an apply may take some


@dataclass(frozen=True)
class Host:
    """One row; times are seconds since the epoch, by the host's own clock."""

    name: str
    version: str  # of its Pointsman
    revision: int  # the newest that its Postfix has
    applied: float  # when that was
    seen: float
    trouble: str = ""  # what keeps it from applying a newer one
    run: str = ""  # tells one agent from another

    def behind(self, newest: int) -> int:
        """How many revisions it lacks."""
        return max(newest - self.revision, 0)

    def age(self, now: float) -> float:
        """Seconds since its last sign of life; clocks differ, so never less than none."""
        return max(now - self.seen, 0.0)

    def state(self, newest: int, now: float) -> str:
        """In a word: away, troubled, behind, or live."""
        if self.age(now) > AWAY:
            return "away"
        if self.trouble:
            return "troubled"
        return "behind" if self.behind(newest) else "live"


def put(store: Store, host: Host) -> Host | None:
    """Write a host's row; returns what was there before."""
    table = tables.host
    with store.writing() as connection:
        found = connection.execute(select(table).where(table.c.name == host.name)).one_or_none()
        if found is None:
            connection.execute(insert(table).values(**asdict(host)))
        else:
            connection.execute(
                update(table).where(table.c.name == host.name).values(**asdict(host))
            )
    return Host(*found) if found else None


def all_of(store: Store) -> list[Host]:
    """Every host whose agent ever ran, by name."""
    with store.reading() as connection:
        rows = connection.execute(select(tables.host)).all()
    return sorted((Host(*row) for row in rows), key=lambda host: host.name)


def forget(store: Store, name: str) -> bool:
    """Take a host off the list; False if it is not on it."""
    table = tables.host
    with store.writing() as connection:
        return connection.execute(delete(table).where(table.c.name == name)).rowcount > 0
