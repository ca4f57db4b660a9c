"""What a message counts, and against whom. Pure."""

from dataclasses import dataclass

from pointsman.rates.rate import UNLIMITED
from pointsman.routing.address import AddressError, parse_path
from pointsman.routing.decide import BACK, Decision, Message, Refuse, owner
from pointsman.routing.lanes import Route
from pointsman.routing.snapshot import Snapshot

HELD = "X-Pointsman-Held"  # tells held mail that was requeued from any other


@dataclass(frozen=True, slots=True)
class Charge:
    """One question to the policy daemon."""

    agency: str
    connector: str
    sender: str  # the link that has a rate of its own, or ""
    recipients: int
    exempt: bool
    revision: int
    observe: bool = False

    @property
    def words(self) -> str:
        """The charge as the header of held mail keeps it."""
        return f"{self.agency} {self.connector} {self.recipients} {int(self.exempt)}"


def rate_of(snapshot: Snapshot, counter: str) -> str:
    """The rate of a counter by its name: `agency court`, `sender clerk@court.example`."""
    kind, _, name = counter.partition(" ")
    if kind == "agency":
        agency = snapshot.agencies.get(name)
        return agency.rate if agency else UNLIMITED
    if kind == "connector":
        lane = snapshot.lanes.get(name)
        return lane.rate if lane else UNLIMITED
    return snapshot.rates.get(name, UNLIMITED)


def counters(agency: str, connector: str, sender: str) -> list[str]:
    """The names of all counters of a message."""
    names = [f"agency {agency}", f"connector {connector}"]
    return [*names, f"sender {sender}"] if sender else names


def charge_of(snapshot: Snapshot, message: Message, decision: Decision) -> Charge | None:
    """The charge of a message; None if nothing about it is limited, or it is refused."""
    route, recipients = decision.route, len(decision.outbound)
    if isinstance(decision.step, Refuse) or message.role == BACK:
        return None
    if route is None:
        route, recipients = owner(snapshot, message), len(message.recipients)
    if route is None or not _limited(snapshot, route):
        return None
    agency = snapshot.agencies.get(route.agency)
    exempt = (agency is None or agency.exempt) and _is_exempt(snapshot, message)
    sender = route.key if route.key in snapshot.rates else ""
    return Charge(
        route.agency,
        route.connector,
        sender,
        recipients,
        exempt,
        snapshot.revision,
        snapshot.observe,
    )


def _limited(snapshot: Snapshot, route: Route) -> bool:
    if route.connector in snapshot.lanes or snapshot.pauses:
        return True
    agency = snapshot.agencies.get(route.agency)
    return (agency is not None and agency.rate != UNLIMITED) or route.key in snapshot.rates


def _is_exempt(snapshot: Snapshot, message: Message) -> bool:
    """The null sender, and postmaster (RFC 5321 4.5.1)."""
    try:
        envelope = parse_path(message.envelope, snapshot.around.myorigin)
    except AddressError:
        return False
    return envelope.null or envelope.local.lower() == "postmaster"
