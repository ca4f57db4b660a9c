"""What the applied revision says about rates. Pure; one object for each snapshot."""

from dataclasses import dataclass
from functools import cached_property

from pointsman.policy.protocol import Request
from pointsman.rates.rate import UNLIMITED, Rate, parse_rate
from pointsman.rates.windows import Wanted
from pointsman.routing.address import Address
from pointsman.routing.charge import counters, rate_of
from pointsman.routing.lanes import Client, Route, forbidden, route_of
from pointsman.routing.recipients import is_hosted
from pointsman.routing.snapshot import Agency, Snapshot

_REMEMBERED = 100_000  # senders with their clients
_DIGITS = 7  # of a number of recipients
_REVISION_DIGITS = 18
_NOBODY = ("", "", "")


Line = tuple[str, str, str]  # agency, connector, sender with a rate of its own, or ""


@dataclass(slots=True)
class Asked:
    """One message as the daemon sees it."""

    queue_id: str
    instance: str
    line: Line
    recipients: int = 1
    exempt: bool = False
    direct: bool = False  # by Postfix itself, not by the milter
    why: str = ""  # why it is not counted
    observed: bool = False  # whatever the answer, the message goes

    @property
    def name(self) -> str:
        """What tells it from others; Postfix may have no queue id for it yet."""
        return self.queue_id or self.instance

    @property
    def agency(self) -> str:
        """Whose it is."""
        return self.line[0]

    @property
    def connector(self) -> str:
        """By which it leaves."""
        return self.line[1]


class Rules:
    """Rates, limits and pauses by name."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._wanted: dict[Line, Wanted] = {}
        self._owners: dict[tuple[str, str, str], tuple[Line, str]] = {}
        self._rates: dict[str, Rate] = {}

    def is_behind(self, revision: str) -> bool:
        """Whether somebody has decided by a later revision already."""
        if not revision.isdecimal() or len(revision) > _REVISION_DIGITS:
            return False
        return int(revision) > self.snapshot.revision

    @cached_property
    def default_agency(self) -> Agency:
        """What counts for an agency that is gone while its mail is still held."""
        return Agency("", rate=UNLIMITED)

    def agency(self, name: str) -> Agency:
        """An agency's limits."""
        return self.snapshot.agencies.get(name, self.default_agency)

    def rate_of(self, counter: str) -> Rate:
        """The rate of a counter by its name, read once."""
        text = rate_of(self.snapshot, counter)
        rate = self._rates.get(text)
        if rate is None:
            rate = self._rates[text] = parse_rate(text)
        return rate

    def wanted(self, line: Line) -> Wanted:
        """All counters of a message, those without a rate left out."""
        found = self._wanted.get(line)
        if found is None:
            agency, connector, sender = line
            names = counters(agency, self.snapshot.taken(connector), sender)
            rates = ((name, self.rate_of(name)) for name in names)
            found = self._wanted[line] = tuple(pair for pair in rates if pair[1])
        return found

    def backlog(self, connector: str) -> int:
        """How many messages a lane may have on their way; 0 for a transport that is no lane."""
        lane = self.snapshot.lane(connector)
        return lane.backlog if lane else 0

    def sharing(self, connector: str) -> tuple[str, ...]:
        """All connectors whose mail takes the same lane: several, while one is diverted."""
        if not self.snapshot.diversions:
            return (connector,)
        lane = self.snapshot.taken(connector)
        return tuple(c for c in self.snapshot.lanes if self.snapshot.taken(c) == lane)

    def asked(self, request: Request) -> Asked:
        """Whose a request's message is: as the milter says, or found by its sender."""
        get = request.get
        agency = get("agency")
        line = (agency, get("connector", ""), get("counter", "")) if agency else _NOBODY
        asked = Asked(
            get("queue_id", ""),
            get("instance", ""),
            line,
            number_of(get("recipient_count", "")),
            "exempt" in request,
            observed="observe" in request,
        )
        return asked if agency else self._found(asked, request)

    def _found(self, asked: Asked, request: Request) -> Asked:
        """Postfix asks by itself: it names the envelope sender, and a single recipient."""
        get = request.get
        who = (get("sender", ""), get("sasl_username", ""), get("client_address", ""))
        asked.direct = True
        asked.line, asked.why = self._owners.get(who) or self._owner(*who)
        recipient = get("recipient")
        if recipient and not asked.why and self.agency(asked.agency).exempt:
            domain = recipient.rpartition("@")[2].lower()
            asked.why = "hosted" if is_hosted(self.snapshot, domain) else ""
        asked.exempt = bool(asked.why)
        return asked

    def _owner(self, sender: str, login: str, address: str) -> tuple[Line, str]:
        """Find it once; a new snapshot comes with new rules."""
        route = self._route(sender)
        why = ""
        if route.address and forbidden(self.snapshot, [route.address], Client(login, address)):
            why = "stranger"
        elif is_exempt(sender) and self.agency(route.agency).exempt:
            why = "exempt"
        counter = route.key if route.key in self.snapshot.rates else ""
        if len(self._owners) >= _REMEMBERED:
            self._owners.clear()
        owner = ((route.agency, route.connector, counter), why)
        self._owners[sender, login, address] = owner
        return owner

    def _route(self, sender: str) -> Route:
        # Postfix shows a quoted local part without its quotes, and no domain of its own.
        local, at, domain = sender.rpartition("@")
        origin = self.snapshot.around.myorigin if sender else ""
        envelope = Address(local, domain) if at else Address(sender, origin)
        return route_of(self.snapshot, None, "from", envelope)


def is_exempt(sender: str) -> bool:
    """Whether mail of an envelope sender is never limited: bounces, and postmaster's."""
    return not sender or sender.partition("@")[0].lower() == "postmaster"


def number_of(text: str) -> int:
    """A number of recipients; what is none counts as one."""
    return max(int(text), 1) if text.isdecimal() and len(text) <= _DIGITS else 1
