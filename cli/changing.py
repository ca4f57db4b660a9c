"""Carries out what `undo` and the imports decide: shown, checked, tried, then written at once."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import click

from pointsman.cli import show
from pointsman.cli.context import Context
from pointsman.cli.retiring import refuse_if_queued
from pointsman.cli.trying import try_connector
from pointsman.errors import UsageError
from pointsman.store.book import Book
from pointsman.store.difference import (
    SETTING,
    Difference,
    check,
    differences,
    secret_fields,
    to_drain,
    to_try,
    without_orphans,
    write,
)
from pointsman.store.fields import settings
from pointsman.store.tables import KEYS


def carry_out(
    ctx: Context,
    before: Book,
    after: Book,
    note: str,
    *,
    untested: bool = False,
    despite_queue: bool = False,
    ask: bool = False,
    notes: Iterable[str] = (),
) -> None:
    """Make the database what `after` says, in one revision; `before` is what was read.

    `notes` are what a person should know besides, before they are asked. A connector that
    would take mail in a new way is tried first. Raises PointsmanError, and changes nothing,
    if anything is in the way or somebody else was faster.
    """
    after = without_orphans(before, after)
    found = differences(before, after)
    if not found:
        _tell(notes)
        click.echo("nothing to change")
        return
    check(before, after, datetime.now(UTC))
    _check_secrets(ctx, found)
    for name in () if despite_queue else to_drain(before, after):
        refuse_if_queued(ctx, name)
    _show(found)
    _tell(notes)
    if ask:
        _ask()
    tried = to_try(before, after)
    for connector in () if untested else tried:
        try_connector(ctx, after, connector)
    with ctx.edit(before.revision, f"{note}, untested" if untested and tried else note) as edit:
        write(edit, after)


def _check_secrets(ctx: Context, found: list[Difference]) -> None:
    """What was sealed long ago must still open: the key may have been replaced since."""
    for difference in found:
        record = difference.new
        for name in secret_fields(record) if record and difference.noun != SETTING else ():
            sealed = getattr(record, name)
            if sealed and sealed != getattr(difference.old, name, ""):
                ctx.store.secrets.unseal(sealed)


def _ask() -> None:
    if not sys.stdin.isatty():
        raise UsageError("nothing was changed: there is no terminal to ask at, so say --yes")
    click.confirm("Make these changes?", abort=True)


def _tell(notes: Iterable[str]) -> None:
    for note in notes:
        click.echo(f"note: {note}")


def _show(found: list[Difference]) -> None:
    for difference in found:
        for line in described(difference):
            click.echo(line)
    added, removed = (sum(1 for d in found if s(d)) for s in (_is_added, _is_removed))
    click.echo(f"-- {added} added, {len(found) - added - removed} changed, {removed} removed")


def _is_added(difference: Difference) -> bool:
    return difference.old is None


def _is_removed(difference: Difference) -> bool:
    return difference.new is None


def described(difference: Difference) -> Iterator[str]:
    """What changes, for people: a line for the record, and one for each field; no secret."""
    old, new = difference.old, difference.new
    mark = "+" if old is None else "-" if new is None else "~"
    head = f"{mark} {difference.noun} {difference.name}"
    if difference.noun == SETTING:
        yield f"{head}: {show.cell(old or '')} -> {show.cell(new or '')}"
        return
    yield head
    for field in fields(new) if new is not None else ():
        before = field.default if old is None else getattr(old, field.name)
        after = getattr(new, field.name)
        if field.name not in KEYS.values() and before != after:
            yield f"    {field.name.replace('_', '-')}: {_cells(type(new), field.name, old, new)}"


def _cells(kind: type, name: str, old: Any, new: Any) -> str:
    field, _ = settings(kind).get(name, (None, None))
    if field is not None and field.secret:
        return "(secret changes)" if old is not None else show.KEPT
    if field is not None and field.file:
        return "(changes)"
    shown = show.cell(getattr(new, name))
    return shown if old is None else f"{show.cell(getattr(old, name))} -> {shown}"
