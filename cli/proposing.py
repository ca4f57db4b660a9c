"""`pointsman import postfix`, `mailcow`, `iredmail`: shows what it would make, and makes it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click

from pointsman.cli import show
from pointsman.cli.context import Context, if_revision_option, pass_context
from pointsman.importing.iredmail import read_iredmail
from pointsman.importing.mailcow import read_mailcow
from pointsman.importing.postfix import read_postfix
from pointsman.importing.proposal import Proposal, Sealing, propose
from pointsman.importing.read import Read, Remark
from pointsman.postfix import wiring
from pointsman.postfix.conf import Instance
from pointsman.store.book import Edit, read

_F = TypeVar("_F", bound=Callable[..., Any])
_KEYS_SHOWN = 5


def _options(command: _F) -> _F:
    """What the three have in common."""
    for option in (
        if_revision_option,
        click.option(
            "--default",
            is_flag=True,
            help="Make a connector of what mail without a link takes now, too.",
        ),
        click.option("--yes", is_flag=True, help="Do it; without this, only show it."),
    ):
        command = option(command)
    return command


@click.command()
@_options
@pass_context
def postfix(ctx: Context, /, **options: Any) -> None:
    """Make connectors and senders of the maps by which Postfix chose them.

    Reads sender_dependent_default_transport_maps, sender_dependent_relayhost_maps,
    smtp_sasl_password_maps, smtp_tls_policy_maps and the services that they lead to. Nothing
    in Postfix changes, and mail goes as before until a connector is enabled.

    \b
    pointsman import postfix
    pointsman import postfix --yes
    """
    _bring(ctx, _postfix(ctx), **options)


@click.command()
@click.argument("dump", metavar="FILE")
@_options
@pass_context
def mailcow(ctx: Context, /, dump: str, **options: Any) -> None:
    """Make connectors and senders of mailcow's sender-dependent transports.

    FILE is a dump of its tables:

    \b
    mariadb-dump mailcow relayhosts transports domain alias_domain alias mailbox \\
        sender_acl tls_policy_override > mailcow.sql
    pointsman import mailcow mailcow.sql
    """
    _bring(ctx, read_mailcow(dump), **options)


@click.command()
@click.argument("dump", metavar="FILE")
@_options
@pass_context
def iredmail(ctx: Context, /, dump: str, **options: Any) -> None:
    """Make connectors and senders of iRedMail's sender-dependent relay hosts.

    FILE is a dump of its tables, from MariaDB or PostgreSQL. Logins and TLS rules are not
    among them: those are read from this instance's main.cf.

    \b
    mysqldump vmail sender_relayhost domain mailbox > vmail.sql
    pointsman import iredmail vmail.sql
    """
    _bring(ctx, read_iredmail(dump, _postfix(ctx)), **options)


def _postfix(ctx: Context) -> Read:
    instance = Instance(ctx.config.postfix.config_directory)
    try:
        transport = wiring.original(ctx.config).get("default_transport")
    except wiring.NotSetUpError:
        transport = None
    return read_postfix(instance, ctx.config.tables, transport)


def _bring(ctx: Context, found: Read, if_revision: int | None, *, yes: bool, default: bool) -> None:
    sealing = Sealing(ctx.store.secrets.seal, ctx.store.secrets.unseal)
    if not yes:
        proposal = propose(found, read(ctx.store), sealing, default=default)
        _show(proposal)
        if proposal.senders or proposal.connectors:
            click.echo("\nnothing is changed yet: repeat it with --yes")
        return
    with ctx.edit(if_revision) as edit:
        proposal = propose(found, edit.book, sealing, default=default)
        _show(proposal)
        _add(edit, proposal)
    _tell_next(proposal, found)


def _add(edit: Edit, proposal: Proposal) -> None:
    """All of it, in one revision."""
    edit.add(*proposal.agencies, *proposal.connectors, *proposal.senders)
    edit.reserve_carriers((s.agency, name) for s in proposal.senders for name in s.ways)


def _show(proposal: Proposal) -> None:
    show.table(
        ((c.name, c.servers, c.tls, c.username) for c in proposal.connectors),
        ("CONNECTOR", "HOST", "TLS", "LOGIN"),
        "new connector",
    )
    show.table(
        ((a.name, "any client", a.rate) for a in proposal.agencies),
        ("AGENCY", "WHO MAY SEND", "RATE"),
        "new agency",
    )
    show.table(
        ((s.key, s.agency, s.connectors) for s in proposal.senders),
        ("SENDER", "AGENCY", "CONNECTOR"),
        "new sender",
    )
    if not (proposal.senders or proposal.known):
        click.echo("no sender has a way of its own that could be imported")
    if proposal.known:
        click.echo(f"{show.counted(proposal.known, 'sender')} linked so already")
    for text, places in _grouped([*proposal.remarks, *_general(proposal)]).items():
        named = ", ".join(places[:_KEYS_SHOWN])
        more = len(places) - _KEYS_SHOWN
        click.echo(f"note: {named}{f' and {more} more' if more > 0 else ''}: {text}")


def _general(proposal: Proposal) -> Iterator[Remark]:
    """What is so for all that is new."""
    if proposal.agencies:
        yield Remark(
            "no rate limit, and any client that Postfix relays for may send, as before; "
            "`pointsman agency set NAME --rate 50/minute --no-any-client --login LOGIN` ends that",
            "new agencies",
        )
    if proposal.connectors:
        yield Remark(
            "as many connections at the same time as master.cf says (maxproc), else 5: "
            "`pointsman connector set NAME --processes N`",
            "new connectors",
        )
    if proposal.senders:
        yield Remark(
            "the From decides now, and the envelope sender where the From is linked to nothing; "
            "Postfix's maps knew the envelope sender alone",
            "new senders",
        )


def _grouped(remarks: Iterable[Remark]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for remark in remarks:
        found.setdefault(remark.text, []).append(remark.where)
    return found


def _tell_next(proposal: Proposal, found: Read) -> None:
    """What an admin does next; until then, mail goes as before."""
    if not proposal.staged:
        return
    click.echo("\nMail goes as before until a connector is enabled, which tests it first:")
    for name in proposal.staged:
        click.echo(f"  pointsman connector enable {name}")
    if proposal.default:
        click.echo(f"  pointsman connector default {proposal.default}")
    if not found.removable:
        return
    if any(remark.keeps for remark in proposal.remarks):
        click.echo("The notes say who still needs the old maps; leave them in main.cf:")
    else:
        click.echo("Once all are live, these do nothing any more and may go from main.cf:")
    for item in found.removable:
        click.echo(f"  {item}")
