"""`pause` and `resume`, the same for agencies and connectors."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click

from pointsman.cli import show
from pointsman.cli.context import Context, if_revision_option, pass_context
from pointsman.errors import PointsmanError, UsageError
from pointsman.store.book import Book, who
from pointsman.store.checks import checked_text
from pointsman.store.records import Pause

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=366)


def duration(text: str) -> timedelta:
    """Read `90s`, `30m`, `2h`, `3d` or `1w`, or several of them together."""
    parts = re.findall(r"(\d{1,7})([smhdw])", text.lower())
    if not parts or "".join(n + u for n, u in parts) != text.lower():
        raise UsageError(f"{text!r} is not a length of time: write 30m, 2h, 3d or 1h30m")
    try:
        total = sum((timedelta(**{_UNITS[u]: int(n)}) for n, u in parts), timedelta())
    except OverflowError:
        total = timedelta.max
    if not timedelta() < total <= _LONGEST:
        raise UsageError(f"{text!r}: from a second to 366 days")
    return total


def add_to(group: click.Group, noun: str, find: Callable[[Book, str], object]) -> None:
    """Give a group of commands `pause` and `resume`."""

    @group.command(help=_PAUSE.format(noun=noun))
    @click.argument("name")
    @click.option("--for", "length", metavar="TIME", help="30m, 2h, 3d. [default: no end]")
    @click.option("--reason", metavar="TEXT", default="", help="Why, for those who ask.")
    @if_revision_option
    @pass_context
    def pause(
        ctx: Context, name: str, length: str | None, reason: str, if_revision: int | None
    ) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        until = "" if length is None else (now + duration(length)).isoformat()
        new = Pause(f"{noun} {name}", who(), now.isoformat(), until, checked_text(reason))
        with ctx.edit(if_revision) as edit:
            find(edit.book, name)
            old = edit.book.pauses.get(new.name)
            edit.change(old, new) if old else edit.add(new)

    @group.command(help=f"Let mail of a paused {noun} go, as its rate allows.")
    @click.argument("name")
    @if_revision_option
    @pass_context
    def resume(ctx: Context, name: str, if_revision: int | None) -> None:
        with ctx.edit(if_revision) as edit:
            find(edit.book, name)
            old = edit.book.pauses.get(f"{noun} {name}")
            if old is None:
                raise PointsmanError(f"{noun} {name} is not paused")
            edit.remove(old)


_PAUSE = """Hold all mail of one {noun}, what waits in the queue included.

    \b
    pointsman {noun} pause court --for 2h --reason "audit"
    """


def drop_with(book: Book, name: str) -> list[Pause]:
    """The pause that goes with a record that is removed."""
    return [book.pauses[name]] if name in book.pauses else []


def paused(book: Book, name: str) -> str:
    """Whether something is paused, by whom and why, in words; '' if it is not."""
    found = book.pauses.get(name)
    if found is None or (found.until and datetime.fromisoformat(found.until) < datetime.now(UTC)):
        return ""
    end = f" until {show.moment(found.until)}" if found.until else ""
    because = f": {found.reason}" if found.reason else ""
    return f"by {found.who} at {show.moment(found.at)}{end}{because}"
