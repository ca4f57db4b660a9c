"""Asks the policy daemon's control socket: what the agent and the command line need."""

import json
import socket
from pathlib import Path
from typing import Any, Self

from pointsman.errors import PointsmanError

TIMEOUT = 10.0  # seconds


class ControlError(PointsmanError):
    """The policy daemon can't be asked."""


class Control:
    """One connection; closed by `with`, or when an answer fails to come."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(TIMEOUT)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            why = "it is for root" if isinstance(error, PermissionError) else "is it running?"
            raise ControlError(f"the policy daemon does not answer at {path}: {why}") from None
        self._answers = self._socket.makefile("rb")

    def ask(self, do: str, **question: Any) -> dict[str, Any]:
        """Ask one thing; ControlError if the daemon went away meanwhile."""
        try:
            self._socket.sendall(json.dumps({"do": do, **question}).encode() + b"\n")
            answer = self._answers.readline()
        except OSError as error:
            raise ControlError(f"the policy daemon went away: {error}") from None
        if not answer:
            raise ControlError("the policy daemon hung up")
        return dict(json.loads(answer))

    def close(self) -> None:
        """Hang up."""
        self._answers.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
