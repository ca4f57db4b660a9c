"""What to do with one message: leave it, carry it, mark it, refuse or defer it.

Pure: the milter and `explain` call `decide` with the same arguments and get the
same answer. Read it from the top: each step either ends the matter or goes on.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from pointsman.routing.address import (
    Address,
    AddressError,
    carry,
    is_carrier,
    lookup_keys,
    parse_path,
)
from pointsman.routing.authors import Authors, authors_of
from pointsman.routing.lanes import Client, Route, forbidden, route_of
from pointsman.routing.recipients import Recipient, is_lane, is_outbound, may_be_aliased
from pointsman.routing.snapshot import NONE, POSTFIX, Snapshot
from pointsman.routing.turns import OFF, Next, turn_of, usable

MARKER = "X-Pointsman-Lane"

# Where a message is on its way through an admin's content filter; see postfix/services.py.
FRONT, BACK = "front", "back"

_TOKEN = re.compile(r"\s*(\S+)")


@dataclass(frozen=True, slots=True)
class Message:
    """All that a decision may rest on; header fields raw, as the client sent them."""

    envelope: str
    recipients: Sequence[Recipient]
    client: Client
    froms: Sequence[str] = ()
    senders: Sequence[str] = ()
    markers: Sequence[str] = ()
    role: str = ""  # FRONT: may they, and rates; BACK: the lane; else all


@dataclass(frozen=True, slots=True)
class Leave:
    """Change nothing: Postfix's own tables already do what was decided."""

    way: str  # table, default, hosted, or why nothing better was possible


@dataclass(frozen=True, slots=True)
class Carry:
    """Replace the envelope sender."""

    sender: str
    way: str = "carrier"


@dataclass(frozen=True, slots=True)
class Mark:
    """Insert the marker with this value."""

    value: str
    way: str = "marker"


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer the client with an SMTP reply; nothing is sent."""

    code: str
    status: str
    text: str
    way: str = "refused"


Step = Leave | Carry | Mark | Refuse


@dataclass(frozen=True, slots=True)
class Decision:
    """The step to take and, where it came that far, the route behind it."""

    step: Step
    route: Route | None = None
    outbound: Sequence[Recipient] = field(default=())


def decide(
    snapshot: Snapshot,
    message: Message,
    now: float,
    turns: Next = lambda _key: 0,
    down: Collection[str] = (),
) -> Decision:
    """Decide about a message at the end of its data; `now` in seconds since the epoch.

    `turns` counts the messages of a sender with several connectors, of which `down` are
    not to be used if there is another.
    """
    if any(_token(marker) in snapshot.tokens for marker in message.markers):
        return Decision(Refuse("550", "5.7.1", f"{MARKER} is not for you to write"))
    outbound = [r for r in message.recipients if is_outbound(snapshot, r)]
    try:
        envelope = parse_path(message.envelope, snapshot.around.myorigin)
    except AddressError as error:
        unreadable = Refuse("553", "5.1.7", f"Sender address: {error}")
        return Decision(unreadable if outbound else Leave("hosted"), outbound=outbound)
    if is_carrier(envelope):
        return Decision(Refuse("550", "5.7.1", f"<{envelope}>: sender domain is reserved"))
    if not outbound:
        return Decision(Leave("hosted"))
    try:
        authors = authors_of(snapshot, message.froms, message.senders)
    except AddressError as error:
        return Decision(Refuse("550", "5.7.1", str(error)), outbound=outbound)
    route = route_of(snapshot, authors.decider, authors.by, envelope)
    names = usable(snapshot, route, down)
    refusal = _refusal(snapshot, message, authors, envelope, route, names)
    step: Step | None = refusal or (Leave("content-filter") if message.role == FRONT else None)
    if step is None:
        if route.ways:
            route = replace(route, connector=turn_of(route, names, turns))
        step = _way(snapshot, message, route, envelope, outbound, now)
    return Decision(step, route, outbound)


def owner(snapshot: Snapshot, message: Message) -> Route | None:
    """Whose mail to hosted recipients is, where its agency wants that counted too."""
    if all(agency.exempt for agency in snapshot.agencies.values()):
        return None
    try:
        envelope = parse_path(message.envelope, snapshot.around.myorigin)
        authors = authors_of(snapshot, message.froms, message.senders)
    except AddressError:
        return None
    route = route_of(snapshot, authors.decider, authors.by, envelope)
    if forbidden(snapshot, [*authors.mailboxes, envelope], message.client) is not None:
        return None
    agency = snapshot.agencies.get(route.agency)
    return route if agency is not None and not agency.exempt else None


def _token(marker: str) -> str:
    match = _TOKEN.match(marker)
    return match[1].lower() if match else ""


def _refusal(
    snapshot: Snapshot,
    message: Message,
    authors: Authors,
    envelope: Address,
    route: Route,
    names: Sequence[str],
) -> Refuse | None:
    stranger = forbidden(snapshot, [*authors.mailboxes, envelope], message.client)
    if stranger is not None and message.role != BACK:
        return Refuse("550", "5.7.1", f"<{stranger}>: {message.client} may not send for it")
    if route.connector == NONE and not (envelope.null and snapshot.null_sender):
        sender = authors.decider or envelope
        return Refuse("550", "5.7.1", f"<{sender}> has no connector, and there is no default relay")
    if route.turn == OFF:
        return Refuse("450", "4.3.0", f"sender {route.key} is switched off", "deferred")
    if snapshot.lane(route.connector) is not None and not names:
        ways = [snapshot.taken(name) for name in route.ways or (route.connector,)]
        which = f"connectors {', '.join(ways)} are" if route.ways else f"connector {ways[0]} is"
        return Refuse("450", "4.3.0", f"{which} disabled", "deferred")
    return None


def _way(
    snapshot: Snapshot,
    message: Message,
    route: Route,
    envelope: Address,
    outbound: Sequence[Recipient],
    now: float,
) -> Step:
    """Of the three ways, the first that is sure to work."""
    sender = _aligned(snapshot, route, envelope)
    if sender == envelope and _table_agrees(snapshot, route, envelope, outbound, now):
        return Leave("default" if route.by == "default" else "table")
    if envelope.null:
        return _mark(snapshot, message, route, outbound)
    if _link_is_in_doubt(snapshot, route, envelope, outbound, now):
        text = f"<{envelope}> is being linked or unlinked: try again"
        return Refuse("451", "4.3.0", text, "deferred")
    try:
        return Carry(carry(sender, route.agency, route.connector))
    except AddressError as error:
        return Refuse("451", "4.3.0", str(error), "deferred")


def _aligned(snapshot: Snapshot, route: Route, envelope: Address) -> Address:
    """Who the envelope sender is outside: for `envelope: align`, the deciding address."""
    lane = snapshot.lane(route.connector)
    if lane is None or not lane.align or envelope.null or route.address is None:
        return envelope
    return envelope if route.address.key == envelope.key else route.address


def _table_agrees(
    snapshot: Snapshot, route: Route, envelope: Address, outbound: Sequence[Recipient], now: float
) -> bool:
    """Whether Postfix's own answer at RCPT is, and at delivery will be, the decision."""
    default = route.by == "default"
    if snapshot.around.rewrites and not (default and route.connector == POSTFIX):
        return False
    if _recently_changed(snapshot, envelope, now):
        return False
    # sendmail(1) mail has no answer of Postfix's; that no link matches is sure all the same.
    agreed = {snapshot.transport_of(route.connector), None if default else ""}
    return all(recipient.mailer in agreed for recipient in outbound)


def _link_is_in_doubt(
    snapshot: Snapshot, route: Route, envelope: Address, outbound: Sequence[Recipient], now: float
) -> bool:
    """Whether Postfix leads a sender by a link that we do not know yet, or may still do so.

    Where an admin's own maps lead senders, a carrier to `postfix` would take neither the lane nor
    the way that is this sender's without a link.
    """
    around = snapshot.around
    if route.by != "default" or route.connector != POSTFIX or not around.relayhost_varies:
        return False
    led = any(is_lane(snapshot, recipient.mailer) for recipient in outbound)
    return led or _recently_changed(snapshot, envelope, now)


def _recently_changed(snapshot: Snapshot, envelope: Address, now: float) -> bool:
    if not snapshot.changed or envelope.null:
        return False
    return any(now < snapshot.changed.get(key, 0.0) for key in lookup_keys(envelope))


def _mark(
    snapshot: Snapshot, message: Message, route: Route, outbound: Sequence[Recipient]
) -> Step:
    """The null sender can't be carried; where it can't be marked, the `<>` key serves."""
    if route.by == "default":
        return Leave("null-sender" if snapshot.null_sender else "default")
    hazard = _filter_hazard(snapshot, message, outbound)
    if hazard:
        return Leave(f"null-sender-{hazard}")
    return Mark(f"{snapshot.tokens[0]} {route.connector}")


def _filter_hazard(snapshot: Snapshot, message: Message, outbound: Sequence[Recipient]) -> str:
    """Why FILTER might move a recipient that is not ours, or '' if it can't."""
    around = snapshot.around
    hazards = {
        "mixed": len(outbound) != len(message.recipients),
        "bcc": around.copies,
        "aliases-unknown": any(name.startswith("alias:") for name in around.unlisted),
        "aliased": any(may_be_aliased(snapshot, r) for r in outbound),
        "domains-unknown": bool(around.unlisted) and any(r.mailer is None for r in outbound),
    }
    return next((name for name, there in hazards.items() if there), "")


def lane_taken(snapshot: Snapshot, decision: Decision) -> str:
    """The transport that the outbound recipients will get; '' if nothing leaves."""
    if decision.route is None or isinstance(decision.step, Refuse):
        return ""
    if decision.step.way.startswith("null-sender"):
        return snapshot.transport_of(snapshot.null_sender or snapshot.default)
    return snapshot.transport_of(decision.route.connector)
