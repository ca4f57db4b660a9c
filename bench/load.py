"""smtp-source in, smtp-sink out: sends messages and times them."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.instance import Instance, free_port, wait_until

SESSIONS = 20  # at once: from here on the CPUs are the limit, not fsync
BODY = 5120  # bytes
DRAIN_LIMIT = 600.0  # seconds

_ON_THE_MOVE = ("maildrop", "incoming", "active")  # in the order in which a file moves
_STUCK = ("deferred", "hold")


class StuckError(RuntimeError):
    """Messages that ought to have been delivered were deferred or held."""


@dataclass(frozen=True)
class Stream:
    """Messages of one envelope sender, all from the same file."""

    envelope: str
    file: Path


@dataclass(frozen=True)
class Timing:
    """How many messages, and the seconds until all were taken, and all delivered."""

    messages: int
    inject: float
    drain: float


@contextmanager
def sink() -> Iterator[int]:
    """Run smtp-sink on a free port, and yield the port."""
    port = free_port()
    command = ["smtp-sink", "-u", "postfix", f"127.0.0.1:{port}", "1000"]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def write_message(path: Path, author: str) -> Path:
    """Write a message file for smtp-source -F; all runs have one of the same size."""
    line = "All work and no play makes a benchmark a dull boy.".ljust(78)
    fields = f"From: {author}\nTo: someone@example.net\nSubject: {'bench'.ljust(40, '.')}\n"
    path.write_text(f"{fields}\n" + f"{line}\n" * (BODY // 80))
    return path


def pump(postfix: Instance, streams: Sequence[Stream], messages: int, *, reuse: bool) -> Timing:
    """Send messages, shared out among the streams, and wait until all are delivered."""
    share, sessions = messages // len(streams), max(1, SESSIONS // len(streams))
    start = time.monotonic()
    _send(postfix.port, streams, share, sessions, reuse=reuse)
    injected = time.monotonic()
    wait_until(lambda: _is_drained(postfix), "the queue to drain", DRAIN_LIMIT)
    return Timing(share * len(streams), injected - start, time.monotonic() - start)


def _send(port: int, streams: Sequence[Stream], share: int, sessions: int, *, reuse: bool) -> None:
    options = ["-s", str(sessions), "-m", str(share), "-N", *(["-d"] if reuse else [])]
    sources = []
    try:
        for stream in streams:
            what = ["-f", stream.envelope, "-t", "someone@example.net", "-F", str(stream.file)]
            command = ["smtp-source", *options, *what, f"127.0.0.1:{port}"]
            sources.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        for source in sources:
            _, words = source.communicate()
            if source.returncode:
                raise RuntimeError(f"smtp-source: {words}")
    finally:
        for source in sources:
            source.kill()
            source.wait()


def _is_drained(postfix: Instance) -> bool:
    """Look at the folders themselves: postqueue(1) would cost what we measure."""
    queue = postfix.queue_directory
    moving = any(_has_file(queue / name) for name in _ON_THE_MOVE)
    for name in _STUCK:
        if _has_file(queue / name):
            words = [line for line in postfix.log().splitlines() if " status=sent " not in line]
            raise StuckError("\n".join([f"mail is in the {name} queue; the log:", *words[-20:]]))
    return not moving


def _has_file(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))
