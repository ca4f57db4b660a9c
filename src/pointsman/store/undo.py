"""What the book would be without one revision: pure, on the history of it and of later ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pointsman.errors import PointsmanError
from pointsman.store.book import NOUNS, PLACES, Book, Record
from pointsman.store.difference import SETTING, Fault
from pointsman.store.history import spelled
from pointsman.store.records import Change

_KINDS = {noun: kind for kind, noun in NOUNS.items()}


class UndoError(PointsmanError):
    """A revision that can't be taken back as things are; the message says why."""


def undone(book: Book, changes: Sequence[Change], later: Sequence[Change]) -> Book:
    """The book with the changes of one revision taken back, what came later left alone.

    Of a record that was changed again, only the fields of this revision go back, and only
    if nobody touched them since. Raises UndoError.
    """
    places: dict[str, Any] = {place: dict(getattr(book, place)) for place in PLACES.values()}
    values = dict(book.settings)
    for change in reversed(changes):
        noun = noun_of(change)
        if noun == SETTING:
            _put_back(values, change, later)
            continue
        records = places[PLACES[_KINDS[noun]]]
        before = _before(change, records.get(change.name), later)
        records.pop(change.name, None)
        if before is not None:
            records[change.name] = before
    return replace(book, settings=values, **places)


def noun_of(change: Change) -> str:
    """What kind of thing was changed."""
    return change.action.split()[0]


def _put_back(values: dict[str, Any], change: Change, later: Sequence[Change]) -> None:
    old, new = change.old or {}, change.new or {}
    (name,) = new
    if name == "tokens":
        raise UndoError(
            f"revision {change.revision} gave the marker a new token, which mail in the queue may "
            "bear: that can't be undone; `pointsman apply --rotate-token` makes another"
        )
    now = values.pop(name, None)
    if now not in (new[name], old.get(name)):
        raise _conflict(change, f"setting {name}", _later(later, change, {name}))
    if old.get(name) is not None:
        values[name] = old[name]


def _before(change: Change, now: Record | None, later: Sequence[Change]) -> Record | None:
    """The record as it was before the change, its later fields kept."""
    what = f"{noun_of(change)} {change.name}"
    old, new = _record(change, change.old), _record(change, change.new)
    if old is not None and new is not None:
        if now is None:
            raise _conflict(change, what, _later(later, change, set()))
        return _fields_back(change, now, old, new, later)
    if now not in (old, new):
        raise _conflict(change, what, _later(later, change, set()))
    return old


def _fields_back(
    change: Change, now: Record, old: Record, new: Record, later: Sequence[Change]
) -> Record:
    back = {}
    for name, value in vars(old).items():
        if value == getattr(new, name):
            continue
        if getattr(now, name) not in (value, getattr(new, name)):
            what = f"{name.replace('_', '-')} of {noun_of(change)} {change.name}"
            raise _conflict(change, what, _later(later, change, {name}))
        back[name] = value
    return replace(now, **back)


def _record(change: Change, values: Mapping[str, Any] | None) -> Record | None:
    """A record as history keeps it: lists for tuples, and without fields that came later."""
    if values is None:
        return None
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    try:
        record: Record = _KINDS[noun_of(change)](**given)
    except TypeError:
        raise UndoError(
            f"revision {change.revision} was made by an older version of Pointsman, which knew "
            f"other fields of {noun_of(change)} {change.name}: change it by hand"
        ) from None
    return record


def _later(later: Sequence[Change], change: Change, fields: set[str]) -> Change | None:
    """The newest change of the same thing, and of one of these fields if there are any."""
    for found in reversed(later):
        if (noun_of(found), found.name) != (noun_of(change), change.name):
            continue
        old, new = found.old or {}, found.new or {}
        if not fields or any(old.get(name) != new.get(name) for name in fields):
            return found
    return None


def _conflict(change: Change, what: str, found: Change | None) -> UndoError:
    again = f"{spelled([found])}; undo that first" if found else "change it by hand"
    return UndoError(
        f"revision {change.revision} can't be undone: {what} was changed since: {again}"
    )


def blocked(revision: int, fault: Fault, later: Sequence[Change]) -> UndoError:
    """What to say where the book without the revision would have a fault."""
    behind = [change for change in later if _subject(change) in fault.about]
    why = f"; see {spelled(behind[-1:])}" if behind else ""
    return UndoError(f"revision {revision} can't be undone: {fault.text}{why}")


def _subject(change: Change) -> tuple[str, str]:
    noun = noun_of(change)
    return noun, next(iter(change.new or {}), "") if noun == SETTING else change.name
