"""What the daemons know: the applied revision, as one immutable object and one file.

`apply` writes the file last of all, by rename, so that no daemon ever knows more
than Postfix does. It holds no password; the marker's tokens are in it, hence 0640.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple

from pointsman.rates.rate import UNLIMITED

FORMAT = 4

DEFAULT_AGENCY = "default"
POSTFIX = "postfix"  # the built-in connector: what this Postfix did before us
NONE = "none"  # no default relay at all
NO_TRANSPORT = "pm-none"  # deliberately no service of master.cf

Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Agency:
    """Who may send for a tenant."""

    name: str
    logins: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    any_client: bool = False
    rate: str = UNLIMITED
    over_limit: str = "delay"
    held_max: int = 10_000
    exempt: bool = True


@dataclass(frozen=True, slots=True)
class Pause:
    """Why mail of an agency or connector waits, and until when (epoch; 0 for no end)."""

    who: str
    at: str
    until: float
    reason: str

    def __str__(self) -> str:
        because = f": {self.reason}" if self.reason else ""
        end = f" until {_moment(self.until)}" if self.until else ""
        return f"paused by {self.who} at {self.at}{end}{because}"


@dataclass(frozen=True, slots=True)
class Diversion:
    """Which connector takes a connector's mail, and until when (epoch; 0 for no end)."""

    to: str
    who: str
    at: str
    until: float
    reason: str

    def __str__(self) -> str:
        because = f": {self.reason}" if self.reason else ""
        end = f" until {_moment(self.until)}" if self.until else ""
        return f"diverted to {self.to} by {self.who} at {self.at}{end}{because}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Lane:
    """One connector as Postfix knows it."""

    connector: str
    nexthop: str
    live: bool = True
    align: bool = False
    rate: str = UNLIMITED
    backlog: int = 2_000

    @property
    def transport(self) -> str:
        """The service in master.cf."""
        return f"pm-{self.connector}"

    @property
    def destination(self) -> str:
        """Service and next hop, as Postfix's tables spell them."""
        return f"{self.transport}:{self.nexthop}"


class Link(NamedTuple):
    """Whose a sender is, and by which connector its mail leaves; 100,000 compare fast."""

    agency: str
    connector: str  # of several, the one that Postfix's own table leads to
    ways: tuple[str, ...] = ()  # all of them, in order, where there are several
    turn: str = ""  # how they take turns: see turns.py


@dataclass(frozen=True)
class Surroundings:
    """What Postfix itself does with recipients and senders, as read at apply."""

    myorigin: str = ""
    transport: str = "smtp"  # what the built-in connector `postfix` stands for
    nexthop: str = ""
    relayhost: str = ""
    relayhost_varies: bool = False
    hosted: frozenset[str] = frozenset()
    hosted_parents: frozenset[str] = frozenset()
    aliased: frozenset[str] = frozenset()
    copies: bool = False  # *_bcc: a FILTER would take the copy along
    rewrites: bool = False  # canonical, masquerade: the table sees another sender
    foreign: frozenset[str] = frozenset()  # services named pm-* that are not lanes
    unlisted: tuple[str, ...] = ()  # maps that can't be listed: hosted is not complete


@dataclass(frozen=True)
class Snapshot:
    """Everything that decides about a message, as last applied to Postfix."""

    revision: int = 0
    tokens: tuple[str, ...] = ()  # the first marks, the others are retired
    agencies: Mapping[str, Agency] = field(default_factory=dict)
    lanes: Mapping[str, Lane] = field(default_factory=dict)
    links: Mapping[str, Link] = field(default_factory=dict)
    default: str = POSTFIX
    null_sender: str = ""  # the connector of the table's `<>` key, if any
    rates: Mapping[str, str] = field(default_factory=dict)  # of sender links that have their own
    pauses: Mapping[str, Pause] = field(default_factory=dict)  # `agency NAME`, `connector NAME`
    # Those in force when this was applied: Postfix's tables say the same.
    diversions: Mapping[str, Diversion] = field(default_factory=dict)
    around: Surroundings = field(default_factory=Surroundings)
    observe: bool = False  # decide and log, and change nothing
    # Keys whose row changed, and until when qmgr may remember the old one; a carrier
    # is another sender, of which it remembers nothing.
    changed: Mapping[str, float] = field(default_factory=dict)

    def pause(self, agency: str, connector: str, now: float) -> tuple[str, Pause] | None:
        """What stops this mail, if anything does; `now` in seconds since the epoch."""
        if not self.pauses:
            return None
        for name in (f"agency {agency}", f"connector {self.taken(connector)}"):
            found = self.pauses.get(name)
            if found is not None and (not found.until or now < found.until):
                return name, found
        return None

    def taken(self, connector: str) -> str:
        """The connector that mail of a connector takes: another one, while it is diverted."""
        diversion = self.diversions.get(connector)
        return diversion.to if diversion else connector

    def next_end(self) -> float:
        """When the first diversion ends (epoch); infinity if none does."""
        return min((d.until for d in self.diversions.values() if d.until), default=math.inf)

    def lane(self, connector: str) -> Lane | None:
        """The lane that mail of a connector takes."""
        return self.lanes.get(self.taken(connector))

    def transport_of(self, connector: str) -> str:
        """The service that mail of a connector takes, built-in ones included."""
        connector = self.taken(connector)
        if connector == POSTFIX:
            return self.around.transport
        return NO_TRANSPORT if connector == NONE else f"pm-{connector}"


def dump(snapshot: Snapshot) -> str:
    """Write a snapshot as JSON; links are grouped, as there may be 100,000."""
    grouped: dict[str, list[str]] = {}
    for key, link in snapshot.links.items():
        words = (link.agency, link.connector, link.turn or "-", *link.ways)
        grouped.setdefault(" ".join(words), []).append(key)
    return json.dumps(
        {
            "format": FORMAT,
            "revision": snapshot.revision,
            "tokens": snapshot.tokens,
            "agencies": [_plain_agency(agency) for agency in snapshot.agencies.values()],
            "lanes": [vars(lane) for lane in snapshot.lanes.values()],
            "links": grouped,
            "default": snapshot.default,
            "null_sender": snapshot.null_sender,
            "rates": dict(snapshot.rates),
            "pauses": {name: asdict(pause) for name, pause in snapshot.pauses.items()},
            "diversions": {name: asdict(d) for name, d in snapshot.diversions.items()},
            "around": _plain(vars(snapshot.around)),
            "observe": snapshot.observe,
            "changed": dict(snapshot.changed),
        },
        ensure_ascii=False,
    )


def _plain_agency(agency: Agency) -> dict[str, Any]:
    return _plain({**vars(agency), "networks": [str(n) for n in agency.networks]})


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: sorted(v) if isinstance(v, frozenset) else v for k, v in values.items()}


def parse(text: str) -> Snapshot:
    """Read what `dump` wrote; ValueError for another format or a damaged file."""
    try:
        return _parse(json.loads(text, object_hook=_pause))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a snapshot that this version reads: {error!r}") from None


def _pause(found: dict[str, Any]) -> dict[str, Any]:
    """Let other threads run: a parser in C that calls nobody makes them wait for all of it."""
    return found


def _parse(data: Any) -> Snapshot:
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"not a snapshot of format {FORMAT}: run `pointsman apply`")
    around = data["around"]
    sets = {k: frozenset(around[k]) for k in ("hosted", "hosted_parents", "aliased", "foreign")}
    return Snapshot(
        revision=data["revision"],
        tokens=tuple(data["tokens"]),
        agencies={a["name"]: _agency(a) for a in data["agencies"]},
        lanes={lane["connector"]: Lane(**lane) for lane in data["lanes"]},
        links=_links(data["links"]),
        default=data["default"],
        null_sender=data["null_sender"],
        rates=data["rates"],
        pauses={name: Pause(**pause) for name, pause in data["pauses"].items()},
        diversions={n: Diversion(**d) for n, d in data.get("diversions", {}).items()},
        around=Surroundings(**{**around, **sets, "unlisted": tuple(around["unlisted"])}),
        observe=data["observe"],
        changed=data["changed"],
    )


def _agency(data: Mapping[str, Any]) -> Agency:
    networks = tuple(ip_network(n) for n in data["networks"])
    return Agency(**{**data, "logins": frozenset(data["logins"]), "networks": networks})


def _links(grouped: Mapping[str, list[str]]) -> dict[str, Link]:
    links: dict[str, Link] = {}
    for words, keys in grouped.items():
        agency, connector, turn, *ways = words.split(" ")
        link = Link(agency, connector, tuple(ways), "" if turn == "-" else turn)
        links.update(dict.fromkeys(keys, link))
    return links


def load(path: Path) -> Snapshot:
    """Read the snapshot file; OSError or ValueError if there is none to be had."""
    return parse(path.read_text(encoding="utf-8"))


def applied(path: Path) -> int | None:
    """The revision of the snapshot file; None if there is none to be had."""
    try:
        return load(path).revision
    except (OSError, ValueError, KeyError):
        return None


@lru_cache(maxsize=4096)
def client_ip(text: str | None) -> IPv4Address | IPv6Address | None:
    """The client's address, an IPv4-mapped one as IPv4; None for what is not one."""
    try:
        address = ip_address(text or "")
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
