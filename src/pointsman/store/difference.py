"""From one book to another: what differs, what may not be, and how it is written.

`undo` and the imports decide what the book should be, and come here with it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pointsman.errors import PointsmanError
from pointsman.routing.snapshot import DEFAULT_AGENCY, NONE, POSTFIX
from pointsman.store.book import NOUNS, PLACES, Book, Edit, Record
from pointsman.store.combinations import check_agency, check_connector, check_sender
from pointsman.store.fields import settings
from pointsman.store.modes import LOGINS
from pointsman.store.records import Agency, Connector, Sender

SETTING = "setting"


@dataclass(frozen=True)
class Difference:
    """One record or setting: what it was and what it is to be; None where it is not there."""

    noun: str
    name: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Fault:
    """Something that would lead nowhere, and the things whose change could be behind it."""

    text: str
    about: tuple[tuple[str, str], ...]  # noun and name


class FaultError(PointsmanError):
    """A book that may not be; `fault` is the reason."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.text)
        self.fault = fault


def differences(before: Book, after: Book) -> list[Difference]:
    """All that differs, agencies first, by name."""
    found: list[Difference] = []
    for kind, place in PLACES.items():
        found += _differing(NOUNS[kind], getattr(before, place), getattr(after, place))
    return found + _differing(SETTING, before.settings, after.settings)


def _differing(noun: str, old: Any, new: Any) -> list[Difference]:
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return [Difference(noun, name, old.get(name), new.get(name)) for name in names]


def write(edit: Edit, after: Book) -> None:
    """Make the database what a book says, in one revision."""
    found = differences(edit.book, after)
    records = [d for d in found if d.noun != SETTING]
    edit.remove(*(d.old for d in records if d.new is None))
    edit.add(*(d.new for d in records if d.old is None))
    for d in records:
        if d.old is not None and d.new is not None:
            edit.change(d.old, d.new)
    for d in found:
        if d.noun == SETTING:
            edit.put_setting(d.name, d.new)
    edit.reserve_carriers(_carriers(after))


def _carriers(book: Book) -> Iterator[tuple[str, str]]:
    """The pairs of agency and connector that mail may be carried by."""
    for sender in book.senders.values():
        yield from ((sender.agency, name) for name in sender.ways)
    if book.default in book.connectors:
        yield DEFAULT_AGENCY, book.default


def without_orphans(before: Book, after: Book) -> Book:
    """The second book without pauses and diversions of what only the first has."""
    gone = {
        *(f"agency {name}" for name in before.agencies.keys() - after.agencies.keys()),
        *(f"connector {name}" for name in before.connectors.keys() - after.connectors.keys()),
    }
    return replace(
        after,
        pauses={name: p for name, p in after.pauses.items() if name not in gone},
        diversions={n: d for n, d in after.diversions.items() if f"connector {n}" not in gone},
    )


def check(before: Book, after: Book, now: datetime) -> None:
    """Raise PointsmanError if the second book has a fault that the first has not."""
    known = set(_faults(before, now))
    for fault in _faults(after, now):
        if fault not in known:
            raise FaultError(fault)
    for difference in differences(before, after):
        check_record(difference.new)


def check_record(record: Record | None) -> None:
    """Raise UsageError if a record's values do not go together."""
    if isinstance(record, Agency):
        check_agency(record)
    elif isinstance(record, Connector):
        check_connector(_completed(record))
    elif isinstance(record, Sender):
        check_sender(record)


def _completed(connector: Connector) -> Connector:
    """A new connector may still lack its secrets: it takes no mail before it is enabled."""
    lacking = missing_secrets(connector) if connector.state == "new" else []
    later: dict[str, Any] = dict.fromkeys(lacking, "given later")
    return replace(connector, **later)


def missing_secrets(connector: Connector) -> list[str]:
    """The secrets that its way to log in can't do without, and that it has not."""
    fields = settings(Connector)
    needed = (name for name in LOGINS[connector.auth] if fields[name][0].secret)
    return [name for name in needed if not getattr(connector, name)]


def _faults(book: Book, now: datetime) -> Iterator[Fault]:
    """Everything that leads to nothing; what the commands refuse one by one."""
    live = {name for name, c in book.connectors.items() if c.state == "live"}
    yield from _faults_of_senders(book)
    if book.default not in {POSTFIX, NONE, *live}:
        text = f"the default relay would be connector {book.default}, which is not live"
        yield Fault(text, ((SETTING, "default"), ("connector", book.default)))
    if book.null_sender and book.null_sender not in live:
        text = f"null-sender mail would take connector {book.null_sender}, which is not live"
        yield Fault(text, ((SETTING, "null_sender"), ("connector", book.null_sender)))
    for name in book.pauses:
        noun, _, what = name.partition(" ")
        if what not in (book.agencies if noun == "agency" else book.connectors):
            yield Fault(f"a pause would be of {name}, which there is not", (("pause", name),))
    yield from _faults_of_diversions(book, live, now)


def _faults_of_senders(book: Book) -> Iterator[Fault]:
    for key, sender in book.senders.items():
        if sender.agency not in book.agencies:
            text = f"sender {key} would belong to agency {sender.agency}, which there is not"
            yield Fault(text, (("sender", key), ("agency", sender.agency)))
        for name in sender.ways:
            if name not in book.connectors:
                text = f"sender {key} would take connector {name}, which there is not"
                yield Fault(text, (("sender", key), ("connector", name)))


def _faults_of_diversions(book: Book, live: set[str], now: datetime) -> Iterator[Fault]:
    """No chains, and only to what is live: one look must tell where mail goes."""
    for name in book.diversions:
        found = book.diversion(name, now)
        if found is None:
            continue
        whose = f"connector {name} would be diverted to {found.to}"
        about = (("diversion", name), ("connector", name), ("connector", found.to))
        if name not in book.connectors or book.connectors[name].state == "new":
            yield Fault(f"{whose}, but takes no mail itself", about)
        if found.to not in live:
            yield Fault(f"{whose}, which is not live", about)
        elif book.diversion(found.to, now):
            yield Fault(f"{whose}, which is diverted itself", (*about, ("diversion", found.to)))


def to_try(before: Book, after: Book) -> list[Connector]:
    """The connectors that would take mail in a way that was never tried."""
    return [
        new
        for name, new in sorted(after.connectors.items())
        if new.state == "live" and not same_way(before.connectors.get(name), new)
    ]


def same_way(old: Connector | None, new: Connector) -> bool:
    """Whether a live connector stays what it is, but for what people read."""
    return old is not None and replace(old, description=new.description) == new


def to_drain(before: Book, after: Book) -> list[str]:
    """The connectors that took mail and take none any more: what is queued must leave first."""
    return sorted(
        name
        for name, old in before.connectors.items()
        if old.state != "new"
        and (name not in after.connectors or after.connectors[name].state == "new")
    )


def secret_fields(record: Any) -> Iterable[str]:
    """The names of a record's secrets."""
    return [name for name, (field, _) in settings(type(record)).items() if field.secret]
