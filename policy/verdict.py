"""What became of a message, and of which messages that is still known."""

from collections.abc import Iterator
from dataclasses import dataclass

from pointsman.policy.rules import Asked

MOST_ANSWERED = 50_000  # names of messages, of which twice as many are remembered


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message."""

    action: str  # DUNNO, HOLD, DEFER, REJECT
    text: str = ""
    why: str = ""  # the counter, pause or lane behind it

    @property
    def words(self) -> str:
        """The verdict as Postfix's access(5) has it."""
        code = {"DEFER": "450 4.7.1", "REJECT": "550 5.7.1"}.get(self.action, self.action)
        return f"{code} {self.text}".rstrip()


GO = Verdict("DUNNO")


def shown(asked: Asked, verdict: Verdict) -> str:
    """The end of a log line; names of agencies and connectors need no quotes."""
    action = (asked.why or "go") if verdict is GO else verdict.action.lower()
    line = f"agency={asked.agency}, connector={asked.connector}, rate={action}"
    if verdict.why:
        line += f', by="{verdict.why}", text="{verdict.text.replace(chr(34), chr(39))}"'
    return line


class Answered:
    """Recent verdicts by queue id and instance, the older half dropped now and then."""

    def __init__(self) -> None:
        self._new: dict[str, Verdict] = {}
        self._old: dict[str, Verdict] = {}

    def get(self, *names: str) -> Verdict | None:
        """The verdict that one of these had."""
        for name in names:
            known = self._new.get(name) or self._old.get(name)
            if known is not None:
                return known
        return None

    def knows(self, queue_id: str, instance: str) -> bool:
        """Whether `get` would find one."""
        new, old = self._new, self._old
        return queue_id in new or instance in new or queue_id in old or instance in old

    def add(self, verdict: Verdict, *names: str) -> None:
        """Remember a verdict by all names of its message."""
        for name in names:
            if name:
                self._new[name] = verdict
        if len(self._new) > MOST_ANSWERED:
            self.turn()

    def names(self) -> Iterator[str]:
        """All names that are remembered."""
        yield from self._old
        yield from self._new

    def turn(self) -> None:
        """Drop what is older than the last turn."""
        self._new, self._old = {}, self._new
