"""Moving windows: never more than N in any window. Pure, time as an argument.

A window remembers what was counted in steps of a thousandth of its length, each
step as late as its end: an amount frees up a little after its time, never before,
and memory is bounded whatever the limit.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pointsman.rates.rate import Rate, Window

STEPS = 1000
WARN = 0.8  # of a limit
NEVER = math.inf

Wanted = Sequence[tuple[str, Rate]]  # each counter that a message falls under, and its rate
Step = tuple[float, int]


@dataclass(frozen=True, slots=True)
class Over:
    """The first window that has no room, and when it may have."""

    key: str
    window: Window
    free_at: float


@dataclass(frozen=True, slots=True)
class Near:
    """A window that a message filled to the point where somebody should know."""

    key: str
    window: Window
    used: int


@dataclass(frozen=True, slots=True)
class Use:
    """How full a window is."""

    window: Window
    used: int

    @property
    def left(self) -> int:
        """What may still go; never negative, though the limit may have been lowered."""
        return max(self.window.limit - self.used, 0)


class _Counted:
    """What one window remembers: amounts by the end of their step, oldest first."""

    __slots__ = ("step", "steps", "total")

    def __init__(self, seconds: int) -> None:
        self.step = seconds / STEPS
        self.steps: list[Step] = []
        self.total = 0

    def expire(self, before: float) -> None:
        steps = self.steps
        if steps and steps[0][0] <= before:
            gone = bisect_left(steps, (before, NEVER))
            self.total -= sum(amount for _, amount in steps[:gone])
            del steps[:gone]

    def add(self, amount: int, now: float) -> None:
        end = max(math.ceil(now / self.step) * self.step, now)
        steps = self.steps
        if steps and steps[-1][0] >= end:
            steps[-1] = (steps[-1][0], steps[-1][1] + amount)
        else:
            steps.append((end, amount))
        self.total += amount

    def take_back(self, amount: int, at: float) -> None:
        """Forget an amount counted at a time; from the step where it is, or the next."""
        number = bisect_left(self.steps, (at, 0))
        while amount and number < len(self.steps):
            end, there = self.steps[number]
            less = min(amount, there)
            self.steps[number] = (end, there - less)
            self.total -= less
            amount -= less
            number += 1

    def free_at(self, room: int, seconds: int) -> float:
        """When the total will be at most `room`."""
        total = self.total
        for end, amount in self.steps:
            if total <= room:
                break
            total -= amount
            free = end + seconds
        return free if self.total > room else 0.0


class Windows:
    """All counters of one daemon."""

    def __init__(self) -> None:
        self.near: list[Near] = []  # what the last charges came near to; the reader empties it
        self._counted: dict[str, dict[tuple[int, str], _Counted]] = {}
        self._latest = 0.0

    def charge(self, wanted: Wanted, recipients: int, now: float) -> Over | None:
        """Count a message in all its windows, or, if one has no room, in none."""
        now = self._forward(now)
        rows = []
        for key, rate in wanted:
            for window in rate:
                counted = self._of(key, window)
                counted.expire(now - window.seconds)
                amount = recipients if window.unit == "recipients" else 1
                if counted.total + amount > window.limit:
                    return self._over(key, window, counted, amount)
                rows.append((key, window, counted, amount))
        for key, window, counted, amount in rows:
            counted.add(amount, now)
            if counted.total >= WARN * window.limit:
                self.near.append(Near(key, window, counted.total))
        self._count_elsewhere(wanted, recipients, now)
        return None

    def _over(self, key: str, window: Window, counted: _Counted, amount: int) -> Over:
        if amount > window.limit:
            return Over(key, window, NEVER)
        return Over(key, window, counted.free_at(window.limit - amount, window.seconds))

    def count(self, wanted: Wanted, recipients: int, at: float) -> None:
        """Count what has been let go, room or no room."""
        at = self._forward(at)
        for key, rate in wanted:
            for window in rate:
                self._of(key, window).add(recipients if window.unit == "recipients" else 1, at)
        self._count_elsewhere(wanted, recipients, at)

    def _count_elsewhere(self, wanted: Wanted, recipients: int, now: float) -> None:
        """Count in windows that a rate had before, too: it may have them again."""
        for key, rate in wanted:
            windows = self._counted.get(key, {})
            if len(windows) > len(rate):
                kinds = {(window.seconds, window.unit) for window in rate}
                for seconds, unit in windows.keys() - kinds:
                    counted = windows[seconds, unit]
                    counted.expire(now - seconds)
                    counted.add(recipients if unit == "recipients" else 1, now)

    def take_back(self, wanted: Wanted, recipients: int, at: float) -> None:
        """Return the charge of a message that never left.

        What is out of its window already is left: another message's charge stands there.
        """
        for key, _ in wanted:
            for (seconds, unit), counted in self._counted.get(key, {}).items():
                if at > self._latest - seconds:
                    counted.take_back(recipients if unit == "recipients" else 1, at)

    def use(self, key: str, rate: Rate, now: float) -> list[Use]:
        """How full a counter's windows are."""
        now = self._forward(now)
        found = []
        for window in rate:
            counted = self._of(key, window)
            counted.expire(now - window.seconds)
            found.append(Use(window, counted.total))
        return found

    def forget(self, now: float) -> None:
        """Drop counters that have nothing in their windows any more."""
        now = self._forward(now)
        for key, windows in list(self._counted.items()):
            for (seconds, _), counted in windows.items():
                counted.expire(now - seconds)
            if not any(counted.steps for counted in windows.values()):
                del self._counted[key]

    def dump(self) -> Iterator[tuple[str, int, str, list[Step]]]:
        """Everything remembered, for the journal.

        An empty window too, lest the next life fills it from a longer one's coarser steps.
        """
        for key, windows in self._counted.items():
            for (seconds, unit), counted in windows.items():
                yield key, seconds, unit, counted.steps or [(self._latest, 0)]

    def restore(self, key: str, seconds: int, unit: str, steps: Iterable[Step]) -> None:
        """Remember again what `dump` gave."""
        counted = _Counted(seconds)
        counted.steps = [(end, amount) for end, amount in steps]
        counted.total = sum(amount for _, amount in counted.steps)
        self._counted.setdefault(key, {})[seconds, unit] = counted
        self._latest = max([self._latest, *(end - counted.step for end, _ in counted.steps)])

    def _forward(self, now: float) -> float:
        """Time never goes back, whatever the clock does."""
        self._latest = max(self._latest, now)
        return self._latest

    def _of(self, key: str, window: Window) -> _Counted:
        windows = self._counted.get(key)
        if windows is None:
            windows = self._counted[key] = {}
        counted = windows.get((window.seconds, window.unit))
        if counted is None:
            counted = windows[window.seconds, window.unit] = _seeded(windows, window)
        return counted


def _seeded(windows: Mapping[tuple[int, str], _Counted], window: Window) -> _Counted:
    """A new window knows what a longer or shorter one of the same unit remembers."""
    counted = _Counted(window.seconds)
    known = [(seconds, old) for (seconds, unit), old in windows.items() if unit == window.unit]
    if known:
        for end, amount in max(known)[1].steps:
            counted.add(amount, end)
    return counted
