"""Postfix's policy delegation protocol: bytes to requests, without I/O (SMTPD_POLICY_README).

An attribute that is given twice counts as it was given last.
"""

from pointsman.errors import PointsmanError

MAX_REQUEST = 64 * 1024
MAX_VALUE = 8 * 1024

Request = dict[str, str]


class ProtocolError(PointsmanError):
    """What came is no request; the connection can't go on."""


class Requests:
    """Cuts one client's bytes into requests, wherever they were cut on the way."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Request]:
        """Take what came, and return the requests that are complete.

        Raises ProtocolError for what can't be the beginning of one.
        """
        data = self._rest + data if self._rest else data
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        *whole, self._rest = data.split(b"\n\n")
        if len(self._rest) > MAX_REQUEST:
            raise ProtocolError(f"a request of more than {MAX_REQUEST:,} bytes")
        if self._rest.startswith(b"\n"):
            raise ProtocolError("an empty request")
        return [_request(raw) for raw in whole]


def _request(raw: bytes) -> Request:
    if len(raw) > MAX_REQUEST:
        raise ProtocolError(f"a request of more than {MAX_REQUEST:,} bytes")
    text = raw.decode("utf-8", "surrogateescape")
    if "\0" in text:
        raise ProtocolError("a NUL byte")
    try:
        request = dict([line.split("=", 1) for line in text.split("\n")])
    except ValueError:
        raise ProtocolError("a line without `=`" if text else "an empty request") from None
    if len(raw) > MAX_VALUE and any(len(value) > MAX_VALUE for value in request.values()):
        raise ProtocolError(f"a value of more than {MAX_VALUE:,} characters")
    return request


def reply(action: str) -> bytes:
    """One answer; Postfix takes no byte that is not UTF-8, and one line only."""
    return f"action={action}\n\n".encode("utf-8", "replace")
