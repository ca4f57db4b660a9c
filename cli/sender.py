"""`pointsman sender`: which addresses belong to whom, and leave by which connector."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import click

from pointsman.cli import show
from pointsman.cli.context import Context, if_revision_option, json_option, pass_context
from pointsman.errors import UsageError
from pointsman.rates.rate import UNLIMITED
from pointsman.store.book import NotFoundError, read
from pointsman.store.checks import checked_rate, checked_sender
from pointsman.store.records import Sender

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
@click.option("--connector", required=True, metavar="NAME", help="Their way out.")
@click.option(
    "--rate", metavar="RATE", help="What each may send by itself, within its agency's rate."
)
@if_revision_option
@pass_context
def link(
    ctx: Context,
    senders: tuple[str, ...],
    from_file: str | None,
    agency: str,
    connector: str,
    rate: str | None,
    if_revision: int | None,
) -> None:
    """Link senders; one that is linked already moves.

    A sender is user@domain, @domain, or @.domain for all its subdomains. The most
    precise link of an address counts.

    \b
    pointsman sender link clerk@court.example @court.example --agency court --connector court-smtp
    """
    keys = _keys(senders, from_file)
    given = None if rate is None else checked_rate(rate).replace(UNLIMITED, "")
    with ctx.edit(if_revision) as edit:
        edit.book.agency(agency)
        edit.book.connector(connector)
        known = edit.book.senders
        kept = {key: known[key].rate if key in known else "" for key in keys}
        new = {
            key: Sender(key, agency, connector, kept[key] if given is None else given)
            for key in keys
        }
        edit.add(*(s for key, s in new.items() if key not in edit.book.senders))
        for key, moved in new.items():
            old = edit.book.senders.get(key, moved)
            if old != moved:
                edit.change(old, moved, "link")
        edit.reserve_carriers([(agency, connector)])


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
        for key in keys:
            if key not in edit.book.senders:
                raise NotFoundError(f"{key} is not linked; `pointsman sender list` shows what is")
        edit.remove(*(edit.book.senders[key] for key in keys))


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
@click.option("--connector", metavar="NAME", help="Only those of one connector.")
@click.option("--starts-with", metavar="TEXT", default="", help="Only those that start with TEXT.")
@json_option
@pass_context
def list_(
    ctx: Context, agency: str | None, connector: str | None, starts_with: str, *, as_json: bool
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
        and connector in (None, s.connector)
        and s.key.startswith(starts_with.lower())
    ]
    found.sort(key=lambda s: (s.connector, s.agency, s.key.partition("@")[::-1]))
    if as_json:
        show.json_lines(map(asdict, found))
        return
    rows = [
        (s.connector, book.connectors[s.connector].state, s.key, s.agency, s.rate) for s in found
    ]
    show.table(rows, ("CONNECTOR", "STATE", "SENDER", "AGENCY", "RATE"), "sender")
