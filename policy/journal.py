"""What must outlive a kill: each charge and each hold, written before it is answered.

Lines of blanks-separated words, in the order in which things happened. When the file
has grown, it is written anew from memory; a torn last line is left out.
"""

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote

from pointsman import logs
from pointsman.policy.held import Held
from pointsman.policy.rules import Asked, Line
from pointsman.rates.clock import Clock

FORMAT = "pointsman-journal-2"
LARGE = 32 << 20  # bytes; then it is written anew, if that can make it much smaller

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_ID = re.compile(r"[0-9A-Za-z.]{1,64}")
_PLAIN = re.compile(r"[0-9A-Za-z@.+=_~][0-9A-Za-z@.+=_~-]*")  # what needs no quotes, most of it


def word(text: str) -> str:
    """A text as one word of a line; `-` for none."""
    if _PLAIN.fullmatch(text):
        return text
    return quote(text, safe="@.+=", errors="surrogateescape") if text else "-"


def text_of(word: str) -> str:
    """The text that a word stands for."""
    return "" if word == "-" else unquote(word, errors="surrogateescape")


def is_id(text: str) -> bool:
    """Whether a queue id or instance can be written as it is."""
    return bool(_ID.fullmatch(text))


def charge_line(asked: Asked, at: float) -> str:
    """A message that was let through at once."""
    name = asked.name if is_id(asked.name) else "-"
    amount = 0 if asked.exempt else asked.recipients
    return f"charge {at!r} {amount} {name} {names(asked.line)}"


def hold_line(held: Held) -> str:
    """A message that was put on hold."""
    return (
        f"hold {held.since!r} {held.recipients} {held.queue_id} {int(held.exempt)} "
        f"{held.number} {names(held.line)}"
    )


@lru_cache(maxsize=100_000)
def names(line: Line) -> str:
    """A line of mail as the words that end its journal lines."""
    return " ".join(map(word, line))


class Journal:
    """The file, append-only until it is replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[str] = []
        self._descriptor = -1
        self._size = 0
        self._most = LARGE
        self._failed = False
        self._torn = False  # the file ends within a line
        self.clock = Clock.start()

    def read(self) -> Iterator[list[str]]:
        """The lines of an earlier life; sets the clock by what the first of them says."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        lines = [line.split(" ") for line in text.split("\n")[:-1]]
        if not lines or lines[0][0] != FORMAT:
            logs.journal_damaged(self.path, len(lines))
            return
        try:
            known = Clock(lines[0][1], float(lines[0][2]))
        except (ValueError, IndexError):
            known = None
        self.clock = Clock.start(known, max(map(_time, lines[1:]), default=0.0))
        yield from lines[1:]

    def open(self, state: Iterable[str]) -> None:
        """Begin anew; where the disk is full, go on behind what is there until it is not."""
        try:
            self.begin(state)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            end = os.fstat(self._descriptor).st_size
            self._torn = end > 0 and os.pread(self._descriptor, 1, end - 1) != b"\n"
            self._fail(error)

    def begin(self, state: Iterable[str]) -> None:
        """Write the file anew with these lines, and go on behind them."""
        new = self.path.with_suffix(".new")
        head = f"{FORMAT} {self.clock.boot} {self.clock.offset}"
        try:
            with new.open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in (head, *state))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):  # where it is a folder
                new.unlink(missing_ok=True)
            raise
        new.chmod(0o600)
        new.replace(self.path)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        self._size = os.fstat(self._descriptor).st_size
        self._torn = False
        self._most = max(LARGE, 3 * self._size)

    def add(self, line: str) -> None:
        """Note a line; `flush` writes it."""
        self._lines.append(line)

    def flush(self) -> None:
        """Hand the noted lines to the kernel, which outlives us."""
        if self._lines:
            # What was written by half must not take the next line with it.
            self._lines[:0] = [""] * self._torn
            data = ("\n".join(self._lines) + "\n").encode()
            self._lines.clear()
            try:
                written = os.write(self._descriptor, data)
            except OSError as error:
                self._fail(error)
            else:
                self._size += written
                self._torn = not data[:written].endswith(b"\n")
                if written < len(data):
                    self._fail(OSError("the disk took a part only"))

    def _fail(self, error: OSError) -> None:
        """Mail goes on; the file is written anew from memory as soon as that can be done."""
        if not self._failed:
            self._failed = True
            logs.journal_failed(self.path, error)

    def renew(self, state: Iterable[str]) -> None:
        """Begin anew, unless the disk is full; then with the next try."""
        try:
            self.begin(state)
        except OSError as error:
            self._fail(error)
        else:
            if self._failed:
                self._failed = False
                logs.journal_back(self.path)

    def sync(self) -> None:
        """Have the disk hold what the kernel does."""
        os.fdatasync(self._descriptor)

    @property
    def large(self) -> bool:
        """Whether it is time to begin anew."""
        return self._failed or self._size > self._most


def _time(line: list[str]) -> float:
    try:
        return float(line[1]) if line[0] in ("charge", "window", "hold", "go") else 0.0
    except (ValueError, IndexError):
        return 0.0
