"""How many messages each lane has on their way, so that no lane fills the queue. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pointsman.policy.rules import Line

APPEARS = 5.0  # seconds that a message may take from our answer into the queue


@dataclass
class Backlog:
    """Counts only while the agent says what is in the queue."""

    watched: bool = False
    count: Counter[str] = field(default_factory=Counter)  # by connector
    _moving: dict[str, tuple[Line, float]] = field(default_factory=dict)  # since when

    def add(self, queue_id: str, line: Line, now: float) -> None:
        """Note a message that was let through."""
        if self.watched and queue_id and queue_id not in self._moving:
            self._moving[queue_id] = (line, now)
            self.count[line[1]] += 1

    def line_of(self, queue_id: str) -> Line | None:
        """Whose a message on its way is, if we let it through."""
        line, _ = self._moving.get(queue_id, (None, 0.0))
        return line if line and line[0] else None

    def learn(self, lanes: Mapping[str, str], now: float) -> None:
        """Begin to count, with what is in the queue already: queue id to connector."""
        self.watched = True
        for queue_id, connector in lanes.items():
            self.add(queue_id, ("", connector, ""), now)

    def prune(self, there: Iterable[str], now: float) -> None:
        """Forget what the agent does not see in the queue any more."""
        seen = set(there)
        gone = [
            queue_id
            for queue_id, (_, since) in self._moving.items()
            if queue_id not in seen and now - since > APPEARS
        ]
        for queue_id in gone:
            line, _ = self._moving.pop(queue_id)
            self.count[line[1]] -= 1

    def stop(self) -> None:
        """The agent has gone: count nothing, hold nothing for it."""
        self.watched = False
        self.count.clear()
        self._moving.clear()

    def full(self, connectors: tuple[str, ...], limit: int) -> bool:
        """Whether the lane of these connectors has as many as it may."""
        return limit > 0 and sum(self.count[name] for name in connectors) >= limit
