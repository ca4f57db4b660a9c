"""What the daemons get to know of a revision: the snapshot, from the database. Pure.

render.py makes it with all else that follows from the revision.
"""

from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_network

from pointsman.postfix.lane import Tables, nexthop
from pointsman.routing.snapshot import (
    Agency,
    Diversion,
    Lane,
    Link,
    Pause,
    Snapshot,
    Surroundings,
)
from pointsman.routing.turns import OFF
from pointsman.store import records
from pointsman.store.book import Book
from pointsman.store.records import Connector


def snapshot_of(
    book: Book,
    around: Surroundings,
    connectors: list[Connector],
    tokens: tuple[str, ...],
    tables: Tables,
    now: datetime,
) -> Snapshot:
    """What the daemons get to know; links to a new connector are not yet among it."""
    lanes = {
        c.name: Lane(
            c.name, nexthop(c, tables), c.state == "live", c.envelope == "align", c.rate, c.backlog
        )
        for c in connectors
    }
    links = _links(book, lanes)
    agencies = {
        a.name: Agency(
            a.name,
            frozenset(a.logins),
            tuple(map(ip_network, a.networks)),
            a.any_client,
            a.rate,
            a.over_limit,
            a.held_max,
            a.exempt,
        )
        for a in book.agencies.values()
    }
    return Snapshot(
        revision=book.revision,
        tokens=tokens,
        agencies=agencies,
        lanes=lanes,
        links=links,
        default=book.default,
        null_sender=book.null_sender,
        rates={s.key: s.rate for s in book.senders.values() if s.rate and s.key in links},
        pauses={name: _pause(pause) for name, pause in book.pauses.items()},
        diversions={
            name: _diversion(found)
            for name in lanes
            if (found := book.diversion(name, now)) and found.to in lanes
        },
        around=around,
    )


def _links(book: Book, lanes: Mapping[str, Lane]) -> dict[str, Link]:
    """Who takes which way; 100,000 senders share few links, which are made once."""
    known: dict[tuple[str, str, str, bool], Link | None] = {}
    links: dict[str, Link] = {}
    for sender in book.senders.values():
        what = (sender.agency, sender.connectors, sender.turn, sender.off)
        if what not in known:
            known[what] = _link(sender, lanes)
        link = known[what]
        if link is not None:
            links[sender.key] = link
    return links


def _link(sender: records.Sender, lanes: Mapping[str, Lane]) -> Link | None:
    """Connectors that are new are left out; without any other, mail goes on as before."""
    ways = tuple(name for name in sender.ways if name in lanes)
    if not ways:
        return None
    first = next((name for name in ways if lanes[name].live), ways[0])
    turn = OFF if sender.off else sender.turn
    return Link(sender.agency, first, ways if len(ways) > 1 else (), turn)


def _pause(pause: records.Pause) -> Pause:
    return Pause(pause.who, pause.at, _epoch(pause.until), pause.reason)


def _diversion(found: records.Diversion) -> Diversion:
    return Diversion(found.to, found.who, found.at, _epoch(found.until), found.reason)


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0
