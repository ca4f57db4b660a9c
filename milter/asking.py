"""Asks the policy daemon about one message, for no longer than a few seconds.

Called within milter callbacks: nothing here but a socket and plain Python objects.
"""

import itertools
import os
import socket
import time
from collections import deque
from dataclasses import dataclass

from pointsman import logs
from pointsman.routing.charge import Charge

TIMEOUT = 5.0  # seconds for one answer
LONGEST = 4096  # bytes of one answer
REFUSALS = ("450", "550")
AWAY = 1.0  # seconds without a new attempt, so that a dead daemon costs mail nothing


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon said: DUNNO, HOLD, 450 or 550, and its text."""

    action: str
    text: str = ""
    asked: bool = True


class Policy:
    """The daemon's socket, with connections that sessions share."""

    def __init__(self, path: str, on_failure: str) -> None:
        self.on_failure = on_failure
        self._path = path
        self._free: deque[socket.socket] = deque(maxlen=64)
        self._numbers = itertools.count()
        self._away_until = 0.0
        self._away = False

    def ask(self, queue_id: str, charge: Charge) -> Answer:
        """Ask; without an answer, what the configuration wants then."""
        try:
            if self._away and time.monotonic() < self._away_until:
                raise ConnectionError("it did not answer a moment ago")
            answer = self._answer(self._question(queue_id, charge))
        except (OSError, ValueError) as error:
            return self._failed(error)
        if self._away:
            self._away = False
            logs.policy_back()
        return answer

    def _question(self, queue_id: str, charge: Charge) -> bytes:
        lines = [
            "request=smtpd_access_policy",
            "protocol_state=END-OF-MESSAGE",
            f"queue_id={queue_id}",
            f"instance={os.getpid():x}.{time.time_ns():x}.{next(self._numbers):x}",
            f"recipient_count={charge.recipients}",
            f"agency={charge.agency}",
            f"connector={charge.connector}",
            f"counter={charge.sender}",
            f"revision={charge.revision}",
            *(["exempt=yes"] if charge.exempt else []),
            *(["observe=yes"] if charge.observe else []),
        ]
        return ("\n".join(lines) + "\n\n").encode("utf-8", "surrogateescape")

    def _answer(self, question: bytes) -> Answer:
        """Ask over a connection that is open; one that has died meanwhile is replaced once."""
        try:
            known = self._free.pop()
        except IndexError:
            return self._exchange(self._connect(), question)
        try:
            return self._exchange(known, question)
        except TimeoutError:
            raise
        except OSError:
            # The same message again: a charge that was written down is not made twice.
            return self._exchange(self._connect(), question)

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(TIMEOUT)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        return connection

    def _exchange(self, connection: socket.socket, question: bytes) -> Answer:
        try:
            connection.sendall(question)
            answer = _parsed(_received(connection))
        except BaseException:
            connection.close()
            raise
        self._free.append(connection)
        return answer

    def _failed(self, error: Exception) -> Answer:
        if time.monotonic() >= self._away_until:
            self._away_until = time.monotonic() + AWAY
        if not self._away:
            self._away = True
            logs.policy_away(error, self.on_failure)
        text = "the policy daemon is away"
        actions = {"send": "DUNNO", "hold": "HOLD", "defer": "450"}
        return Answer(actions[self.on_failure], text, asked=False)


def _received(connection: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\n\n"):
        more = connection.recv(LONGEST)
        if not more or len(data) > LONGEST:
            raise ConnectionError("it closed the connection")
        data += more
    return data.decode("utf-8", "replace")


def _parsed(text: str) -> Answer:
    action, _, rest = text.strip().removeprefix("action=").partition(" ")
    if action not in ("DUNNO", "HOLD", "450", "550"):
        raise ValueError(f"it answered {text[:80]!r}")
    if action in REFUSALS:
        rest = rest.partition(" ")[2]  # the enhanced status: it follows from the code
    return Answer(action, rest)
