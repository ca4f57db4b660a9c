"""Seconds since the epoch that never step while the machine runs."""

import time
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Clock:
    """The kernel's clock since boot, moved once to the wall clock's epoch.

    Programs that start later in the same boot take the offset of the first, so that
    what one wrote means the same to the next, whatever was done to the wall clock.
    """

    boot: str
    offset: float

    @classmethod
    def start(cls, known: "Clock | None" = None, latest: float = 0.0) -> "Clock":
        """Go on with a known clock of this boot; after a boot, never before `latest`."""
        boot = _BOOT_ID.read_text().strip()
        if known is not None and known.boot == boot:
            return known
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        return cls(boot, max(time.time(), latest) - since_boot)

    def now(self) -> float:
        """Seconds."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) + self.offset
