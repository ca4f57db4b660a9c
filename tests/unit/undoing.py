"""Undo as the command does it, on a store."""

from dataclasses import replace
from datetime import UTC, datetime

from pointsman.store.book import editing, read_book
from pointsman.store.difference import FaultError, check, without_orphans, write
from pointsman.store.history import since
from pointsman.store.undo import blocked, undone

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def without(store, revision):
    """The book without one revision."""
    with store.reading() as connection:
        book, changes = read_book(connection), since(connection, revision)
    own = [c for c in changes if c.revision == revision]
    later = [c for c in changes if c.revision > revision]
    after = without_orphans(book, undone(book, own, later))
    try:
        check(book, after, NOW)
    except FaultError as error:
        raise blocked(revision, error.fault, later) from None
    return after


def undo(store, revision):
    """Take it back, as the command does."""
    after = without(store, revision)
    with editing(store, note=f"undo of {revision}") as edit:
        write(edit, after)


def content(book):
    """All that a person would miss."""
    return replace(book, revision=0, carriers=frozenset())
