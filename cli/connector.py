"""`pointsman connector`: the ways out, tried before they take mail."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import click

from pointsman.cli import diverting, pausing, retiring, show
from pointsman.cli.authorize import authorize
from pointsman.cli.certificate import days_left, pfx_options, shown_certificate
from pointsman.cli.context import Context, if_revision_option, json_option, pass_context
from pointsman.cli.fields import options_of
from pointsman.cli.trying import try_connector, untested_option
from pointsman.cli.values import values_of
from pointsman.errors import PointsmanError, UsageError
from pointsman.rates.rate import UNLIMITED
from pointsman.routing.snapshot import DEFAULT_AGENCY, NONE, POSTFIX
from pointsman.store.book import Book, read
from pointsman.store.checks import checked_mailbox, checked_name
from pointsman.store.combinations import check_connector
from pointsman.store.difference import same_way
from pointsman.store.history import StaleError
from pointsman.store.presets import PRESETS
from pointsman.store.records import Connector

ADD = "`pointsman connector add` makes one"
region_option = click.option(
    "--region", metavar="NAME", help="With --preset ses or mailgun: where the account is."
)


@click.group()
def connector() -> None:
    """Connectors: named ways out."""


@connector.command()
@click.argument("name")
@options_of(Connector)
@pfx_options
@region_option
@if_revision_option
@pass_context
def add(ctx: Context, /, name: str, if_revision: int | None, **arguments: Any) -> None:
    """Add a connector; it takes no mail before it is enabled.

    \b
    pointsman connector add court-smtp --host smtp.court.example:587 --tls starttls \\
        --auth password --username court --password-file ./court.pw
    """
    checked_name(name, (POSTFIX, NONE))
    new = check_connector(Connector(name, **values_of(ctx, arguments, None)))
    with ctx.edit(if_revision) as edit:
        if name in edit.book.connectors:
            raise PointsmanError(f"there is a connector {name!r} already: use `connector set`")
        edit.add(new)
    advice = PRESETS[new.preset].advice
    if advice and "rate" in advice and new.rate == UNLIMITED:
        click.echo(f"note: {advice}")


@connector.command("set")
@click.argument("name")
@options_of(Connector, changing=True)
@pfx_options
@region_option
@untested_option
@if_revision_option
@pass_context
def set_(
    ctx: Context, /, name: str, if_revision: int | None, *, untested: bool, **arguments: Any
) -> None:
    """Change a connector; a live one is tried first, and changes only if that works.

    What is not given stays; "" takes a value away.

    \b
    pointsman connector set court-smtp --password-file ./new.pw
    """
    book = read(ctx.store)
    old = book.connector(name)
    new = check_connector(replace(old, **values_of(ctx, arguments, old)))
    if new == old:
        click.echo("nothing to change")
        return
    if old.state == "live" and not same_way(old, new) and not untested:
        try_connector(ctx, book, new)
    _swap(ctx, old, new, "set untested" if untested else "set", if_revision)


def _swap(
    ctx: Context, old: Connector, new: Connector, action: str, if_revision: int | None
) -> None:
    """Write what was decided on, unless the connector changed in the meantime."""
    with ctx.edit(if_revision) as edit:
        if edit.book.connector(old.name) != old:
            raise StaleError(f"someone else changed connector {old.name} just now: look again")
        edit.change(old, new, action)


@connector.command()
@click.argument("name")
@untested_option
@if_revision_option
@pass_context
def enable(ctx: Context, name: str, if_revision: int | None, *, untested: bool) -> None:
    """Test a connector and, if the test passes, let it take mail."""
    book = read(ctx.store)
    old = book.connector(name)
    if old.state == "live":
        click.echo(f"connector {name} is live already")
        return
    check_connector(old)  # one that was imported may still lack its password
    if not untested:
        try_connector(ctx, book, old)
    action = "enable untested" if untested else "enable"
    _swap(ctx, old, replace(old, state="live"), action, if_revision)


@connector.command()
@click.argument("name")
@click.option(
    "--null-sender",
    is_flag=True,
    help="Not the default relay, but the way of null-sender mail that no other rule moves.",
)
@if_revision_option
@pass_context
def default(ctx: Context, name: str, if_revision: int | None, *, null_sender: bool) -> None:
    """Name the connector of mail that no sender link matches.

    `postfix` is what this Postfix did before Pointsman; `none` refuses such mail. With
    --null-sender, both end what was set.
    """
    with ctx.edit(if_revision) as edit:
        if name not in (POSTFIX, NONE) and edit.book.connector(name).state != "live":
            raise PointsmanError(f"connector {name} is not live: enable it first")
        if null_sender:
            value = "" if name in (POSTFIX, NONE) else name
            if value != edit.book.null_sender:
                edit.put_setting("null_sender", value)
            return
        if name != edit.book.default:
            edit.put_setting("default", name)
        if name not in (POSTFIX, NONE):
            edit.reserve_carriers([(DEFAULT_AGENCY, name)])


@connector.command()
@click.argument("name")
@click.option("--from", "sender", metavar="ADDRESS", help="The sender to try with.")
@click.option("--to", "recipient", metavar="ADDRESS", default="", help="Try a recipient, too.")
@click.option("--send", is_flag=True, help="Really send a message to the recipient.")
@json_option
@pass_context
def test(
    ctx: Context, name: str, sender: str | None, recipient: str, *, send: bool, as_json: bool
) -> None:
    """Try a connector step by step: DNS, TCP, TLS, EHLO, AUTH, MAIL FROM, RSET.

    With several hosts, each in turn. The message of --send goes to the server directly, and
    counts against no rate.
    """
    if send and not recipient:
        raise UsageError("--send needs --to ADDRESS")
    for address in filter(None, (sender, recipient)):
        checked_mailbox(address)
    book = read(ctx.store)
    try_connector(
        ctx,
        book,
        book.connector(name),
        sender=sender,
        recipient=recipient,
        send=send,
        as_json=as_json,
    )


@connector.command("list")
@click.option("--state", type=click.Choice(["new", "live", "disabled"]), help="Only these.")
@click.option("--agency", metavar="NAME", help="Only those that an agency's senders use.")
@click.option("--starts-with", metavar="TEXT", default="", help="Only those that start with TEXT.")
@json_option
@pass_context
def list_(
    ctx: Context, state: str | None, agency: str | None, starts_with: str, *, as_json: bool
) -> None:
    """List the connectors."""
    book = read(ctx.store)
    if agency:
        book.agency(agency)
    used = {n for s in book.senders.values() if agency in (None, s.agency) for n in s.ways}
    found = [
        c
        for c in sorted(book.connectors.values(), key=lambda c: c.name)
        if state in (None, c.state)
        and (agency is None or c.name in used)
        and c.name.startswith(starts_with)
    ]
    if as_json:
        show.json_lines(
            {
                **show.shown(c),
                **shown_certificate(c),
                "diverted": diverting.diverted(book, c.name),
            }
            for c in found
        )
        return
    rows = [
        (
            c.name + (" (default)" if c.name == book.default else ""),
            _state(book, c),
            c.servers,
            c.tls,
            f"{c.auth} {c.username}{days_left(c)}".strip(),
            len(book.links_to(c.name)),
            c.description,
        )
        for c in found
    ]
    headers = ("CONNECTOR", "STATE", "SERVER", "TLS", "AUTH", "SENDERS", "DESCRIPTION")
    show.table(rows, headers, "connector", "" if book.connectors else ADD)
    if book.default in (POSTFIX, NONE):
        click.echo(f"-- default relay: {book.default}")


def _state(book: Book, connector: Connector) -> str:
    diversion = book.diversion(connector.name, datetime.now(UTC))
    return f"{connector.state}, diverted to {diversion.to}" if diversion else connector.state


@connector.command("show")
@click.argument("name")
@json_option
@pass_context
def show_(ctx: Context, name: str, *, as_json: bool) -> None:
    """Show one connector and its senders; never its password."""
    book = read(ctx.store)
    found = book.connector(name)
    values = {**show.shown(found), **shown_certificate(found)}
    values["paused"] = pausing.paused(book, f"connector {name}")
    values["diverted"] = diverting.diverted(book, name)
    values["senders"] = sorted(s.key for s in book.links_to(name))
    if as_json:
        show.json_lines([values])
    else:
        show.one({name: value for name, value in values.items() if value not in ("", (), [])})


connector.add_command(authorize)
connector.add_command(retiring.disable)
connector.add_command(retiring.remove)
connector.add_command(diverting.divert)
pausing.add_to(connector, "connector", Book.connector)
