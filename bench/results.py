"""All that one run of the benchmarks found."""

from dataclasses import dataclass, field

from bench.fill import Size
from bench.policy import Policy
from bench.scale import Scale
from bench.throughput import Throughput


@dataclass
class Results:
    """Parts that were not run are None."""

    rounds: int
    messages: int
    machine: dict[str, str]
    throughput: Throughput | None = None
    scale: Scale | None = None
    policy: Policy | None = None
    applies: dict[Size, list[float]] = field(default_factory=dict)

    def applied(self) -> dict[Size, list[float]]:
        """Every apply from nothing that was timed, by size."""
        found = dict(self.applies)
        for size, seconds in (self.scale.applied if self.scale else {}).items():
            found[size] = [*found.get(size, []), *seconds]
        return found
