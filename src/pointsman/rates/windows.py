"""Moving windows: never more than N in any window. Pure, time as an argument."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pointsman.rates.counted import Counted
from pointsman.rates.rate import Rate, Window

WARN = 0.8  # of a limit
NEVER = math.inf

Wanted = Sequence[tuple[str, Rate]]  # each counter that a message falls under, and its rate


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


class Rows:
    """Where messages that fall under the same counters are counted, found once."""

    __slots__ = ("checked", "era", "others", "wanted")

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.era = -1  # of `Windows`; in another one they have to be found again
        self.checked: tuple[tuple[Counted, Window], ...] = ()
        self.others: list[Counted] = []  # windows that a rate had before: it may have them again


class Windows:
    """All counters of one daemon."""

    def __init__(self) -> None:
        self.near: list[Near] = []  # what the last charges came near to; the reader empties it
        self._counted: dict[str, dict[tuple[int, str], Counted]] = {}
        self._unseen: list[str] = []  # keys that `forget` has yet to look at
        self._empty: list[str] = []  # and those that it found to have nothing
        self._era = 0  # grows when a counter that somebody may know goes, or gets one window more
        self._latest = 0.0

    def charge(self, wanted: Wanted, recipients: int, now: float) -> Over | None:
        """Count a message in all its windows, or, if one has no room, in none."""
        return self.charge_rows(Rows(wanted), recipients, now)

    def charge_rows(self, rows: Rows, recipients: int, now: float) -> Over | None:
        """`charge` for somebody who keeps the rows for the next message."""
        now = self._forward(now)
        if rows.era != self._era:
            self._find(rows)
        for counted, window in rows.checked:
            amount = recipients if counted.by_recipient else 1
            if counted.total + amount >= WARN * window.limit:
                counted.expire(now)
                if counted.total + amount > window.limit:
                    return _over(counted, window, amount)
        for counted, window in rows.checked:
            counted.add(recipients if counted.by_recipient else 1, now)
            if counted.total >= WARN * window.limit:
                self.near.append(Near(counted.key, window, counted.total))
        for counted in rows.others:
            counted.add(recipients if counted.by_recipient else 1, now)
        return None

    def count(self, wanted: Wanted, recipients: int, at: float) -> None:
        """Count what has been let go, room or no room."""
        at = self._forward(at)
        rows = Rows(wanted)
        self._find(rows)
        for counted in [*(counted for counted, _ in rows.checked), *rows.others]:
            counted.add(recipients if counted.by_recipient else 1, at)

    def _find(self, rows: Rows) -> None:
        rows.checked = tuple((self._of(key, w), w) for key, rate in rows.wanted for w in rate)
        rows.others = []
        for key, rate in rows.wanted:
            windows = self._counted.get(key, {})
            if len(windows) > len(rate):
                kinds = {(window.seconds, window.unit) for window in rate}
                rows.others += [windows[kind] for kind in windows.keys() - kinds]
        rows.era = self._era

    def take_back(self, wanted: Wanted, recipients: int, at: float) -> None:
        """Return the charge of a message that never left.

        What is out of its window already is left: another message's charge stands there.
        """
        for key, _ in wanted:
            for counted in self._counted.get(key, {}).values():
                if at > self._latest - counted.seconds:
                    counted.take_back(recipients if counted.by_recipient else 1, at)

    def use(self, key: str, rate: Rate, now: float) -> list[Use]:
        """How full a counter's windows are."""
        now = self._forward(now)
        found = []
        for window in rate:
            counted = self._of(key, window)
            counted.expire(now)
            found.append(Use(window, counted.total))
        return found

    def forget(self, now: float, most: int) -> None:
        """Look at so many counters more; after the last, drop those that are empty.

        A look at all of 100,000 at once would keep mail waiting.
        """
        now = self._forward(now)
        for key in self._unseen[:most]:
            windows = self._counted[key]
            for counted in windows.values():
                counted.expire(now)
            if not any(windows.values()):
                self._empty.append(key)
        del self._unseen[:most]
        if not self._unseen:
            self._drop()

    def _drop(self) -> None:
        gone = [key for key in self._empty if not any(self._counted[key].values())]
        for key in gone:
            del self._counted[key]
        self._era += bool(gone)
        self._unseen, self._empty = list(self._counted), []

    def dump(self) -> Iterator[tuple[float, Counted]]:
        """Everything remembered, for the journal, each with the time of this look.

        An empty window too, lest the next life fills it from a longer one's coarser steps.
        """
        for windows in self._counted.values():
            for counted in windows.values():
                counted.expire(self._latest)
                yield self._latest, counted

    def restore(self, latest: float, counted: Counted) -> None:
        """Remember again what `dump` gave."""
        self._counted.setdefault(counted.key, {})[counted.seconds, counted.unit] = counted
        self._forward(latest)
        self._era += 1

    def _forward(self, now: float) -> float:
        """Time never goes back, whatever the clock does."""
        self._latest = max(self._latest, now)
        return self._latest

    def _of(self, key: str, window: Window) -> Counted:
        windows = self._counted.get(key)
        if windows is None:
            windows = self._counted[key] = {}
        counted = windows.get((window.seconds, window.unit))
        if counted is None:
            self._era += bool(windows)
            counted = windows[window.seconds, window.unit] = _seeded(key, windows, window)
        return counted


def _over(counted: Counted, window: Window, amount: int) -> Over:
    if amount > window.limit:
        return Over(counted.key, window, NEVER)
    return Over(counted.key, window, counted.free_at(window.limit - amount))


def _seeded(key: str, windows: Mapping[tuple[int, str], Counted], window: Window) -> Counted:
    """A new window knows what a longer or shorter one of the same unit remembers."""
    counted = Counted(key, window.seconds, window.unit)
    known = [(seconds, old) for (seconds, unit), old in windows.items() if unit == window.unit]
    if known:
        for end, amount in max(known)[1].steps:
            counted.add(amount, end)
    return counted
