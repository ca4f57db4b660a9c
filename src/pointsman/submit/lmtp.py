"""LMTP's bytes (RFC 2033), no more: what lmtp(8) sends, and how it is answered. Pure.

The text of a message goes on as it came, dots doubled and the last dot included: the two
protocols spell it alike.
"""

from collections.abc import Iterable, Mapping

LONGEST_COMMAND = 8192  # RFC 5321's 512, and what the extensions add
_END = b"\r\n.\r\n"
# What the provider may offer that passes through us unchanged.
_PASSED = ("8BITMIME", "SMTPUTF8", "DSN", "SIZE", "ENHANCEDSTATUSCODES")


class LongLineError(ValueError):
    """What comes is no command."""


class Incoming:
    """Cuts what arrives into commands, and texts after DATA."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._last = b""  # the end of the text so far, where the last line may begin

    def feed(self, data: bytes) -> None:
        """Take in what arrived."""
        self._buffer += data

    def command(self) -> bytes | None:
        """The next line without its end, or None if there is no whole one yet."""
        end = self._buffer.find(b"\n")
        if max(end, len(self._buffer) if end < 0 else 0) > LONGEST_COMMAND:
            raise LongLineError
        if end < 0:
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line

    def begin_text(self) -> None:
        """DATA was answered with 354."""
        self._last = b"\r\n"

    def text(self) -> tuple[bytes, bool]:
        """Give what there is of the text, and whether that was all of it."""
        seen = self._last + self._buffer
        at = seen.find(_END)
        size = len(self._buffer) if at < 0 else at + len(_END) - len(self._last)
        part = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._last = bytes(seen[-(len(_END) - 1) :])
        return part, at >= 0


def verb(line: bytes) -> str:
    """What the command is."""
    return line.split(b" ", 1)[0].split(b":", 1)[0].decode("ascii", "replace").upper()


def reply(code: int, text: str) -> bytes:
    """An answer; each line of `text` becomes one of it."""
    lines = [line.replace("\r", " ").strip() for line in text.split("\n")]
    marks = ["-"] * (len(lines) - 1) + [" "]
    spelled = [f"{code}{mark}{line}\r\n" for mark, line in zip(marks, lines, strict=True)]
    return "".join(spelled).encode("utf-8", "surrogateescape")


def greeting(name: str, offered: Mapping[str, str]) -> str:
    """The answer to LHLO: of what the provider's EHLO offers, what passes through."""
    known: Iterable[tuple[str, str]] = ((k, offered.get(k.lower(), "")) for k in _PASSED)
    return "\n".join([name, *(f"{k} {v}".strip() for k, v in known if k.lower() in offered)])
