"""`pointsman agency`: the tenants and who may send for them."""

from dataclasses import replace
from typing import Any

import click

from pointsman.cli import pausing, show
from pointsman.cli.context import Context, if_revision_option, json_option, pass_context
from pointsman.cli.fields import given, options_of
from pointsman.errors import PointsmanError
from pointsman.routing.snapshot import DEFAULT_AGENCY
from pointsman.store.book import Book, read
from pointsman.store.checks import checked_name
from pointsman.store.combinations import check_agency
from pointsman.store.records import Agency


@click.group()
def agency() -> None:
    """Agencies (tenants): who may send for them."""


@agency.command()
@click.argument("name")
@options_of(Agency)
@if_revision_option
@pass_context
def add(ctx: Context, /, name: str, if_revision: int | None, **arguments: Any) -> None:
    """Add an agency; say who may send for it.

    \b
    pointsman agency add court --login court-app --network 192.0.2.0/24
    """
    new = Agency(checked_name(name, (DEFAULT_AGENCY,)), **given(Agency, arguments))
    check_agency(new)
    with ctx.edit(if_revision) as edit:
        if name in edit.book.agencies:
            raise PointsmanError(f"there is an agency {name!r} already: use `agency set`")
        edit.add(new)


@agency.command("set")
@click.argument("name")
@options_of(Agency, changing=True)
@if_revision_option
@pass_context
def set_(ctx: Context, /, name: str, if_revision: int | None, **arguments: Any) -> None:
    """Change an agency; a list that is given replaces the old one, "" empties it.

    \b
    pointsman agency set court --login court-app --login court-batch
    """
    values = given(Agency, arguments)
    with ctx.edit(if_revision) as edit:
        old = edit.book.agency(name)
        new = check_agency(replace(old, **values))
        if new != old:
            edit.change(old, new)


@agency.command()
@click.argument("name")
@if_revision_option
@pass_context
def remove(ctx: Context, name: str, if_revision: int | None) -> None:
    """Remove an agency that has no senders any more."""
    checked_name(name, (DEFAULT_AGENCY,))
    with ctx.edit(if_revision) as edit:
        old = edit.book.agency(name)
        linked = [s.key for s in edit.book.senders.values() if s.agency == name]
        if linked:
            raise PointsmanError(
                f"agency {name} still has {show.counted(len(linked), 'sender')}, {linked[0]} among "
                "them: unlink them first"
            )
        edit.remove(old, *pausing.drop_with(edit.book, f"agency {name}"))


@agency.command("list")
@json_option
@pass_context
def list_(ctx: Context, *, as_json: bool) -> None:
    """List the agencies."""
    book = read(ctx.store)
    agencies = sorted(book.agencies.values(), key=lambda a: a.name)
    if as_json:
        show.json_lines(map(show.shown, agencies))
        return
    senders = [s.agency for s in book.senders.values()]
    show.table(
        (
            (a.name, senders.count(a.name), a.rate, a.over_limit, _clients(a), a.description)
            for a in agencies
        ),
        ("AGENCY", "SENDERS", "RATE", "OVER LIMIT", "CLIENTS", "DESCRIPTION"),
        "agency",
    )


def _clients(agency: Agency) -> str:
    """Who may send for it, in one cell."""
    return "any" if agency.any_client else ", ".join((*agency.logins, *agency.networks))


@agency.command("show")
@click.argument("name")
@json_option
@pass_context
def show_(ctx: Context, name: str, *, as_json: bool) -> None:
    """Show one agency and its senders."""
    book = read(ctx.store)
    values = show.shown(book.agency(name))
    values["paused"] = pausing.paused(book, f"agency {name}")
    values["senders"] = sorted(s.key for s in book.senders.values() if s.agency == name)
    show.json_lines([values]) if as_json else show.one(values)


pausing.add_to(agency, "agency", Book.agency)
