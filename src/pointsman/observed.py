"""What the milter would have done, read from the mail log. Pure."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

# The stamp of syslog or of RFC 3339, the host, us, the queue id; then pairs.
_LINE = re.compile(
    r"^(?P<at>\S+T\S+|\w{3} [ \d]\d \d\d:\d\d:\d\d) .*?pointsman/milter\[\d+\]: "
    r"(?P<queue_id>\w+): (?P<pairs>observe=yes, .*)$"
)
# One after the other, as values hold what clients wrote: see docs/log.md.
_PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)')
_ADDRESS = re.compile(r"<[^>]*>")
_NUMBERS = re.compile(r"\bin \d+ s\b")


@dataclass(frozen=True)
class Seen:
    """One message that passed while we only looked on."""

    at: str
    queue_id: str
    pairs: dict[str, str]

    @property
    def sender(self) -> str:
        """The link that matched, or the envelope sender."""
        return self.pairs.get("key") or self.pairs["from"].strip("<>") or "<>"

    @property
    def trouble(self) -> str:
        """Why it would not have gone at once, or '': the same words for the same reason."""
        if "reply" in self.pairs:
            return _NUMBERS.sub("in a while", _ADDRESS.sub("<...>", self.pairs["reply"]))
        rate = self.pairs.get("rate", "go").removesuffix("-unasked")
        if rate == "go":
            return ""
        because = _NUMBERS.sub("in a while", self.pairs.get("because", ""))
        return f"{'held' if rate == 'hold' else rate}: {because}"


@dataclass
class Summary:
    """All of them."""

    messages: int = 0
    first: str = ""
    last: str = ""
    connectors: Counter[tuple[str, str]] = field(default_factory=Counter)  # with the way
    agencies: Counter[str] = field(default_factory=Counter)
    senders: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # agency, connector
    troubles: Counter[tuple[str, str]] = field(default_factory=Counter)  # agency, reason
    examples: dict[tuple[str, str], str] = field(default_factory=dict)  # a queue id of each

    def add(self, seen: Seen) -> None:
        """Count one."""
        agency, connector = seen.pairs.get("agency", "-"), seen.pairs.get("connector", "-")
        self.messages += 1
        self.first, self.last = self.first or seen.at, seen.at
        self.connectors[connector, seen.pairs.get("way", "-")] += 1
        self.agencies[agency] += 1
        self.senders[seen.sender, agency, connector] += 1
        if seen.trouble:
            self.troubles[agency, seen.trouble] += 1
            self.examples.setdefault((agency, seen.trouble), seen.queue_id)


def parse(line: str) -> Seen | None:
    """What a line of the mail log says of a message, if it is one of ours."""
    match = _LINE.match(line)
    if match is None:
        return None
    pairs = {name: _plain(value) for name, value in _PAIR.findall(match["pairs"])}
    return Seen(match["at"], match["queue_id"], pairs) if "from" in pairs else None


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def summed(lines: Iterable[str]) -> Summary:
    """Sum up a log."""
    summary = Summary()
    for line in lines:
        seen = parse(line.rstrip("\n"))
        if seen is not None:
            summary.add(seen)
    return summary
