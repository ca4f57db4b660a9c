"""Tells systemd that a daemon is ready, alive or stopping: sd_notify(3), and nothing more.

Without systemd, or for a service that asks for no watchdog, all of it does nothing.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field

PAUSE = 1.0  # seconds between signs of life of an event loop
_SHARE = 3  # pings for each time that systemd waits: one may come late


@dataclass
class Service:
    """The running program as systemd knows it; every method may be called from any thread."""

    address: str = ""
    patience: float = 0.0  # seconds without a ping after which systemd kills us; 0 for never
    parts: tuple[str, ...] = ("main",)
    _missing: set[str] = field(init=False)
    _next: float = field(default=0.0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        self._missing = set(self.parts)

    def ready(self) -> None:
        """Say that what waits for us may start."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Say that our end is meant."""
        self._send("STOPPING=1")

    def alive(self, part: str = "main") -> None:
        """Note that a part has come round; once all of them have, systemd hears of it.

        Each part calls this from the loop that does its work. So one that hangs, or has
        died, ends the pings, and systemd starts us anew.
        """
        now = time.monotonic()
        with self._lock:
            self._missing.discard(part)
            if not self.patience or self._missing or now < self._next:
                return
            self._missing, self._next = set(self.parts), now + self.patience / _SHARE
        self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self.address:
            return
        # A leading @ stands for an abstract socket, whose name begins with a NUL (unix(7)).
        name = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        with (
            suppress(OSError),  # mail goes on, whether systemd hears us or not
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.connect(name)
            out.send(state.encode())


def service(*parts: str, environment: MutableMapping[str, str] = os.environ) -> Service:
    """Read where systemd listens, and how long it waits for a ping (sd_watchdog_enabled(3)).

    The variables are taken out of the environment: no child is to speak for us.
    """
    address = environment.pop("NOTIFY_SOCKET", "")
    limit = environment.pop("WATCHDOG_USEC", "")
    ours = environment.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
    meant = limit.isdecimal() and ours
    return Service(address, int(limit) / 1e6 if meant else 0.0, parts or ("main",))


async def beat(daemon: Service) -> None:
    """Show that an event loop turns; run it as a task of that loop, which answers mail."""
    while True:
        daemon.alive()
        await asyncio.sleep(PAUSE)
