"""Postfix's policy delegation protocol: bytes to requests, without I/O (SMTPD_POLICY_README).

An attribute that is given twice counts as it was given last.
"""

import re

from pointsman.errors import PointsmanError

MAX_REQUEST = 64 * 1024
MAX_VALUE = 8 * 1024

Request = dict[str, str]

# What Postfix itself sends, in its order (smtpd_check.c); what comes behind differs by version.
# One expression reads that in half the time; all else gets the same from `_request`.
_ATTRIBUTES = (
    *("request", "protocol_state", "protocol_name"),
    *("client_address", "client_name", "client_port", "reverse_client_name"),
    *("server_address", "server_port", "helo_name", "sender", "recipient", "recipient_count"),
    *("queue_id", "instance", "size", "etrn_domain", "stress"),
    *("sasl_method", "sasl_username", "sasl_sender"),
    *("ccert_subject", "ccert_issuer", "ccert_fingerprint", "ccert_pubkey_fingerprint"),
    *("encryption_protocol", "encryption_cipher", "encryption_keysize"),
)
READ = (  # those of them that anybody looks at
    *("request", "protocol_state", "client_address", "sender", "recipient", "recipient_count"),
    *("queue_id", "instance", "sasl_username"),
)
_VALUE = r"[^\0\r\n]*"
_POSTFIX = re.compile(
    "".join(f"{n}=({_VALUE})\n" if n in READ else f"{n}={_VALUE}\n" for n in _ATTRIBUTES)
    + rf"(?:(?:policy_context|compatibility_level|mail_version)={_VALUE}\n)*\n"
)


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
        if not self._rest and len(data) <= MAX_VALUE:
            match = _POSTFIX.fullmatch(data.decode("utf-8", "surrogateescape"))
            if match:
                return [dict(zip(READ, match.groups()))]  # noqa: B905 - a check takes as long again
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
