"""The runs of one round, and the proof of each that it did what its name says."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.cpu import process_seconds, tree_seconds, wakes
from bench.load import SESSIONS, Stream, Timing, pump
from bench.rig import Rig
from lab.instance import wait_until

WARM_UP = 0.1  # of the messages, before the clock starts: processes start, caches fill

_SENT = re.compile(r"postfix/([^/ ]+)/smtp\[\d+\]: \w+: to=<.* status=sent ")
_WAY = re.compile(r"pointsman/milter\[\d+\]: \w+: .*\bway=([\w-]+), rate=go(?:,|$)", re.MULTILINE)


@dataclass(frozen=True)
class Entrant:
    """One of the configurations that are compared."""

    name: str
    what: str
    rig: Rig
    parameters: Mapping[str, str]
    streams: Sequence[Stream]
    way: str = ""  # what the milter must say of each, policy asked; '' if it sees none
    lanes: Sequence[str] = ("bench",)
    milter: int = 0  # process id of the milter, ours or the other
    policy: int = 0  # and of a policy server that is not ours


@dataclass(frozen=True)
class Sample:
    """One timed run."""

    timing: Timing
    milter: float  # CPU seconds of the milter
    all: float  # and of Postfix and all that serve it

    @property
    def inject(self) -> float:
        """Messages a second taken from the client."""
        return self.timing.messages / self.timing.inject

    @property
    def drain(self) -> float:
        """Messages a second taken and delivered."""
        return self.timing.messages / self.timing.drain

    @property
    def milter_cost(self) -> float:
        """CPU microseconds of the milter for a message."""
        return self.milter / self.timing.messages * 1e6

    @property
    def whole_cost(self) -> float:
        """CPU microseconds of Postfix and all that serve it, for a message."""
        return self.all / self.timing.messages * 1e6


def run(entrant: Entrant, messages: int, *, reuse: bool) -> Sample:
    """Switch to it, warm up, and time it."""
    rig = entrant.rig
    os.truncate(rig.postfix.log_file, 0)  # everyone appends; it would grow by gigabytes
    rig.switch(entrant.parameters, agent=bool(entrant.way))
    mark = rig.postfix.log_size()
    few = max(2 * SESSIONS, int(messages * WARM_UP))
    _prove(entrant, mark, pump(rig.postfix, entrant.streams, few, reuse=reuse))
    mark, before, slept = rig.postfix.log_size(), _used(entrant), wakes(entrant.policy)
    timing = pump(rig.postfix, entrant.streams, messages, reuse=reuse)
    milter, all_ = (now - then for now, then in zip(_used(entrant), before, strict=True))
    _prove(entrant, mark, timing)
    if entrant.policy and wakes(entrant.policy) - slept < messages / SESSIONS:
        raise RuntimeError(f"{entrant.name} was not itself: Postfix did not ask the policy server")
    return Sample(timing, milter, all_)


def _used(entrant: Entrant) -> tuple[float, float]:
    """CPU seconds so far: of the milter, and of all that serves mail."""
    postfix, milter = entrant.rig.postfix, entrant.milter
    own = [postfix.daemons[name].pid for name in ("agent", "policy") if name in postfix.daemons]
    pids = {entrant.rig.master_pid, milter, entrant.policy, *own}
    return process_seconds(milter), tree_seconds(*pids)


def _prove(entrant: Entrant, since: int, timing: Timing) -> None:
    """Every message left by its own way, and the milter saw all of them or none."""
    postfix, wanted = entrant.rig.postfix, timing.messages

    def sent() -> int:
        return len(_SENT.findall(postfix.log(since)))

    wait_until(lambda: sent() >= wanted, f"{wanted} deliveries of {entrant.name} in the log")
    log = postfix.log(since)
    lanes, ways = Counter(_SENT.findall(log)), Counter(_WAY.findall(log))
    expected = Counter({entrant.way: wanted}) if entrant.way else Counter()
    if ways != expected or set(lanes) != set(entrant.lanes) or lanes.total() != wanted:
        raise RuntimeError(f"{entrant.name} was not itself: ways {ways}, lanes {lanes}")
