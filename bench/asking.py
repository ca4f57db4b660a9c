"""Runs the load generator in C against a policy server."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.serving import Server

SOURCE = Path(__file__).with_name("policy_load.c")
LIMIT = 600.0  # seconds for the longest run
QUIET = 0.02  # CPU seconds within a LOOK: the daemons' housekeeping stays below that
LOOK = 0.25  # seconds
PATIENCE = 60.0


@dataclass(frozen=True)
class Load:
    """What one run found; times in seconds."""

    decisions: int
    seconds: float
    passed: int
    other: int
    p50: float
    p99: float
    max: float
    cpu: float = 0.0  # of the server, with what it did afterwards

    @property
    def rate(self) -> float:
        """Decisions a second."""
        return self.decisions / self.seconds

    @property
    def cost(self) -> float:
        """CPU microseconds of the server for a decision."""
        return self.cpu / self.decisions * 1e6


class Asker:
    """The program, compiled; no two of its requests have the same ids."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "policy_load"
        subprocess.run(["gcc", "-O2", "-o", str(self._program), str(SOURCE)], check=True)
        self._first = 0

    def ask(
        self, server: Server, connections: int, seconds: float, *, senders: int, most: int = 0
    ) -> Load:
        """Ask for so many seconds, or `most` times if that is reached before."""
        numbers = [connections, seconds, most, senders, server.state, self._first]
        before = server.seconds()
        result = subprocess.run(
            [str(self._program), server.address, *map(str, numbers)],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )
        _settle(server)
        used = server.seconds() - before
        if result.returncode:
            raise RuntimeError(f"{server.address}: {result.stderr}")
        found = dict(word.split("=") for word in result.stdout.split())
        decisions, passed, other = (int(found[n]) for n in ("decisions", "passed", "other"))
        times = (float(found[name]) for name in ("p50", "p99", "max"))
        self._first += decisions
        return Load(decisions, float(found["seconds"]), passed, other, *times, cpu=used)


def _settle(server: Server) -> None:
    """Wait until it rests: what it still has to do must not slow down the next one."""
    end = time.monotonic() + PATIENCE
    quiet = False
    while not quiet and time.monotonic() < end:
        before = server.seconds()
        time.sleep(LOOK)
        quiet = server.seconds() - before < QUIET
