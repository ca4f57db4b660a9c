"""What was promised of the policy daemon, and what was found."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from bench.asking import Load
from bench.policy import CONNECTIONS, FEW, FLOOR, MANY, PEERS, POINTSMAN, REDIS, Policy
from bench.promise import Check

PEER = 3.0  # times the best peer
SHARE = 0.5  # of the do-nothing server
SCALE = 0.9  # of the rate with few agencies
TAIL = 3.0  # times the do-nothing server's p99, at the most connections

Figure = Callable[[Load], float]


def rate(load: Load) -> float:
    """Decisions a second."""
    return load.rate


def ratios(some: Sequence[Load], others: Sequence[Load], figure: Figure = rate) -> list[float]:
    """Round by round."""
    return [figure(a) / figure(b) for a, b in zip(some, others, strict=True)]


def size_of(name: str, agencies: int) -> int:
    """The floor has one size only."""
    return FEW if name == FLOOR else agencies


def best_peer(found: Policy, agencies: int, connections: int) -> str:
    """The one with the highest median."""
    return max(
        PEERS, key=lambda n: median(load.rate for load in found.loads[n, agencies, connections])
    )


def checks(found: Policy) -> Iterator[Check]:
    """All promises."""
    for agencies in (FEW, MANY):
        for connections in CONNECTIONS:
            yield from _rates(found, agencies, connections)
    for connections in CONNECTIONS:
        yield _scale(found, connections)
    for agencies in (FEW, MANY):
        yield _tail(found, agencies)


def _rates(found: Policy, agencies: int, connections: int) -> Iterator[Check]:
    peer = best_peer(found, agencies, connections)
    where = f"{agencies:,} agencies, {_connections(connections)}"
    wanted = ((POINTSMAN, peer, PEER), (POINTSMAN, FLOOR, SHARE), (REDIS, peer, 1.0))
    for name, other, least in wanted:
        runs = found.loads[name, agencies, connections]
        share = ratios(runs, found.loads[other, size_of(other, agencies), connections])
        yield at_least(f"{name}: {where}", least, f"of {other}", share)


def _scale(found: Policy, connections: int) -> Check:
    some, others = (found.loads[POINTSMAN, size, connections] for size in (MANY, FEW))
    what = f"{POINTSMAN}: {MANY:,} against {FEW} agencies, {_connections(connections)}"
    return at_least(what, SCALE, "of the rate with few", ratios(some, others))


def _tail(found: Policy, agencies: int) -> Check:
    most = CONNECTIONS[-1]
    some, floor = found.loads[POINTSMAN, agencies, most], found.loads[FLOOR, FEW, most]
    times = ratios(some, floor, lambda load: load.p99)
    middle = median(times)
    return Check(
        f"{POINTSMAN}: {agencies:,} agencies, p99 at {_connections(most)}",
        f"at most {TAIL:g} times that of {FLOOR}",
        f"{middle:.2f} times (rounds {min(times):.2f} to {max(times):.2f})",
        middle <= TAIL,
        f"{middle - TAIL:.2f} times too long",
    )


def at_least(what: str, least: float, of: str, found: Sequence[float]) -> Check:
    """A promise about a ratio."""
    middle = median(found)
    return Check(
        what,
        f"at least {least:.2f} {of}",
        f"{middle:.2f} (rounds {min(found):.2f} to {max(found):.2f})",
        middle >= least,
        f"{least - middle:.3f} short",
    )


def _connections(number: int) -> str:
    return f"{number} connection{'s' if number > 1 else ''}"
