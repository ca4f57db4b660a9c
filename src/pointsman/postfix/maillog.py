"""Postfix's mail log: a line to what a lane's delivery came to. Pure, but for following.

Once a next hop is known to be dead, qmgr lets postfix/error write the lines, which say
nothing of the lane (postfix/error(8)); the lines before say enough.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointsman.postfix.conf import Instance

MOST = 4 << 20  # bytes read at once
SYSLOG = Path("/var/log/mail.log")  # where syslog writes, if Postfix does not by itself

_LINE = re.compile(
    r" postfix[^/ ]*/pm-(?P<connector>[a-z0-9-]+)/[sl]mtp\[\d+\]: (?P<queue_id>\w+): to=<.*?>,"
    r".* dsn=(?P<dsn>\d\.\d+\.\d+), status=(?P<status>sent|deferred|bounced) \((?P<text>.*)\)$"
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recipient's delivery by a lane."""

    connector: str
    queue_id: str
    dsn: str
    status: str
    text: str

    @property
    def blames_connector(self) -> bool:
        """Whether it failed for the way and not for the message: network, TLS, login."""
        return self.status == "deferred" and self.dsn.startswith(("4.4.", "4.7."))


def log_of(instance: Instance) -> Path:
    """Where an instance's log is, as far as Postfix itself knows."""
    own = instance.parameters("maillog_file")["maillog_file"]
    return Path(own) if own else SYSLOG


def parse(line: str) -> Delivery | None:
    """What a line says of a lane's delivery, if it does."""
    match = _LINE.search(line)
    return Delivery(**match.groupdict()) if match else None


class Follower:
    """Reads what is appended to a log, across its rotation; begins at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode, self._at = _place(path)
        self._rest = b""

    def lines(self) -> Iterator[str]:
        """The whole lines that are new."""
        inode, size = _place(self._path)
        if inode != self._inode or size < self._at:
            self._inode, self._at, self._rest = inode, 0, b""
        if size <= self._at:
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = self._rest + file.read(MOST)
            self._at = file.tell()
        *whole, self._rest = data.split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")


def _place(path: Path) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 - one call for both
    except OSError:
        return 0, 0
    return status.st_ino, status.st_size
