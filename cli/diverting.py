"""`pointsman connector divert`: another connector takes the mail for a while."""

from datetime import UTC, datetime

import click

from pointsman.cli import show
from pointsman.cli.context import Context, if_revision_option, pass_context
from pointsman.cli.pausing import duration
from pointsman.errors import PointsmanError, UsageError
from pointsman.routing.snapshot import NONE, POSTFIX
from pointsman.store.book import Book, who
from pointsman.store.checks import checked_text
from pointsman.store.records import Diversion


@click.command()
@click.argument("name")
@click.option("--to", metavar="NAME", help="The connector that takes the mail, with its own login.")
@click.option("--for", "length", metavar="TIME", help="30m, 2h, 3d. [default: no end]")
@click.option("--reason", metavar="TEXT", default="", help="Why, for those who ask.")
@click.option("--end", is_flag=True, help="End it now: mail takes the connector's own way again.")
@if_revision_option
@pass_context
def divert(
    ctx: Context,
    /,
    name: str,
    to: str | None,
    length: str | None,
    reason: str,
    if_revision: int | None,
    *,
    end: bool,
) -> None:
    """Let another connector take all mail of one, what waits in the queue included.

    When the time is over, or with --end, mail takes its own way again by itself. Meanwhile the
    rate, the backlog and the pause of the other connector count, and not this one's.

    \b
    pointsman connector divert court-smtp --to city-relay --for 4h --reason "provider down"
    pointsman connector divert court-smtp --end
    """
    if end and (to or length or reason):
        raise UsageError("--end goes with no other option")
    now = datetime.now(UTC).replace(microsecond=0)
    if end:
        _end(ctx, name, now, if_revision)
        return
    if to is None:
        raise UsageError("--to which connector? Or --end")
    until = "" if length is None else (now + duration(length)).isoformat()
    new = Diversion(name, to, who(), now.isoformat(), until, checked_text(reason))
    with ctx.edit(if_revision) as edit:
        _check(edit.book, new, now)
        old = edit.book.diversions.get(name)
        edit.change(old, new) if old else edit.add(new)


def _end(ctx: Context, name: str, now: datetime, if_revision: int | None) -> None:
    with ctx.edit(if_revision) as edit:
        edit.book.connector(name)
        found = edit.book.diversion(name, now)
        if found is None:
            raise PointsmanError(f"connector {name} is not diverted")
        edit.remove(found)


def _check(book: Book, new: Diversion, now: datetime) -> None:
    """Refuse what would not carry mail, and chains: one look must tell where mail goes."""
    if new.to in (POSTFIX, NONE, new.name):
        raise UsageError(f"--to {new.to}: mail can be diverted to another connector of yours only")
    if book.connector(new.name).state == "new":
        raise PointsmanError(f"connector {new.name} is new and takes no mail yet")
    if book.connector(new.to).state != "live":
        raise PointsmanError(f"connector {new.to} is not live: enable it first")
    further = book.diversion(new.to, now)
    if further is not None:
        raise PointsmanError(f"connector {new.to} is diverted to {further.to} itself")
    refuse_if_taking(book, new.name, "divert it", now)


def refuse_if_taking(book: Book, name: str, verb: str, now: datetime) -> None:
    """A connector that takes another's mail must go on doing so."""
    others = book.diverted_to(name, now)
    if others:
        raise PointsmanError(
            f"connector {name} takes the mail of {others[0]}: end that with `pointsman connector "
            f"divert {others[0]} --end`, then {verb}"
        )


def diverted(book: Book, name: str) -> str:
    """Where a connector's mail goes, by whose word and why; '' if by itself."""
    found = book.diversion(name, datetime.now(UTC))
    if found is None:
        return ""
    end = f" until {show.moment(found.until)}" if found.until else ""
    because = f": {found.reason}" if found.reason else ""
    return f"to {found.to} by {found.who} at {show.moment(found.at)}{end}{because}"
