"""Where log lines go: syslog's mail facility, standard error, or a file.

The standard library's logging takes as long for one line as all else that the policy
daemon does for a message (12 us against 3 here), hence these few lines of our own.
"""

import os
import socket
import sys
import threading
import time
from contextlib import suppress

INFO, WARNING, ERROR = 6, 4, 3  # as syslog(3) numbers them
_MAIL = 2 << 3
DEV_LOG = "/dev/log"


class Sink:
    """Writes whole lines at once, so that several programs may share a file."""

    def __init__(self, program: str, where: str) -> None:
        self._name = f"pointsman/{program}[{os.getpid()}]"
        self._host = socket.gethostname()
        self._syslog: socket.socket | None = None
        self._stamp = (0, "")  # a second, and how its lines begin
        self._lines: list[str] = []
        self._file = -1
        self._lock = threading.Lock()
        if where == "syslog" and os.path.exists(DEV_LOG):  # noqa: PTH110 - a socket
            self._connect()
        elif where not in ("syslog", "stderr"):
            self._file = os.open(where, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def close(self) -> None:
        """Let go of the file or socket."""
        if self._file >= 0:
            os.close(self._file)
        if self._syslog is not None:
            self._syslog.close()

    def write(self, level: int, text: str) -> None:
        """Write one line; a log that can't be written must not stop mail."""
        if self._syslog is not None:
            self._send(f"<{_MAIL | level}>{self._name}: {text}".encode("utf-8", "replace"))
        else:
            self._put(f"{self._head()}{text}\n")

    def gather(self, level: int, text: str) -> None:
        """Keep a line for `flush`, which costs a file one write for many; syslog gets it now.

        For one thread alone: the milter's many would write a line twice, or never.
        """
        if self._syslog is not None:
            self.write(level, text)
        else:
            self._lines.append(f"{self._head()}{text}\n")

    def flush(self) -> None:
        """Write what was gathered."""
        if self._lines:
            text = "".join(self._lines)
            self._lines.clear()
            self._put(text)

    def _put(self, text: str) -> None:
        with suppress(OSError):
            file = self._file if self._file >= 0 else sys.stderr.fileno()
            os.write(file, text.encode("utf-8", "backslashreplace"))

    def _head(self) -> str:
        second = int(time.time())
        if second != self._stamp[0]:
            stamp = time.strftime("%b %d %H:%M:%S", time.localtime(second))
            self._stamp = (second, f"{stamp} {self._host} {self._name}: ")
        return self._stamp[1]

    def _connect(self) -> None:
        self._syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with suppress(OSError):
            self._syslog.connect(DEV_LOG)

    def _send(self, data: bytes) -> None:
        """Send; syslogd may have been restarted since the last line."""
        assert self._syslog is not None  # noqa: S101 - tells mypy
        try:
            self._syslog.send(data)
        except OSError:
            with self._lock, suppress(OSError):
                self._send_again(data)

    def _send_again(self, data: bytes) -> None:
        """Over a new connection, unless another thread has made one meanwhile."""
        assert self._syslog is not None  # noqa: S101 - tells mypy
        try:
            self._syslog.send(data)
        except OSError:
            self._syslog.close()
            self._connect()
            self._syslog.send(data)
