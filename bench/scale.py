"""A thousand connectors and a hundred thousand links against ten and a hundred."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.fill import LARGE, SMALL, Size, link_key
from bench.race import Entrant
from bench.rig import Rig, pointsman, rig
from bench.throughput import CARRIER, TABLE, Samples, Say, foreign_stream, own_stream, race
from lab.instance import wait_until

STREAMS = 10  # senders at once, each with a lane of its own
EDITS = 7


@dataclass(frozen=True)
class Edit:
    """One link changed: seconds until the command ended, and until the milter knew."""

    command: float
    live: float


@dataclass
class Scale:
    """What was found at each size."""

    samples: Samples = field(default_factory=dict)
    memory: dict[str, dict[Size, tuple[float, float]]] = field(default_factory=dict)
    edits: dict[Size, list[Edit]] = field(default_factory=dict)
    applied: dict[Size, list[float]] = field(default_factory=dict)


def measure(folder: Path, sink: int, rounds: int, messages: int, say: Say) -> Scale:
    """Two whole instances take turns; the idle one only has its sockets open."""
    result = Scale()
    with _rigs(folder, sink, say) as rigs:
        for built in rigs:
            result.applied[built.size] = [built.applied_in]
        _note_memory(result, "after the first apply", rigs)
        entrants = [entrant for built in rigs for entrant in _entrants(built)]
        result.samples = race(entrants, rounds, messages, say)
        _note_memory(result, "after the runs", rigs)
        for built in rigs:
            result.edits[built.size] = change_links(built, say)
        _note_memory(result, f"after {EDITS} changed links", rigs)
    return result


def measure_apply(folder: Path, sink: int, times: int, say: Say) -> dict[Size, list[float]]:
    """How long it takes to apply everything from nothing, without and with logins."""
    found: dict[Size, list[float]] = {}
    for number in range(times):
        for size in (LARGE, replace(LARGE, passwords=True)):
            with rig(folder / f"apply{number}{size.passwords}", size, sink) as built:
                found.setdefault(size, []).append(built.applied_in)
                say(f"apply {number + 1}/{times}, {size}: {built.applied_in:.1f} s")
    return found


@contextmanager
def _rigs(folder: Path, sink: int, say: Say) -> Iterator[Sequence[Rig]]:
    with rig(folder / "small", SMALL, sink) as small, rig(folder / "large", LARGE, sink) as large:
        say(f"applied {LARGE} from nothing in {large.applied_in:.1f} s")
        yield small, large


def entrant_name(way: str, size: Size) -> str:
    """What a run is called in tables."""
    return f"{way}, {size}"


def _entrants(built: Rig) -> list[Entrant]:
    numbers = range(STREAMS)
    lanes = [f"pm-c{n}" for n in numbers]
    own = [own_stream(built, n) for n in numbers]
    foreign = [foreign_stream(built, n) for n in numbers]
    return [
        Entrant(
            *(entrant_name(name, built.size), "", built, built.wired, streams, way, lanes),
            built.milter_pid,
        )
        for name, way, streams in ((TABLE, "table", own), (CARRIER, "carrier", foreign))
    ]


def _note_memory(result: Scale, when: str, rigs: Sequence[Rig]) -> None:
    result.memory[when] = {built.size: built.milter_memory() for built in rigs}


def change_links(built: Rig, say: Say) -> list[Edit]:
    """Move one link to another connector, with the agent running, again and again."""
    built.switch(built.wired, agent=True)
    found = []
    for number in range(EDITS):
        built.wait_for_interval()
        found.append(_change_link(built, number))
        say(f"{built.size}: changed link live after {found[-1].live:.2f} s")
    built.postfix.stop_daemon("agent")
    return found


def _change_link(built: Rig, number: int) -> Edit:
    postfix, mark = built.postfix, built.postfix.log_size()
    what = [link_key(number), "--agency", f"a{number}"]
    other = f"c{(number + 1) % built.size.connectors}"
    start = time.monotonic()
    said = pointsman(postfix, "sender", "link", *what, "--connector", other)
    command = time.monotonic() - start
    revision = re.search(r"revision (\d+)", said)
    if revision is None:
        raise RuntimeError(f"`sender link` changed nothing: {said}")
    known = re.compile(rf"milter\[\d+\]: snapshot revision={revision[1]}\b")
    wait_until(lambda: known.search(postfix.log(mark)), f"revision {revision[1]} to be live", 60)
    return Edit(command, time.monotonic() - start)
