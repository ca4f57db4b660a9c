"""What was promised, what was found, and by how much it falls short."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from bench import policy_targets
from bench.fill import LARGE, SMALL
from bench.promise import Check
from bench.race import Sample
from bench.results import Results
from bench.scale import entrant_name
from bench.throughput import CARRIER, FLOOR, FLOORS, MODES, TABLE

SHARE = 0.95  # of the C milter's rate
MEMORY = 200.0  # MB
LIVE = 2.0  # seconds
APPLY = 10.0  # seconds

Rate = Callable[[Sample], float]
RATES: dict[str, Rate] = {"in": lambda s: s.inject, "in and out": lambda s: s.drain}


def ratios(some: Sequence[Sample], others: Sequence[Sample], rate: Rate) -> list[float]:
    """Round by round: both ran within the same minute, so the machine's moods cancel out."""
    return [rate(a) / rate(b) for a, b in zip(some, others, strict=True)]


def checks(results: Results) -> list[Check]:
    """All promises of which there are figures."""
    found: list[Check] = []
    if results.throughput:
        found += _floor_checks(results)
    if results.scale:
        found += [*_scale_checks(results), *_memory_checks(results), *_edit_checks(results)]
    if results.policy:
        found += policy_targets.checks(results.policy)
    for size, seconds in results.applied().items():
        found.append(_limit(f"apply from nothing: {size}", median(seconds), max(seconds), APPLY))
    return found


def _floor_checks(results: Results) -> Iterator[Check]:
    assert results.throughput
    samples = results.throughput.samples
    pairs = [(name, other) for name in (TABLE, CARRIER) for other in (FLOOR, FLOORS)]
    for name, other in pairs:
        for mode in MODES:
            for label, rate in RATES.items():
                found = ratios(samples[name, mode], samples[other, mode], rate)
                middle = median(found)
                yield Check(
                    f"{name}, {mode}, {label}",
                    f"{SHARE:.2f} of the rate with {other}",
                    f"{middle:.2f} (rounds {min(found):.2f} to {max(found):.2f})",
                    middle >= SHARE,
                    f"{SHARE - middle:.3f} short",
                )


def _scale_checks(results: Results) -> Iterator[Check]:
    """The noise is what the small one's rounds show; the large one's median must be within."""
    assert results.scale
    samples = results.scale.samples
    for name in (TABLE, CARRIER):
        for mode in MODES:
            for label, rate in RATES.items():
                small = [rate(s) for s in samples[entrant_name(name, SMALL), mode]]
                large = [rate(s) for s in samples[entrant_name(name, LARGE), mode]]
                least, middle = min(small), median(large)
                yield Check(
                    f"at scale: {name}, {mode}, {label}",
                    f"no fewer than the small one's slowest round, {least:.0f}/s",
                    f"{middle:.0f}/s, {middle / median(small):.2f} of the small one",
                    middle >= least,
                    f"{1 - middle / least:.1%} below",
                )


def _memory_checks(results: Results) -> Iterator[Check]:
    assert results.scale
    resident = max(sizes[LARGE][0] for sizes in results.scale.memory.values())
    peak = max(sizes[LARGE][1] for sizes in results.scale.memory.values())
    for what, megabytes in (("resident", resident), ("at its peak", peak)):
        yield Check(
            f"milter's memory {what}, {LARGE}",
            f"under {MEMORY:.0f} MB",
            f"{megabytes:.0f} MB",
            megabytes < MEMORY,
            f"{megabytes - MEMORY:.0f} MB over",
        )


def _edit_checks(results: Results) -> Iterator[Check]:
    assert results.scale
    for size, edits in results.scale.edits.items():
        seconds = [edit.live for edit in edits]
        yield _limit(f"changed link live: {size}", median(seconds), max(seconds), LIVE)


def _limit(what: str, middle: float, worst: float, limit: float) -> Check:
    return Check(
        what,
        f"under {limit:g} s",
        f"median {middle:.2f} s, worst {worst:.2f} s",
        worst < limit,
        f"the worst {worst - limit:.2f} s over",
    )
