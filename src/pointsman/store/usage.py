"""What was sent, by slices of time, and what somebody should know: for people, not for rates."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select, update

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
    """Two statements for all of it: there may be 100,000 names."""
    table = tables.usage
    starts = {start for start, _ in usage}
    of_host = (table.c.host == host) & table.c.start.in_(starts)
    found = connection.execute(select(table.c.start, table.c.name).where(of_host))
    known = {(start, name) for start, name in found}
    rows = {
        key: {f"b_{name}": count for name, count in zip(COUNTS, counts, strict=True)}
        | {"b_host": host, "b_start": key[0], "b_name": key[1]}
        for key, counts in usage.items()
    }
    columns = ("host", "start", "name", *COUNTS)
    values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in columns}
    same = [table.c[name] == values[name] for name in ("host", "start", "name")]
    more = {name: table.c[name] + values[name] for name in COUNTS}
    old = [row for key, row in rows.items() if key in known]
    new = [row for key, row in rows.items() if key not in known]
    if old:
        connection.execute(update(table).where(*same).values(**more), old)
    if new:
        connection.execute(insert(table).values(**values), new)


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
