"""`pointsman undo`: takes one revision back."""

import click

from pointsman.cli.changing import carry_out
from pointsman.cli.context import Context, if_revision_option, pass_context
from pointsman.cli.retiring import despite_queue_option
from pointsman.cli.trying import untested_option
from pointsman.store.book import NotFoundError, read_book
from pointsman.store.difference import FaultError
from pointsman.store.history import refuse_stale, since
from pointsman.store.undo import blocked, undone

_MOST = 2**31 - 1  # what the database's number may be


@click.command()
@click.argument("revision", metavar="ID", type=click.IntRange(1, _MOST))
@untested_option
@despite_queue_option
@if_revision_option
@pass_context
def undo(
    ctx: Context, revision: int, if_revision: int | None, *, untested: bool, despite_queue: bool
) -> None:
    """Take back one change: all of the revision of that number in `pointsman history`.

    What was changed since stays. If it was the same field, undo is refused, and the
    later change is named. Secrets come back, too. A connector that would take mail in
    another way than now is tried first. An undo can be undone.

    \b
    pointsman undo 17
    """
    with ctx.store.reading() as connection:
        book = read_book(connection)
        refuse_stale(connection, book.revision, if_revision)
        changes = since(connection, revision)
    own = [change for change in changes if change.revision == revision]
    later = [change for change in changes if change.revision != revision]
    if not own:
        raise NotFoundError(f"there is no revision {revision}; `pointsman history` shows them")
    after = undone(book, own, later)
    note = f"undo of {revision}"
    try:
        carry_out(ctx, book, after, note, untested=untested, despite_queue=despite_queue)
    except FaultError as error:
        raise blocked(revision, error.fault, later) from None
