"""`pointsman sender`: which addresses belong to whom, and leave by which connector."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from pointsman.cli import show
from pointsman.cli.context import Context, if_revision_option, json_option, pass_context
from pointsman.errors import UsageError
from pointsman.nearest import meant
from pointsman.routing.turns import TURNS
from pointsman.store.book import Book, NotFoundError, read
from pointsman.store.checks import checked_sender, checked_share, checked_text
from pointsman.store.records import Sender

LINK = "`pointsman sender link` links one"
MAX_FILE = 64 * 1024 * 1024

_senders = click.argument("senders", nargs=-1)
_from_file = click.option(
    "--from-file", metavar="FILE", help="Senders from a file, one a line; - for standard input."
)


@click.group()
def sender() -> None:
    """Senders: addresses and domains, linked to an agency and a connector."""


@sender.command()
@_senders
@_from_file
@click.option("--agency", required=True, metavar="NAME", help="The agency that they belong to.")
@click.option(
    "--connector",
    "connectors",
    required=True,
    multiple=True,
    metavar="NAME",
    help="Their way out; repeatable, with --turn.",
)
@click.option(
    "--turn",
    type=click.Choice(TURNS),
    help="Of several connectors: each in its turn, or the next while one is down.",
)
@click.option(
    "--rate", metavar="RATE", help="What each may send by itself, within its agency's rate."
)
@click.option("--description", metavar="TEXT", help="A note for people.")
@if_revision_option
@pass_context
def link(
    ctx: Context,
    /,
    senders: tuple[str, ...],
    from_file: str | None,
    agency: str,
    connectors: tuple[str, ...],
    turn: str | None,
    if_revision: int | None,
    **given: str | None,
) -> None:
    """Link senders; one that is linked already moves.

    A sender is user@domain, @domain, or @.domain for all its subdomains. The most
    precise link of an address counts. Of several connectors, those that are disabled are
    left out, and those that are down, as long as there is another.

    \b
    pointsman sender link clerk@court.example @court.example --agency court --connector court-smtp
    pointsman sender link @tax.example --agency tax --connector tax-a --connector tax-b \\
        --turn failover
    """
    keys = _keys(senders, from_file)
    names = _ways(connectors, turn)
    kept = _checked(**given)
    with ctx.edit(if_revision) as edit:
        edit.book.agency(agency)
        for name in names:
            edit.book.connector(name)
        known = edit.book.senders
        values = {"agency": agency, "connectors": " ".join(names), "turn": turn or "", **kept}
        new = {key: replace(known.get(key, Sender(key, "", "")), **values) for key in keys}
        edit.add(*(s for key, s in new.items() if key not in known))
        for key, moved in new.items():
            if key in known and known[key] != moved:
                edit.change(known[key], moved, "link")
        edit.reserve_carriers((agency, name) for name in names)


def _ways(connectors: tuple[str, ...], turn: str | None) -> list[str]:
    names = list(dict.fromkeys(connectors))
    if len(names) > 1 and turn is None:
        raise UsageError(f"several connectors: say how they take turns, --turn {'|'.join(TURNS)}")
    if len(names) == 1 and turn is not None:
        raise UsageError("--turn is for several connectors: give --connector more than once")
    return names


def _checked(rate: str | None, description: str | None) -> dict[str, Any]:
    """What a link may say besides; what is not given stays."""
    values: dict[str, Any] = {}
    if rate is not None:
        values["rate"] = checked_share(rate)
    if description is not None:
        values["description"] = checked_text(description)
    return values


@sender.command()
@_senders
@_from_file
@if_revision_option
@pass_context
def unlink(
    ctx: Context, senders: tuple[str, ...], from_file: str | None, if_revision: int | None
) -> None:
    """Unlink senders: their mail takes a less precise link, or the default relay."""
    keys = _keys(senders, from_file)
    with ctx.edit(if_revision) as edit:
        edit.remove(*_linked(edit.book, keys))


@sender.command()
@_senders
@_from_file
@if_revision_option
@pass_context
def disable(
    ctx: Context, senders: tuple[str, ...], from_file: str | None, if_revision: int | None
) -> None:
    """Switch links off: their mail gets 450, from whoever may send for them.

    Neither a less precise link nor the default relay takes it meanwhile.
    """
    _switch(ctx, _keys(senders, from_file), if_revision, "disable", off=True)


@sender.command()
@_senders
@_from_file
@if_revision_option
@pass_context
def enable(
    ctx: Context, senders: tuple[str, ...], from_file: str | None, if_revision: int | None
) -> None:
    """Switch links on again."""
    _switch(ctx, _keys(senders, from_file), if_revision, "enable", off=False)


def _switch(
    ctx: Context, keys: list[str], if_revision: int | None, action: str, *, off: bool
) -> None:
    with ctx.edit(if_revision) as edit:
        for old in _linked(edit.book, keys):
            if old.off != off:
                edit.change(old, replace(old, off=off), action)


def _linked(book: Book, keys: list[str]) -> list[Sender]:
    for key in keys:
        if key not in book.senders:
            shown = "`pointsman sender list` shows what is"
            raise NotFoundError(f"{key} is not linked; {meant(key, _alike(book, key), shown)}")
    return [book.senders[key] for key in keys]


def _alike(book: Book, key: str) -> list[str]:
    """Of its kind, and the same before or behind the @: to compare 100,000 takes long."""
    local, _, domain = key.rpartition("@")
    parts = ((known, *known.rpartition("@")[::2]) for known in book.senders)
    return [k for k, a, b in parts if bool(a) == bool(local) and (a == local or b == domain)]


def _keys(senders: Iterable[str], from_file: str | None) -> list[str]:
    given = [*senders, *(_lines(from_file) if from_file else [])]
    if not given:
        raise UsageError("name a sender: user@domain, @domain or @.domain")
    return list(dict.fromkeys(map(checked_sender, given)))


def _lines(source: str) -> list[str]:
    try:
        with click.open_file(source, encoding="utf-8") as file:
            text = file.read(MAX_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(f"--from-file {Path(source)}: {reason}") from None
    if len(text) > MAX_FILE:
        raise UsageError(f"--from-file {source}: more than {MAX_FILE >> 20} MiB")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@sender.command("list")
@click.option("--agency", metavar="NAME", help="Only those of one agency.")
@click.option("--connector", metavar="NAME", help="Only those that a connector may take.")
@click.option("--state", type=click.Choice(["on", "off"]), help="Only these.")
@click.option("--starts-with", metavar="TEXT", default="", help="Only those that start with TEXT.")
@json_option
@pass_context
def list_(
    ctx: Context,
    agency: str | None,
    connector: str | None,
    state: str | None,
    starts_with: str,
    *,
    as_json: bool,
) -> None:
    """List sender links, grouped by connector."""
    book = read(ctx.store)
    if agency:
        book.agency(agency)
    if connector:
        book.connector(connector)
    found = [
        s
        for s in book.senders.values()
        if agency in (None, s.agency)
        and (connector is None or connector in s.ways)
        and state in (None, s.state)
        and s.key.startswith(starts_with.lower())
    ]
    found.sort(key=lambda s: (s.connectors, s.agency, s.key.partition("@")[::-1]))
    if as_json:
        show.json_lines({**asdict(s), "connectors": s.ways} for s in found)
        return
    rows = [(_ways_shown(book, s), s.key, s.agency, s.state, s.rate, s.description) for s in found]
    headers = ("CONNECTOR", "SENDER", "AGENCY", "STATE", "RATE", "DESCRIPTION")
    show.table(rows, headers, "sender", "" if book.senders else LINK)


def _ways_shown(book: Book, sender: Sender) -> str:
    """`court-smtp`, or `failover: a, b (disabled)`."""
    states = {name: book.connectors[name].state for name in sender.ways}
    names = [n if state == "live" else f"{n} ({state})" for n, state in states.items()]
    return f"{sender.turn}: {', '.join(names)}" if sender.turn else names[0]
