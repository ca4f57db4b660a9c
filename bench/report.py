"""Writes the results as Markdown, for the terminal and for RESULTS.md alike."""

from collections.abc import Iterator, Sequence
from statistics import median

from bench.fill import LARGE, SMALL
from bench.layout import spread, table
from bench.load import BODY, SESSIONS
from bench.policy_report import policy_report
from bench.promise import Check
from bench.race import WARM_UP, Sample
from bench.results import Results
from bench.scale import Scale, entrant_name
from bench.targets import RATES, Rate, checks, ratios
from bench.throughput import BARE, CARRIER, FLOOR, FLOORS, MODES, TABLE, Throughput

ENOUGH = (5, 2000)  # rounds and messages below which a figure is only a hint


def report(results: Results) -> str:
    """Everything, in the order in which one would ask."""
    parts = [*_head(results)]
    if results.throughput:
        parts += _throughput(results.throughput)
    if results.scale:
        parts += _scale(results.scale)
    if results.policy:
        parts += policy_report(results.policy)
    if results.applied():
        parts += _applies(results)
    parts += _verdict(checks(results))
    return "\n\n".join(parts) + "\n"


def _head(results: Results) -> Iterator[str]:
    yield "# Benchmarks"
    yield (
        "Written by `make bench` (`python -m bench.run`). smtp-source to smtp-sink through one "
        f"private Postfix, {SESSIONS} sessions at once, messages of {BODY // 1024} KiB to one "
        f"recipient each, {results.rounds} rounds of {results.messages:,} messages, all "
        f"configurations in turn within each round, each warmed up with {WARM_UP:.0%} more. "
        "*In*: until Postfix has taken all messages; *in and out*: until all are delivered. "
        "Ratios are taken round by round; given is their median, and in brackets their range. CPU "
        "is for one message: of Postfix and all that serve it, and of the milter alone, "
        "ours or the one in C; it varies less than any rate when others use the machine."
    )
    if results.rounds < ENOUGH[0] or results.messages < ENOUGH[1]:
        yield "**A small run, made to see that it works: its figures are only a hint.**"
    yield table(list(results.machine.items()), "machine", "")
    missing = {
        "throughput": results.throughput is None,
        "scale": results.scale is None,
        "policy": results.policy is None,
        "apply": not results.applies,
    }
    if any(missing.values()):
        yield f"Not run this time: {', '.join(n for n, gone in missing.items() if gone)}."


def _throughput(found: Throughput) -> Iterator[str]:
    yield "## Throughput"
    yield "\n".join(f"- **{name}**: {what}." for name, what in found.what.items())
    for mode in MODES:
        yield f"### {mode.capitalize()}"
        yield table(
            [_throughput_row(found, name, mode) for name in found.what],
            "",
            "in, messages/s",
            f"of {FLOOR}",
            f"of {FLOORS}",
            "in and out",
            f"of {FLOOR}",
            f"of {FLOORS}",
            f"of {BARE}",
            *("CPU in all", "milter's"),
        )


def _throughput_row(found: Throughput, name: str, mode: str) -> list[str]:
    def of(other: str, rate: Rate) -> str:
        return spread(ratios(samples, found.samples[other, mode], rate), 2)

    samples, (taken, passed) = found.samples[name, mode], RATES.values()
    return [
        name,
        _rates(samples, taken),
        of(FLOOR, taken),
        of(FLOORS, taken),
        _rates(samples, passed),
        of(FLOOR, passed),
        of(FLOORS, passed),
        of(BARE, passed),
        _cost(samples, lambda s: s.whole_cost),
        _cost(samples, lambda s: s.milter_cost),
    ]


def _rates(samples: Sequence[Sample], rate: Rate) -> str:
    return spread([rate(sample) for sample in samples], 0)


def _cost(samples: Sequence[Sample], cost_of: Rate) -> str:
    cost = median(cost_of(sample) for sample in samples)
    return f"{cost:,.0f} µs" if cost > 1 else "-"


def _scale(found: Scale) -> Iterator[str]:
    yield f"## {LARGE}, against {SMALL}"
    yield (
        "Two instances take turns; ten senders at once, each with a lane of its own. The ratio "
        "is the large one's rate to the small one's."
    )
    for mode in MODES:
        yield f"### {mode.capitalize()}, at scale"
        rows = [_scale_row(found, way, mode, rate) for way in (TABLE, CARRIER) for rate in RATES]
        yield table(rows, "messages/s", "small", "large", "ratio", "milter's CPU, small", "large")
    yield "### The milter's memory"
    rows = [
        [when, *(f"{now:.0f} MB, peak {peak:.0f} MB" for now, peak in (sizes[SMALL], sizes[LARGE]))]
        for when, sizes in found.memory.items()
    ]
    yield table(rows, "", "small", "large")
    yield "### One changed link"
    yield (
        "`pointsman sender link` with the agent running, from the start of the command to the "
        "milter's log line of the new snapshot."
    )
    rows = [
        [
            str(size),
            spread([edit.command for edit in edits], 2),
            spread([edit.live for edit in edits], 2),
        ]
        for size, edits in found.edits.items()
    ]
    yield table(rows, "", "command ends after, s", "live after, s")


def _scale_row(found: Scale, way: str, mode: str, label: str) -> list[str]:
    small, large = (found.samples[entrant_name(way, size), mode] for size in (SMALL, LARGE))
    rate = RATES[label]
    ratio = spread(ratios(large, small, rate), 2)
    costs = [_cost(samples, lambda s: s.milter_cost) for samples in (small, large)]
    return [f"{way}, {label}", _rates(small, rate), _rates(large, rate), ratio, *costs]


def _applies(results: Results) -> Iterator[str]:
    yield "## Everything applied from nothing"
    yield "`pointsman apply`, where Postfix is set up and running and has no lane yet."
    rows = [[str(size), spread(s, 2), str(len(s))] for size, s in results.applied().items()]
    yield table(rows, "", "seconds", "times")


def _verdict(found: Sequence[Check]) -> Iterator[str]:
    yield "## What was promised"
    yield table(
        [[check.what, check.wanted, check.found, check.verdict] for check in found],
        *("", "wanted", "found", "kept"),
    )
    yield "## What falls short, and by how much"
    lacking = [c for c in found if not c.kept]
    yield (
        "\n".join(f"- {c.what}: {c.found}; wanted {c.wanted}: {c.short}." for c in lacking)
        or "Nothing that was measured."
    )
