"""Counts what was decided, and what somebody should be warned of once. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pointsman.policy.rules import Asked, Line
from pointsman.rates.rate import Window
from pointsman.rates.windows import Near, Over
from pointsman.routing.charge import counters
from pointsman.store.tables import COUNTS
from pointsman.store.usage import SLICE

MOST_ALARMS = 1000  # kept for a database that does not answer
ALONE = 30.0  # seconds that held mail may wait for an agent to ask
OLD = 4 * 3600.0  # seconds after which held mail is worth a warning


_NUMBER = {name: number for number, name in enumerate(COUNTS)}
SENT, RECIPIENTS = _NUMBER["sent"], _NUMBER["recipients"]

Rows = dict[Line, list[int]]
Usage = dict[tuple[int, str], list[int]]  # by the start of a slice, and a name


@dataclass(frozen=True, slots=True)
class Alarm:
    """One line for the log and the people concerned."""

    name: str  # the counter: `agency court`
    kind: str  # rate-80, rate-full, held-old
    text: str


@dataclass
class Tally:
    """What has not been handed over yet: to the database, and to the log."""

    usage: Usage = field(default_factory=dict)
    era: int = 0
    _slices: dict[int, Rows] = field(default_factory=dict)  # as it is counted
    _slice: int = -1  # the one that is counted in,
    _rows: Rows = field(default_factory=dict)  # and what it has
    _leaving: list[tuple[int, Line, list[int]]] = field(default_factory=list)  # with its slice
    warnings: list[Alarm] = field(default_factory=list)
    logged: list[Alarm] = field(default_factory=list)
    _quiet_until: dict[tuple[str, str, int, str], float] = field(default_factory=dict)
    _old: set[str] = field(default_factory=set)
    _alone: bool = False

    def add(self, asked: Asked, column: str, now: float) -> None:
        """Count a decision."""
        self.add_line(asked.line, asked.recipients, column, now)

    def add_line(self, line: Line, recipients: int, column: str, now: float) -> None:
        """Count a decision about mail of an agency by a connector."""
        self.follow(now)
        row = self.row(line)
        row[_NUMBER[column]] += 1
        if column == "sent":
            row[RECIPIENTS] += recipients

    def follow(self, now: float) -> int:
        """Count in the slice of `now`; in another era, rows that somebody has are past."""
        number = now // SLICE
        if number != self._slice:
            self._slice = int(number)
            self._rows = self._slices.setdefault(self._slice, {})
            self.era += 1
        return self.era

    def row(self, line: Line) -> list[int]:
        """Where mail of an agency by a connector is counted, by the columns of COUNTS."""
        row = self._rows.get(line)
        if row is None:
            row = self._rows[line] = [0] * len(COUNTS)
        return row

    def warn_near(self, near: Iterable[Near], now: float) -> None:
        """A window is nearly full, or full: once for each window."""
        for item in near:
            full = item.used >= item.window.limit
            self._warn(item.key, "rate-full" if full else "rate-80", item.window, item.used, now)

    def warn_full(self, over: Over, now: float) -> None:
        """A message found no room."""
        self._warn(over.key, "rate-full", over.window, over.window.limit, now)

    def _warn(self, key: str, kind: str, window: Window, used: int, now: float) -> None:
        name = (key, kind, window.seconds, window.unit)
        if now < self._quiet_until.get(name, 0.0):
            return
        self._quiet_until[name] = now + window.seconds
        state = "is at its limit" if kind == "rate-full" else "is near its limit"
        text = f"{state}: {used} of {window}"
        self.warnings.append(Alarm(key, kind, text))

    def warn_alone(self, held: int, seconds: float) -> None:
        """Nobody lets held mail go: once, until somebody does."""
        alone = held > 0 and seconds > ALONE
        if alone and not self._alone:
            text = f"does not ask for held mail: {held} messages wait; is it running?"
            self.warnings.append(Alarm("agent", "agent-away", text))
        self._alone = alone

    def warn_old(self, oldest: Mapping[str, float], now: float) -> None:
        """Mail of an agency has been held for hours: once, until none is any more."""
        late = {agency for agency, since in oldest.items() if now - since > OLD}
        for agency in late - self._old:
            hours = (now - oldest[agency]) / 3600
            text = f"has had mail on hold for {hours:.0f} h"
            self.warnings.append(Alarm(f"agency {agency}", "held-old", text))
        self._old = late

    def hand_over(self, most: int) -> Iterator[tuple[Usage, list[Alarm]]]:
        """What is to be written down, from so many lines at a time; it is forgotten here.

        What was not asked for in the end comes first the next time.
        """
        if not self._leaving:
            self._leaving = [
                (number * SLICE, line, counts)
                for number, rows in self._slices.items()
                for line, counts in rows.items()
            ]
            self._slices, self._slice = {}, -1
        while self._leaving or self.usage or self.logged:
            for start, line, counts in self._leaving[-most:]:
                for name in counters(*line):
                    self._count((start, name), counts)
            del self._leaving[-most:]
            usage, alarms = self.usage, self.logged
            self.usage, self.logged = {}, []
            yield usage, alarms

    def _count(self, key: tuple[int, str], counts: Sequence[int]) -> None:
        row = self.usage.get(key)
        if row is None:
            self.usage[key] = list(counts)
        else:
            row[:] = [a + b for a, b in zip(row, counts, strict=True)]

    def take_back(
        self, usage: Mapping[tuple[int, str], Sequence[int]], alarms: Sequence[Alarm]
    ) -> None:
        """It could not be written: keep it, with what was counted since."""
        for key, counts in usage.items():
            self._count(key, counts)
        self.logged = [*alarms, *self.logged][-MOST_ALARMS:]

    def new_alarms(self) -> list[Alarm]:
        """Those that the log has not seen."""
        new, self.warnings = self.warnings, []
        self.logged += new
        return new

    def forget(self, now: float) -> None:
        """Drop what no longer keeps anything quiet."""
        self._quiet_until = {n: until for n, until in self._quiet_until.items() if until > now}
