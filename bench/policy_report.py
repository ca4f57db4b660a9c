"""The policy servers' tables."""

from collections.abc import Iterator
from statistics import median

from bench.layout import spread, table
from bench.peers import PACKAGES, version
from bench.policy import (
    BEYOND,
    CONNECTIONS,
    FEW,
    FLOOR,
    LOW,
    MANY,
    NEVER,
    POINTSMAN,
    POLICYD,
    POSTFWD1,
    POSTFWD2,
    REDIS,
    WARM_UP,
    Policy,
)
from bench.policy_targets import best_peer, ratios, size_of
from bench.serving import RCPT

WHAT = {
    FLOOR: "a Python server on asyncio that answers DUNNO and reads nothing: the floor",
    POINTSMAN: (
        "`pointsman run policy`, asked by Postfix itself; its journal, its log file and its "
        "reports to the database included"
    ),
    REDIS: "the same with its counters in a private Redis on a unix socket",
    POLICYD: (
        f"Debian's package, limits by sender, in SQLite; asked at {RCPT}, as it lets all else "
        "pass uncounted; without its log"
    ),
    POSTFWD1: "Debian's postfwd, the one-process program; `rate(sender/...)`, without its log",
    POSTFWD2: (
        "Debian's postfwd as `/usr/sbin/postfwd` starts it: a process for each connection, the "
        "counters in another; over TCP; without its log"
    ),
}


def policy_report(found: Policy) -> Iterator[str]:
    """Everything about them."""
    yield "## Policy servers"
    yield (
        "A load generator in C keeps a number of connections busy, each with one request at a "
        f"time, for {found.seconds:g} s a run. The requests have all attributes that Postfix 3.7 "
        "sends at the end of a message, ids of their own, and one of as many senders as there "
        "are agencies. "
        "All servers run all the time and are asked in turn; each knows every sender before the "
        f"first round, or was asked for {WARM_UP:g} s. Limits of {NEVER:,} a minute for each "
        "sender are never reached, so that all is counted. CPU and memory are those of all "
        "processes of a server, the CPU's with what it has left to do when the run is over; the "
        "next one begins when it rests."
    )
    yield "\n".join(f"- **{name}**: {what}." for name, what in WHAT.items())
    counting = [name for name in found.proofs if name != FLOOR]
    yield (
        f"Before the first round each had a limit of {LOW} a minute and got {LOW + BEYOND} "
        f"messages: {', '.join(counting)} let {LOW} pass and refused {BEYOND}. Versions: "
        f"{', '.join(f'{name} {version(name)}' for name in PACKAGES)}."
    )
    for agencies in (FEW, MANY):
        for connections in CONNECTIONS:
            yield f"### {agencies:,} agencies, {connections} at once"
            yield _comparison(found, agencies, connections)
    yield "### From few agencies to many"
    yield _sizes(found)
    yield "### Memory of the policy servers"
    yield "After the last round, in MB."
    yield _memory(found)


def _comparison(found: Policy, agencies: int, connections: int) -> str:
    peer = best_peer(found, agencies, connections)
    rows = []
    for name in WHAT:
        loads = found.loads[name, size_of(name, agencies), connections]
        best, floor = (
            ratios(loads, found.loads[other, size_of(other, agencies), connections])
            for other in (peer, FLOOR)
        )
        times = [
            f"{median(figure(load) for load in loads) * 1e3:,.2f}"
            for figure in (lambda load: load.p50, lambda load: load.p99, lambda load: load.max)
        ]
        cost = f"{median(load.cost for load in loads):,.0f} µs"
        rate = spread([load.rate for load in loads], 0)
        rows.append([name, rate, spread(best, 2), spread(floor, 2), *times, cost])
    headers = ["decisions/s", f"of {peer}", "of the floor", "p50, ms", "p99, ms", "worst, ms"]
    return table(rows, "", *headers, "CPU")


def _sizes(found: Policy) -> str:
    rows = []
    for name in WHAT:
        if name != FLOOR:
            shares = [
                spread(ratios(found.loads[name, MANY, n], found.loads[name, FEW, n]), 2)
                for n in CONNECTIONS
            ]
            rows.append([name, *shares])
    headers = [f"{n} at once" for n in CONNECTIONS]
    return table(rows, f"rate with {MANY:,} to that with {FEW}", *headers)


def _memory(found: Policy) -> str:
    rows = [
        [name, *(f"{found.memory[name, size_of(name, n)]:,.0f}" for n in (FEW, MANY))]
        for name in WHAT
    ]
    return table(rows, "", f"{FEW} agencies", f"{MANY:,} agencies")
