"""Policy servers side by side: the same requests, limits and numbers of connections."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import serving
from bench.asking import Asker, Load
from bench.serving import Server

POINTSMAN, REDIS, FLOOR = "Pointsman", "Pointsman, Redis", "do-nothing asyncio"
POLICYD, POSTFWD1, POSTFWD2 = "policyd-rate-limit", "postfwd1", "postfwd2"
PEERS = (POLICYD, POSTFWD1, POSTFWD2)
FEW, MANY = 10, 100_000  # agencies, each with one sender
CONNECTIONS = (1, 10, 100)
NEVER = 1_000_000  # messages a minute: no run gets there, so all is counted and passed
LOW, BEYOND = 5, 10  # the proof that it counts: of LOW + BEYOND messages, LOW pass
SECONDS = 6.0  # of one run
WARM_UP = 30.0  # seconds at most, for each sender to come once

Say = Callable[[str], None]
Start = Callable[[Path, int, int], AbstractContextManager[Server]]
Key = tuple[str, int, int]  # entrant, agencies, connections


@dataclass
class Policy:
    """All runs in the order of the rounds, and what each server took then."""

    seconds: float = SECONDS
    loads: dict[Key, list[Load]] = field(default_factory=dict)
    memory: dict[tuple[str, int], float] = field(default_factory=dict)
    proofs: dict[str, tuple[int, int]] = field(default_factory=dict)  # passed, refused


def measure(folder: Path, rounds: int, seconds: float, say: Say) -> Policy:
    """All servers run all the time; one at a time is asked."""
    result, asker = Policy(seconds), Asker(folder)
    for name, start in ENTRANTS.items():
        result.proofs[name] = _prove(name, start, folder, asker)
        say(
            f"{name}: of {LOW + BEYOND} messages at a limit of {LOW}, {result.proofs[name][0]} pass"
        )
    with ExitStack() as stack:
        servers = {}
        for (name, agencies), start in _running().items():
            place = folder / _slug(name, str(agencies))
            servers[name, agencies] = stack.enter_context(start(place, agencies, NEVER))
            _warm_up(asker, servers[name, agencies], agencies, say, name)
        for number in range(rounds):
            _round(result, asker, servers, number, say)
        result.memory = {key: server.memory() for key, server in servers.items()}
    return result


def _round(
    result: Policy, asker: Asker, servers: dict[tuple[str, int], Server], number: int, say: Say
) -> None:
    """Each round begins with another server."""
    order = list(servers)
    first = number % len(order)
    for connections in CONNECTIONS:
        for name, agencies in order[first:] + order[:first]:
            server = servers[name, agencies]
            load = asker.ask(server, connections, result.seconds, senders=agencies)
            if load.other:
                raise RuntimeError(f"{name} refused {load.other} messages within its limit")
            result.loads.setdefault((name, agencies, connections), []).append(load)
            say(
                f"round {number + 1}, {connections} connections, {agencies:,} agencies: {name}: "
                f"{load.rate:,.0f} decisions/s, p99 {load.p99 * 1e3:.2f} ms"
            )


def _warm_up(asker: Asker, server: Server, agencies: int, say: Say, name: str) -> None:
    """Let each sender come once, so that nobody is measured while it meets strangers."""
    load = asker.ask(server, 10, WARM_UP, senders=agencies, most=max(agencies, 1000))
    say(f"{name}, {agencies:,} agencies: warmed up with {load.decisions:,} decisions")


def _prove(name: str, start: Start, folder: Path, asker: Asker) -> tuple[int, int]:
    """A server that passes everything would win this race: see that it counts."""
    with start(folder / _slug(name, "proof"), 1, LOW) as server:
        load = asker.ask(server, 1, WARM_UP, senders=1, most=LOW + BEYOND)
    if name != FLOOR and (load.passed, load.other) != (LOW, BEYOND):
        raise RuntimeError(f"{name} does not count: {load.passed} passed, {load.other} did not")
    return load.passed, load.other


def _running() -> dict[tuple[str, int], Start]:
    """Each with few and many agencies; the floor does not know how many there are."""
    sizes = {name: (FEW,) if name == FLOOR else (FEW, MANY) for name in ENTRANTS}
    return {(name, size): ENTRANTS[name] for name in ENTRANTS for size in sizes[name]}


@contextmanager
def _with_redis(folder: Path, agencies: int, limit: int) -> Iterator[Server]:
    with (
        serving.redis(folder.with_name(f"{folder.name}-redis")) as (url, pid),
        serving.pointsman(folder, agencies, limit, url, pid) as server,
    ):
        yield server


def _slug(name: str, more: str) -> str:
    return f"{name}-{more}".lower().replace(", ", "-").replace(" ", "-")


ENTRANTS: dict[str, Start] = {
    FLOOR: lambda folder, _agencies, _limit: serving.floor(folder),
    POINTSMAN: serving.pointsman,
    REDIS: _with_redis,
    POLICYD: serving.policyd_rate_limit,
    POSTFWD1: serving.postfwd1,
    POSTFWD2: serving.postfwd2,
}
