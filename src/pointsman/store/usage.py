"""What was sent, by slices of time, and what somebody should know: for people, not for rates."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from pointsman.store import tables
from pointsman.store.database import Store
from pointsman.store.tables import COUNTS

KEPT = timedelta(days=400)
SLICE = 600  # seconds that one row covers

Usage = Mapping[tuple[int, str], Sequence[int]]  # start of a slice, name: a number for each count
Notice = tuple[str, str, str]  # whom it concerns, its kind, its text


def add(store: Store, usage: Usage, notices: Sequence[Notice]) -> None:
    """Add what was counted to what is there."""
    host = store.config.host
    table = tables.usage
    with store.writing() as connection:
        _add(connection, host, usage)
        now = datetime.now(UTC)
        at, oldest = (t.isoformat(timespec="seconds") for t in (now, now - KEPT))
        for name, kind, text in notices:
            row = {"host": host, "at": at, "name": name, "kind": kind, "text": text}
            connection.execute(insert(tables.notice).values(**row))
        connection.execute(delete(tables.notice).where(tables.notice.c.at < oldest))
        connection.execute(delete(table).where(table.c.start < (now - KEPT).timestamp()))


def _add(connection: Connection, host: str, usage: Usage) -> None:
    table = tables.usage
    insert_into = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    new: Any = insert_into(table)  # both can add to a row that is there
    more = {name: table.c[name] + new.excluded[name] for name in COUNTS}
    rows = [
        {"host": host, "start": start, "name": name, **dict(zip(COUNTS, counts, strict=True))}
        for (start, name), counts in usage.items()
    ]
    if rows:
        add = new.on_conflict_do_update(index_elements=list(table.primary_key), set_=more)
        connection.execute(add, rows)


def read(
    store: Store, since: float, host: str | None = None
) -> dict[str, dict[int, dict[str, int]]]:
    """Counts by name and slice, from a time on (seconds since the epoch): all hosts' or one's."""
    table = tables.usage
    found: dict[str, dict[int, dict[str, int]]] = {}
    wanted = select(table).where(table.c.start >= since)
    if host is not None:
        wanted = wanted.where(table.c.host == host)
    with store.reading() as connection:
        for row in connection.execute(wanted).mappings():
            counts = found.setdefault(row["name"], {}).setdefault(row["start"], {})
            for count in COUNTS:
                counts[count] = counts.get(count, 0) + row[count]
    return found


def has_any(store: Store, host: str) -> bool:
    """Whether a host ever wrote something down."""
    wanted = select(tables.usage.c.host).where(tables.usage.c.host == host).limit(1)
    with store.reading() as connection:
        return connection.scalar(wanted) is not None


def notices(store: Store, limit: int) -> list[RowMapping]:
    """The newest of what somebody should know, newest first, from all hosts."""
    table = tables.notice
    columns = (table.c.at, table.c.host, table.c.name, table.c.kind, table.c.text)
    with store.reading() as connection:
        rows = connection.execute(select(*columns).order_by(table.c.id.desc()).limit(limit))
        return list(rows.mappings())
