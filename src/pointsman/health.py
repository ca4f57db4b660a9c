"""Which connectors are down: from deliveries and probes, with time as an argument. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

FAILURES = 3  # in a row, of deliveries or probes: then a connector is down
SUCCESSES = 2  # probes in a row: then it is up again
PROBE_DOWN = 10.0  # seconds between probes of one that is down
PROBE_DOUBTED = 1.0  # of one that has failed, and is not down yet
PROBE_UP = 60.0  # of one that works


@dataclass
class _State:
    down: bool = False
    failures: int = 0
    successes: int = 0
    probed: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Turn:
    """A connector went down, or came back."""

    connector: str
    down: bool
    text: str


@dataclass
class Health:
    """What is known of each connector that another may stand in for."""

    _states: dict[str, _State] = field(default_factory=dict)

    @property
    def down(self) -> list[str]:
        """The connectors that are not to be used."""
        return sorted(name for name, state in self._states.items() if state.down)

    def watch(self, names: Iterable[str]) -> None:
        """Know of these, and forget all others."""
        self._states = {name: self._states.get(name, _State()) for name in names}

    def restore(self, down: Collection[str]) -> None:
        """What an earlier life found out."""
        for name in down:
            if name in self._states:
                self._states[name].down = True

    def due(self, now: float) -> list[str]:
        """The connectors to probe now."""
        return [name for name, s in self._states.items() if now - s.probed >= _interval(s)]

    def probed(self, name: str, now: float, fault: str) -> Turn | None:
        """Note a probe; `fault` is '' for a good one."""
        state = self._states.get(name)
        if state is None:
            return None
        state.probed = now
        return self._failed(name, state, fault) if fault else self._worked(name, state)

    def delivered(self, name: str, fault: str) -> Turn | None:
        """Note a delivery: one that worked clears all doubts, and ends no downtime."""
        state = self._states.get(name)
        if state is None or state.down:
            return None  # what is down gets no new mail; probes tell when it is back
        if fault:
            return self._failed(name, state, fault)
        state.failures = 0
        return None

    def _failed(self, name: str, state: _State, fault: str) -> Turn | None:
        state.successes = 0
        state.failures += 1
        if state.down or state.failures < FAILURES:
            return None
        state.down = True
        return Turn(name, True, fault)

    def _worked(self, name: str, state: _State) -> Turn | None:
        state.failures = 0
        state.successes += 1
        if not state.down or state.successes < SUCCESSES:
            return None
        state.down = False
        return Turn(name, False, "")


def _interval(state: _State) -> float:
    if state.down:
        return PROBE_DOWN if not state.successes else PROBE_DOUBTED
    return PROBE_DOUBTED if state.failures else PROBE_UP
