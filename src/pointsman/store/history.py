"""The history of changes: read by people, by `undo`, and by the mail log."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Select, select

from pointsman import logs
from pointsman.errors import PointsmanError
from pointsman.store import tables
from pointsman.store.database import Store
from pointsman.store.records import Change

MOST_NAMED = 3  # changes in one sentence
MOST_LOGGED = 100  # log lines for one action of an edit


class StaleError(PointsmanError):
    """Someone changed the database since it was looked at."""


def newest(store: Store, limit: int) -> list[Change]:
    """The newest changes, newest first."""
    table = tables.change
    with store.reading() as connection:
        return _changes(connection, select(table).order_by(table.c.id.desc()).limit(limit))


def since(connection: Connection, revision: int) -> list[Change]:
    """The changes from a revision on, that one included, oldest first."""
    table = tables.change
    return _changes(
        connection, select(table).where(table.c.revision >= revision).order_by(table.c.id)
    )


def _changes(connection: Connection, query: Select[Any]) -> list[Change]:
    rows = connection.execute(query).mappings()
    return [Change(**{k: v for k, v in row.items() if k != "id"}) for row in rows]


def refuse_stale(connection: Connection, found: int, expected: int | None) -> None:
    """Raise StaleError, naming what is newer, if the database is not at the expected revision."""
    if expected is None or found == expected:
        return
    newer = since(connection, expected + 1) if expected < found else []
    what = f"; since then: {spelled(newer)}" if newer else ""
    raise StaleError(
        f"the database is at revision {found}, not {expected}: look again with "
        f"`pointsman history`, then repeat{what}"
    )


def spelled(changes: Sequence[Change]) -> str:
    """Changes in words: what, by whom, in which revision."""
    named = [
        f"{' '.join(filter(None, (c.action, c.name)))} by {c.who} (revision {c.revision})"
        for c in changes[:MOST_NAMED]
    ]
    more = len(changes) - MOST_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def log(changes: Iterable[Change]) -> None:
    """Write each change into the mail log; very many of one kind in one line."""
    for action, group in groupby(changes, lambda change: change.action):
        alike = list(group)
        for c in alike[:MOST_LOGGED]:
            logs.changed(c.revision, c.who, c.host, action, c.name, _fields(c))
        if len(alike) > MOST_LOGGED:
            c = alike[-1]
            logs.changed(c.revision, c.who, c.host, action, "", [], len(alike) - MOST_LOGGED)


def _fields(change: Change) -> list[str]:
    """The names of the fields that changed; values may be secret."""
    if change.old is None or change.new is None:
        return []
    return [name for name, value in change.new.items() if change.old.get(name) != value]
