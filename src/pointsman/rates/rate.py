"""A rate as people write it: `50/minute`, `30 messages/minute; 10000 recipients/day`."""

import re
from dataclasses import dataclass

from pointsman.errors import UsageError

UNLIMITED = "unlimited"
UNITS = ("messages", "recipients")

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LARGEST = 1_000_000_000
_LONGEST = 366 * 86400
_PART = re.compile(
    r"([0-9]{1,12})\s*(?:(message|recipient)s?)?\s*(?:/|\bper\b)\s*([0-9]{1,9})?\s*"
    r"(second|minute|hour|day)s?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` units within any `seconds`."""

    limit: int
    seconds: int
    unit: str = "messages"

    def __str__(self) -> str:
        name, length = max(
            ((n, s) for n, s in _SECONDS.items() if self.seconds % s == 0), key=lambda pair: pair[1]
        )
        count = self.seconds // length
        unit = "" if self.unit == "messages" else f" {self.unit}"
        return f"{self.limit}{unit}/{name if count == 1 else f'{count} {name}s'}"


Rate = tuple[Window, ...]


def parse_rate(text: str) -> Rate:
    """Read a rate; `unlimited` or nothing is the empty one.

    Raises UsageError for what is no rate.
    """
    if text.strip().lower() in ("", UNLIMITED):
        return ()
    windows = [_window(part.strip(), text) for part in re.split(r"[;,]", text)]
    kinds = [(w.seconds, w.unit) for w in windows]
    if len(set(kinds)) < len(kinds):
        raise UsageError(f"{text!r}: two limits for one window")
    return tuple(windows)


def _window(part: str, text: str) -> Window:
    match = _PART.fullmatch(part)
    if match is None:
        raise UsageError(
            f"{text!r} is not a rate: write 50/minute, 60/10 seconds or "
            "'30 messages/minute; 10000 recipients/day', or unlimited"
        )
    limit, unit, count, name = match.groups()
    window = Window(
        int(limit), int(count or 1) * _SECONDS[name.lower()], f"{(unit or 'message').lower()}s"
    )
    if not 1 <= window.limit <= _LARGEST:
        raise UsageError(f"{text!r}: a limit is from 1 to {_LARGEST:,}; to stop all mail, pause it")
    if not 1 <= window.seconds <= _LONGEST:
        raise UsageError(f"{text!r}: a window is from a second to 366 days")
    return window


def spell_rate(rate: Rate) -> str:
    """Write a rate as `parse_rate` reads it."""
    return "; ".join(map(str, rate)) or UNLIMITED
