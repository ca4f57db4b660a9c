"""Reads everything the admin wants, and writes changes with their history.

Every edit runs in one transaction that alone may write, raises the revision by
one, and leaves a change row for each record it touched.
"""

import getpass
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, delete, insert, select, update

from pointsman.errors import PointsmanError
from pointsman.nearest import meant
from pointsman.routing.snapshot import POSTFIX
from pointsman.store import history, tables
from pointsman.store.database import Store
from pointsman.store.records import Agency, Change, Connector, Diversion, Pause, Sender

_T = TypeVar("_T")
Record = Agency | Connector | Sender | Pause | Diversion
NOUNS: dict[type, str] = {
    Agency: "agency",
    Connector: "connector",
    Sender: "sender",
    Pause: "pause",
    Diversion: "diversion",
}
# Where a book has the records of a kind, by name.
PLACES: dict[type, str] = {
    Agency: "agencies",
    Connector: "connectors",
    Sender: "senders",
    Pause: "pauses",
    Diversion: "diversions",
}
LOGIN_UID = Path("/proc/self/loginuid")  # proc(5)


class NotFoundError(PointsmanError):
    """A name that the database does not know."""


@dataclass(frozen=True)
class Book:
    """One revision of everything, read at once."""

    revision: int
    agencies: Mapping[str, Agency]
    connectors: Mapping[str, Connector]
    senders: Mapping[str, Sender]
    pauses: Mapping[str, Pause] = field(default_factory=dict)
    diversions: Mapping[str, Diversion] = field(default_factory=dict)
    carriers: frozenset[tuple[str, str]] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def default(self) -> str:
        """The connector of mail that no sender link matches."""
        return str(self.settings.get("default", POSTFIX))

    @property
    def null_sender(self) -> str:
        """The connector of null-sender mail that no other rule moves, or ''."""
        return str(self.settings.get("null_sender", ""))

    @property
    def sealed_tokens(self) -> tuple[str, ...]:
        """The marker's tokens, sealed, the newest first."""
        return tuple(self.settings.get("tokens", ()))

    def agency(self, name: str) -> Agency:
        """Find an agency by name."""
        return _found(self.agencies, "agency", name)

    def connector(self, name: str) -> Connector:
        """Find a connector by name."""
        return _found(self.connectors, "connector", name)

    def links_to(self, connector: str) -> list[Sender]:
        """The senders that a connector may take."""
        return [s for s in self.senders.values() if connector in s.ways]

    def diversion(self, connector: str, now: datetime) -> Diversion | None:
        """Where a connector's mail goes instead, unless that is over."""
        found = self.diversions.get(connector)
        return found if found and _lasts(found, now) else None

    def diverted_to(self, connector: str, now: datetime) -> list[str]:
        """The connectors whose mail this one takes."""
        return [d.name for d in self.diversions.values() if d.to == connector and _lasts(d, now)]


def _lasts(diversion: Diversion, now: datetime) -> bool:
    return not diversion.until or now < datetime.fromisoformat(diversion.until)


def _found(known: Mapping[str, _T], noun: str, name: str) -> _T:
    if name not in known:
        shown = f"`pointsman {noun} list` shows them" if known else "there is none yet"
        raise NotFoundError(f"there is no {noun} {name!r}; {meant(name, known, shown)}")
    return known[name]


def read(store: Store) -> Book:
    """Read the newest revision."""
    with store.reading() as connection:
        return read_book(connection)


def connectors(store: Store) -> list[Connector]:
    """The connectors alone: there may be 100,000 senders."""
    with store.reading() as connection:
        rows = connection.execute(select(tables.connector))
        return [record_of(Connector, row) for row in rows]


def read_book(connection: Connection) -> Book:
    """Read the revision that the connection's transaction sees."""
    rows = {kind: connection.execute(select(t)) for kind, t in tables.TABLES.items()}
    carriers = connection.execute(select(tables.carrier)).all()
    settings: Iterable[Any] = connection.execute(select(tables.setting)).all()
    return Book(
        revision=connection.scalar(select(tables.revision.c.number)) or 0,
        agencies={row.name: record_of(Agency, row) for row in rows[Agency]},
        connectors={row.name: record_of(Connector, row) for row in rows[Connector]},
        # By position, as the table's columns are the fields in order: there may be 100,000.
        senders={row[0]: Sender(*row) for row in rows[Sender]},
        pauses={row.name: record_of(Pause, row) for row in rows[Pause]},
        diversions={row.name: record_of(Diversion, row) for row in rows[Diversion]},
        carriers=frozenset((agency, connector) for agency, connector in carriers),
        settings=dict(settings),
    )


def record_of(kind: type[_T], row: Row[Any]) -> _T:
    """A record from its row."""
    return kind(*(tuple(v) if isinstance(v, list) else v for v in row))


class Edit:
    """One revision in the making; what it does is kept when the block ends well."""

    def __init__(self, connection: Connection, book: Book, host: str, note: str = "") -> None:
        self.book = book
        self.revision = book.revision + 1
        self.changes: list[Change] = []
        self._who = who()
        self._host = host
        self._connection = connection
        self._note = f" ({note})" if note else ""  # stands in the history with each action

    def add(self, *records: Record) -> None:
        """Insert records; one with the same name must not exist."""
        for kind, group in _by_kind(records):
            self._connection.execute(insert(tables.TABLES[kind]), [asdict(r) for r in group])
            self.changes += [self._change("add", record, None, record) for record in group]

    def change(self, old: Record, new: Record, action: str = "set") -> None:
        """Replace a record's values."""
        table, key = tables.TABLES[type(new)], tables.KEYS[type(new)]
        values = asdict(new)
        self._connection.execute(update(table).where(table.c[key] == values[key]).values(**values))
        self.changes.append(self._change(action, new, old, new))

    def remove(self, *records: Record) -> None:
        """Delete records."""
        for record in records:
            table, key = tables.TABLES[type(record)], tables.KEYS[type(record)]
            self._connection.execute(delete(table).where(table.c[key] == asdict(record)[key]))
            self.changes.append(self._change("remove", record, record, None))

    def put_setting(self, name: str, value: Any, *, shown: Any = None) -> None:
        """Set one of the values that belong to no record, or take it away by None.

        History shows `shown`, if it is given.
        """
        table = tables.setting
        old = self.book.settings.get(name)
        self._connection.execute(delete(table).where(table.c.name == name))
        if value is not None:
            self._connection.execute(insert(table).values(name=name, value=value))
        self.changes.append(
            self._row(f"setting {name}", "", {name: old}, {name: value if shown is None else shown})
        )

    def reserve_carriers(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Remember pairs of agency and connector whose carriers may be in the queue."""
        new = sorted(set(pairs) - self.book.carriers)
        if new:
            rows = [{"agency": a, "connector": c} for a, c in new]
            self._connection.execute(insert(tables.carrier), rows)

    def _change(
        self, action: str, record: Record, old: Record | None, new: Record | None
    ) -> Change:
        name = asdict(record)[tables.KEYS[type(record)]]
        noun = NOUNS[type(record)]
        return self._row(
            f"{noun} {action}", name, asdict(old) if old else None, asdict(new) if new else None
        )

    def _row(
        self, action: str, name: str, old: dict[str, Any] | None, new: dict[str, Any] | None
    ) -> Change:
        return Change(
            revision=self.revision,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            who=self._who,
            host=self._host,
            action=f"{action}{self._note}",
            name=name,
            old=old,
            new=new,
        )

    def finish(self) -> None:
        """Write the history and raise the revision; an edit without effect leaves none."""
        if not self.changes:
            self.revision = self.book.revision
            return
        self._connection.execute(insert(tables.change), [asdict(c) for c in self.changes])
        self._connection.execute(update(tables.revision).values(number=self.revision))


def _by_kind(records: Iterable[Record]) -> Iterator[tuple[type, list[Record]]]:
    groups: dict[type, list[Record]] = {}
    for record in records:
        groups.setdefault(type(record), []).append(record)
    yield from groups.items()


@contextmanager
def editing(store: Store, if_revision: int | None = None, note: str = "") -> Iterator[Edit]:
    """Open an edit; with `if_revision`, only if the database is still at that one."""
    with store.writing() as connection:
        edit = Edit(connection, read_book(connection), store.config.host, note)
        history.refuse_stale(connection, edit.book.revision, if_revision)
        yield edit
        edit.finish()
    history.log(edit.changes)


def who() -> str:
    """The person behind the change, through sudo and su if need be."""
    sudo = os.environ.get("SUDO_USER", "")
    if sudo not in ("", "root"):
        return sudo
    return (_login() if os.geteuid() == 0 else "") or getpass.getuser()


def _login() -> str:
    """The account that root's session began with, as the kernel keeps it; '' if it knows none."""
    try:
        return pwd.getpwuid(int(LOGIN_UID.read_text())).pw_name
    except (OSError, ValueError, KeyError, OverflowError):
        return ""
