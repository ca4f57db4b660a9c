"""What one window remembers, in steps of a thousandth of its length. Pure.

Each step is as late as its end: an amount frees up a little after its time, never
before, and memory is bounded whatever the limit.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

STEPS = 1000

Step = tuple[float, int]  # its end, and what was counted in it


class Counted:
    """Amounts by the end of their step, oldest first.

    Two arrays of plain numbers: with 100,000 agencies, every object that a message
    makes the processor look for somewhere else in memory costs time.
    """

    __slots__ = ("_amounts", "_ends", "_step", "by_recipient", "key", "seconds", "total")

    def __init__(self, key: str, seconds: int, unit: str) -> None:
        self.key = key
        self.seconds = seconds
        self.by_recipient = unit == "recipients"
        self.total = 0
        self._step = seconds / STEPS
        self._ends = array("d")
        self._amounts = array("q")

    def __bool__(self) -> bool:
        return bool(self._ends)

    @property
    def steps(self) -> Iterator[Step]:
        """All that it remembers."""
        return zip(self._ends, self._amounts, strict=True)

    @property
    def began(self) -> float:
        """No later than the last amount came; 0 if there is none."""
        return self._ends[-1] - self._step if self._ends else 0.0

    def remember(self, steps: Iterable[Step]) -> None:
        """Take over `steps` of an earlier life."""
        for end, amount in steps:
            self._ends.append(end)
            self._amounts.append(amount)
            self.total += amount

    def expire(self, now: float) -> None:
        """Forget what is out of the window."""
        ends, before = self._ends, now - self.seconds
        if ends and ends[0] <= before:
            gone = bisect_right(ends, before)
            self.total -= sum(self._amounts[:gone])
            del ends[:gone], self._amounts[:gone]

    def add(self, amount: int, now: float) -> None:
        """Count an amount."""
        ends = self._ends
        if ends and now <= ends[-1]:
            self._amounts[-1] += amount
        else:
            ends.append(max(math.ceil(now / self._step) * self._step, now))
            self._amounts.append(amount)
        self.total += amount

    def take_back(self, amount: int, at: float) -> None:
        """Forget an amount counted at a time; from the step where it is, or the next."""
        amounts = self._amounts
        for number in range(bisect_left(self._ends, at), len(amounts)):
            less = min(amount, amounts[number])
            amounts[number] -= less
            self.total -= less
            amount -= less

    def free_at(self, room: int) -> float:
        """When the total will be at most `room`."""
        total = self.total
        for end, amount in self.steps:
            if total <= room:
                break
            total -= amount
            free = end + self.seconds
        return free if self.total > room else 0.0
