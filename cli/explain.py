"""`pointsman explain`: which way a message would take, and why, without sending one."""

import time
from dataclasses import dataclass, replace
from typing import Any

import click

from pointsman.cli import show
from pointsman.cli.context import Context, json_option, pass_context
from pointsman.current import down
from pointsman.errors import PointsmanError, UsageError
from pointsman.postfix.apply import Applier
from pointsman.postfix.lookup import Lookup
from pointsman.routing import snapshot as snapshots
from pointsman.routing.address import AddressError, parse_path
from pointsman.routing.charge import charge_of, counters, rate_of
from pointsman.routing.decide import (
    Carry,
    Decision,
    Mark,
    Message,
    Refuse,
    decide,
    lane_taken,
)
from pointsman.routing.lanes import Client, Route
from pointsman.routing.recipients import Recipient, is_outbound
from pointsman.routing.snapshot import NONE, POSTFIX, Snapshot
from pointsman.routing.turns import ROTATE


@dataclass(frozen=True)
class Question:
    """A message that nobody has sent."""

    sender: str
    header_from: str | None
    header_sender: str | None
    recipients: tuple[str, ...]
    client: Client


@click.command()
@click.option(
    "--from",
    "sender",
    metavar="ADDRESS",
    default="",
    help="The envelope sender; left out, the null sender <>.",
)
@click.option("--header-from", metavar="TEXT", help="The From field.")
@click.option("--header-sender", metavar="TEXT", help="The Sender field.")
@click.option(
    "--to",
    "recipients",
    metavar="ADDRESS",
    multiple=True,
    help="A recipient; repeatable. [default: someone@example.net]",
)
@click.option("--login", metavar="NAME", default="", help="The client's SASL login.")
@click.option("--client", metavar="IP", help="The client's address.")
@json_option
@pass_context
def explain(ctx: Context, /, *, as_json: bool, **question: Any) -> None:
    """Explain which lane a message takes, why, and what Postfix's own tables say.

    Give --from, --header-from or both. Nothing is sent.

    \b
    pointsman explain --from bounce@vendor.example --header-from clerk@court.example \\
        --login court-app --to someone@example.net
    """
    asked = _question(**question)
    applier = Applier(ctx.config, ctx.store)
    try:
        applied = snapshots.load(ctx.config.snapshot)
    except (OSError, ValueError) as error:
        raise PointsmanError(f"nothing is applied yet: run pointsman apply ({error})") from None
    answers = _answers(applier, applied, asked)
    newest = applier.plan().rendered.snapshot
    planned = decide(newest, _planned(applier, applied, asked), time.time())
    if newest.revision != applied.revision and _short(newest, planned) != answers["decision"]:
        answers["not applied yet"] = (
            f"revision {newest.revision} decides otherwise: {_short(newest, planned)}"
        )
    show.json_lines([answers]) if as_json else show.one(answers)


def _question(
    sender: str,
    header_from: str | None,
    header_sender: str | None,
    recipients: tuple[str, ...],
    login: str,
    client: str | None,
) -> Question:
    try:
        parse_path(sender)
        for recipient in recipients:
            parse_path(recipient)
    except AddressError as error:
        raise UsageError(str(error)) from None
    if client is not None and snapshots.client_ip(client) is None:
        raise UsageError(f"{client!r} is not an IP address")
    if sender == "" and header_from is None:
        raise UsageError("give --from, --header-from or both")
    who = Client(login, client)
    return Question(sender, header_from, header_sender, recipients or ("someone@example.net",), who)


def _message(applier: Applier, snapshot: Snapshot, asked: Question) -> Message:
    """The question as the milter would see it, recipients with Postfix's own answers."""
    envelope = parse_path(asked.sender, snapshot.around.myorigin)
    lookup = Lookup(applier.instance, snapshot)
    return Message(
        envelope=f"<{asked.sender}>",
        recipients=[lookup.recipient(path, envelope) for path in asked.recipients],
        client=asked.client,
        froms=[asked.header_from] if asked.header_from is not None else [],
        senders=[asked.header_sender] if asked.header_sender is not None else [],
    )


def _planned(applier: Applier, applied: Snapshot, asked: Question) -> Message:
    """The question to a revision that Postfix does not know yet: it can't be asked."""
    message = _message(applier, applied, asked)
    outbound = [is_outbound(applied, recipient) for recipient in message.recipients]
    paths = zip(asked.recipients, outbound, strict=True)
    recipients = [Recipient(p) if leaves else Recipient(p, "hosted", "") for p, leaves in paths]
    return replace(message, recipients=recipients)


def _answers(applier: Applier, snapshot: Snapshot, asked: Question) -> dict[str, Any]:
    message = _message(applier, snapshot, asked)
    out = down(applier.config.health)
    decision = decide(snapshot, message, time.time(), down=out)
    answers: dict[str, Any] = {
        "revision": snapshot.revision,
        "decision": _short(snapshot, decision),
    }
    route = decision.route
    if route is not None:
        answers["agency"] = route.agency
        answers["connector"] = _connector(snapshot, route.connector)
        answers["because"] = _because(decision)
        if route.ways:
            answers["turn"] = _turn(snapshot, route, out)
        diversion = snapshot.diversions.get(route.connector)
        if diversion is not None:
            answers["diverted"] = f"connector {route.connector} is {diversion}"
        paused = snapshot.pause(route.agency, route.connector, time.time())
        if paused is not None:
            answers["paused"] = f"{paused[0]} is {paused[1]}: held until it is resumed"
        answers["rates"] = _rates(snapshot, message, decision)
    answers["way"] = _way(decision)
    answers["recipients"] = [_kind(decision, recipient) for recipient in message.recipients]
    answers |= _postfix_says(applier, snapshot, asked, decision)
    return answers


def _short(snapshot: Snapshot, decision: Decision) -> str:
    step = decision.step
    if isinstance(step, Refuse):
        return f"{step.code} {step.status} {step.text}"
    if decision.route is None:
        return "left alone: no recipient is outbound"
    return f"leaves by {lane_taken(snapshot, decision)}"


def _connector(snapshot: Snapshot, name: str) -> str:
    if name in (POSTFIX, NONE):
        return f"{name} (built in)"
    lane = snapshot.lanes[name]
    return f"{name} at {lane.nexthop}, {'live' if lane.live else 'disabled'}"


def _turn(snapshot: Snapshot, route: Route, out: frozenset[str]) -> str:
    """The connectors that may take the message; only the milter knows whose turn it is."""
    states = [_state(snapshot, name, out) for name in route.ways]
    if route.turn == ROTATE:
        return f"rotate: each takes the next message in turn: {', '.join(states)}"
    return f"{route.turn}: the first that can takes the message: {', '.join(states)}"


def _state(snapshot: Snapshot, name: str, out: frozenset[str]) -> str:
    if not snapshot.lanes[name].live:
        return f"{name} (disabled)"
    return f"{name} (down)" if name in out else name


def _because(decision: Decision) -> str:
    route = decision.route
    if route is None or route.by == "default":
        return "no link matches From or envelope sender: the default relay"
    field = {"from": "header From", "sender": "header Sender", "envelope": "envelope sender"}
    return f"{field[route.by]} <{route.address}> is linked by {route.key}"


def _rates(snapshot: Snapshot, message: Message, decision: Decision) -> str:
    """The rates that the message counts against, those without a limit left out."""
    charge = charge_of(snapshot, message, decision)
    if charge is None or charge.exempt:
        return "not counted"
    names = counters(charge.agency, snapshot.taken(charge.connector), charge.sender)
    return ", ".join(f"{name} {rate_of(snapshot, name)}" for name in names)


def _way(decision: Decision) -> str:
    step = decision.step
    if isinstance(step, Carry):
        return f"carrier: the envelope sender becomes {step.sender}"
    if isinstance(step, Mark):
        return "marker: a header that Postfix turns into the lane, and takes out again"
    texts = {
        "table": "table: Postfix's own table of senders says the same",
        "default": "default: Postfix's own default transport",
        "hosted": "hosted: not touched",
    }
    return texts.get(step.way, step.way)


def _kind(decision: Decision, recipient: Recipient) -> str:
    kind = "outbound" if recipient in decision.outbound else "hosted"
    return f"{recipient.address} {kind}"


def _postfix_says(
    applier: Applier, snapshot: Snapshot, asked: Question, decision: Decision
) -> dict[str, str]:
    """What the table answers for the sender that the message will have; and a warning."""
    if decision.route is None or isinstance(decision.step, Refuse):
        return {}
    if isinstance(decision.step, Mark):
        header = f"X-Pointsman-Lane: {decision.step.value}"
        table = f"{applier.tables.pcre('marker')}"
        said = applier.instance.query(table, header).removeprefix("FILTER ")
        source = "the marker's rule"
    else:
        sender = decision.step.sender if isinstance(decision.step, Carry) else asked.sender
        address = parse_path(sender, snapshot.around.myorigin)
        said, source = Lookup(applier.instance, snapshot).sender(address)
    answers = {"postfix says": f"{said or 'nothing'} ({source})"}
    expected = lane_taken(snapshot, decision)
    if said.partition(":")[0] != expected:
        answers["differs"] = (
            f"Postfix would use {said or 'nothing'}, not {expected}: run pointsman apply"
        )
    return answers
