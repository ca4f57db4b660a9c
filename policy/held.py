"""Held mail: who waits behind whom, and who may go. Pure, time as an argument.

Messages of one agency, connector and limited sender form a line. The oldest of all
lines goes first; a line whose first message lacks room in a counter keeps new mail
of that counter behind it.
"""

import heapq
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from pointsman.policy.rules import Line

APPEARS = 60.0  # seconds within which a message that we held must be in the hold queue
RETURNS = 5.0  # seconds within which one that was requeued is there again
_AGAIN = 1.0  # seconds until one that was not there yet is offered again


@dataclass(slots=True, eq=False)
class Held:
    """One message in the hold queue, or on its way into it."""

    queue_id: str
    line: Line
    recipients: int
    exempt: bool
    since: float
    number: int = 0  # its place in the order of arrival
    charged_at: float | None = None  # let go, and not yet confirmed
    charged: int = 0  # recipients that it was charged for
    offered: bool = False  # before, without an answer: it may have left
    not_before: float = 0.0
    seen: bool = False  # in the hold queue
    missing_since: float = 0.0  # not seen there since
    filed: float = 0.0  # when its queue file was written anew

    @property
    def agency(self) -> str:
        """Whose it is."""
        return self.line[0]


_by_number = attrgetter("number")


class HeldMail:
    """All held messages of this host."""

    def __init__(self) -> None:
        self.by_id: dict[str, Held] = {}
        self.going: dict[str, Held] = {}  # offered, not confirmed
        self.count: Counter[str] = Counter()  # by agency
        self._lines: dict[Line, list[Held]] = {}
        self._stopped: set[str] = set()  # counters that held mail waits for
        self._last = 0

    def __len__(self) -> int:
        return len(self.by_id)

    def add(self, held: Held, waits_for: str = "") -> None:
        """Put a message at the end of its line, or where its number says."""
        if not held.number:
            held.number = self._last + 1
        self._last = max(self._last, held.number)
        self.by_id[held.queue_id] = held
        self.count[held.agency] += 1
        self._queue(held)
        if waits_for:
            self._stopped.add(waits_for)

    def _queue(self, held: Held) -> None:
        insort(self._lines.setdefault(held.line, []), held, key=_by_number)

    def behind(self, line: Line, counters: Iterable[str]) -> str:
        """What a new message has to wait behind; '' if nothing."""
        if not self.by_id:
            return ""
        if line in self._lines:
            return "held mail"
        return next((counter for counter in counters if counter in self._stopped), "")

    def oldest(self) -> dict[str, float]:
        """Since when the oldest message of each agency is held."""
        found: dict[str, float] = {}
        for held in self.by_id.values():
            found[held.agency] = min(held.since, found.get(held.agency, held.since))
        return found

    def candidates(
        self, counters: Callable[[Line], Iterable[str]], now: float
    ) -> Iterator[tuple[Held, Callable[[str], None]]]:
        """Messages that may be next, oldest first, each with how to say what stopped it.

        One that is not stopped must be taken with `let_go` before the next is asked for;
        what stopped an older message stops all others of that counter.
        """
        heads = [line[0] for line in self._lines.values() if line]
        heapq.heapify(order := [(held.number, held.line) for held in heads])
        stopped: set[str] = set()
        self._stopped = {f"agency {held.agency}" for held in heads}
        while order:
            _, line = heapq.heappop(order)
            held = next((h for h in self._lines.get(line, ()) if h.not_before <= now), None)
            if held is None or not stopped.isdisjoint(counters(line)):
                continue
            said: list[str] = []
            yield held, said.append
            if said:
                stopped.update(said)
            elif self._lines.get(line):
                heapq.heappush(order, (self._lines[line][0].number, line))
        self._stopped = stopped

    def let_go(self, held: Held, now: float, charged: int) -> None:
        """Take a message out of its line; its charge is from now."""
        held.charged_at, held.charged = now, charged
        self.going[held.queue_id] = held
        self._leave_line(held)

    def _leave_line(self, held: Held) -> None:
        line = self._lines.get(held.line, [])
        if held in line:
            line.remove(held)
        if not line:
            self._lines.pop(held.line, None)

    def put_back(self, held: Held, *, offered: bool = False) -> None:
        """Let a message wait again, in its old place; `offered` if it may have left."""
        held.charged_at = None
        held.offered = held.offered or offered
        del self.going[held.queue_id]
        self._queue(held)

    def not_there_yet(self, held: Held, now: float) -> None:
        """Offer a message again a little later."""
        held.not_before = now + _AGAIN

    def drop(self, queue_id: str) -> Held | None:
        """Forget a message: it has gone, or never came."""
        held = self.by_id.pop(queue_id, None)
        if held is None:
            return None
        self.count[held.agency] -= 1
        if self.going.pop(queue_id, None) is None:
            self._leave_line(held)
        return held

    def is_missing(self, held: Held, now: float) -> bool:
        """Whether a message that is not on hold has had the time to come, or to come back."""
        held.missing_since = held.missing_since or now
        return now - held.since > APPEARS and now - held.missing_since > RETURNS

    def rename(self, old: str, new: str, now: float) -> bool:
        """Follow a message that was requeued; it keeps its place."""
        held = self.by_id.pop(old, None)
        if held is None:
            return False
        if old in self.going:
            self.put_back(held)
        held.queue_id = new
        held.not_before = held.missing_since = 0.0
        held.filed = now
        self.by_id[new] = held
        return True
