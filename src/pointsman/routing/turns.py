"""Whose turn it is, where a sender has several connectors. Pure."""

from collections import defaultdict
from collections.abc import Callable, Collection
from itertools import count

from pointsman.routing.lanes import Route
from pointsman.routing.snapshot import Snapshot

ROTATE, FAILOVER = "rotate", "failover"
TURNS = (ROTATE, FAILOVER)
OFF = "off"  # in place of a turn: the sender is switched off

Next = Callable[[str], int]  # a link's key, to how often it was asked before


class Turns:
    """Counts the messages of each link; safe on libmilter's threads."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, count[int]] = defaultdict(count)

    def next(self, key: str) -> int:
        """The number of this message, from 0."""
        return next(self._counts[key])


def usable(snapshot: Snapshot, route: Route, down: Collection[str]) -> list[str]:
    """The connectors that may take a message now, in order; empty if all are disabled.

    One that is down is left out, unless all are: then the mail waits as it would for one.
    """
    lanes = {name: snapshot.lane(name) for name in route.ways or (route.connector,)}
    live = [name for name, lane in lanes.items() if lane is not None and lane.live]
    return [name for name in live if snapshot.taken(name) not in down] or live


def turn_of(route: Route, names: list[str], number: Next) -> str:
    """The connector whose turn it is, of those that may take the message."""
    return names[number(route.key) % len(names)] if route.turn == ROTATE else names[0]
