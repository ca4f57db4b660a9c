"""What one window remembers, in steps of a thousandth of its length. Pure.

Each step is as late as its end: an amount frees up a little after its time, never
before, and memory is bounded whatever the limit.
"""

import math
from array import array
from binascii import a2b_base64, b2a_base64
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from operator import le

STEPS = 1000
_FEW = 16  # steps that nobody looks through
LARGEST = 10**12  # an amount that may be true: beyond any rate

Step = tuple[float, int]  # its end, and what was counted in it


class Counted:
    """Amounts by the end of their step, oldest first.

    Two arrays of plain numbers: with 100,000 agencies, every object that a message
    makes the processor look for somewhere else in memory costs time. For the same reason
    what is out of the window is forgotten only now and then: `total` may be too high
    until `expire`, never too low.
    """

    __slots__ = (
        *("_amounts", "_ends", "_most"),
        *("by_recipient", "key", "seconds", "total", "unit"),
    )

    def __init__(self, key: str, seconds: int, unit: str) -> None:
        self.key = key
        self.seconds = seconds
        self.unit = unit
        self.by_recipient = unit == "recipients"
        self.total = 0
        self._most = _FEW  # steps; then those that are out of the window go
        self._ends = array("d")
        self._amounts = array("q")

    def __bool__(self) -> bool:
        return bool(self._ends)

    @property
    def steps(self) -> Iterator[Step]:
        """All that it remembers."""
        return zip(self._ends, self._amounts, strict=True)

    def pack(self) -> str:
        """All that it remembers, as one word."""
        return b2a_base64(self._ends.tobytes() + self._amounts.tobytes(), newline=False).decode()

    def unpack(self, word: str) -> None:
        """Remember what an earlier life packed; raises ValueError for what nobody did."""
        data = a2b_base64(word, strict_mode=True)
        half = len(data) // 2
        ends, amounts = array("d", data[:half]), array("q", data[half:])
        if not all(map(math.isfinite, ends)) or not all(map(le, ends, ends[1:])):
            raise ValueError("no ends of steps")
        if not all(0 <= amount <= LARGEST for amount in amounts):
            raise ValueError("no amounts")
        self._ends, self._amounts, self.total = ends, amounts, sum(amounts)

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
            if len(ends) >= self._most:
                self.expire(now)
                self._most = max(_FEW, 2 * len(ends))
            step = self.seconds / STEPS
            ends.append(max(math.ceil(now / step) * step, now))
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
