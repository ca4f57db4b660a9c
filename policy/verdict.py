"""What became of a message, and of which messages that is still known."""

from collections.abc import Iterator
from dataclasses import dataclass

from pointsman.policy.rules import Asked

LONGEST = 1000  # characters of a log line about a verdict
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
    """Recent verdicts by a message's name, the older half dropped now and then."""

    def __init__(self) -> None:
        self._new: dict[str, Verdict] = {}
        self._old: dict[str, Verdict] = {}

    def get(self, name: str) -> Verdict | None:
        """The verdict that it had."""
        return self._new.get(name) or self._old.get(name)

    def knows(self, name: str) -> bool:
        """Whether `get` would find one."""
        return name in self._new or name in self._old

    def add(self, verdict: Verdict, name: str) -> None:
        """Remember a verdict."""
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
