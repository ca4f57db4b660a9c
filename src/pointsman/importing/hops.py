"""Next hops as Postfix spells them, read into hosts and ports. Pure."""

import re
import socket
from dataclasses import dataclass

from pointsman.errors import UsageError
from pointsman.importing.read import Exchangers, Odd
from pointsman.store.checks import checked_host, is_literal

SMTP = 25
_HOP = re.compile(r"(?:\[(?:ipv6:)?(?P<host>[^\]]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>\w[\w-]*))?")


@dataclass(frozen=True)
class Hop:
    """One next hop: `[host]:port`, or a name without brackets, whose MX hosts are meant."""

    spelled: str
    host: str
    port: int
    mx: bool  # no brackets


def hops(nexthop: str) -> tuple[Hop, ...] | Odd:
    """Read a next hop: one, or several with commas, tried in order."""
    found = []
    for spelled in re.split(r"[\s,]+", nexthop.strip()):
        match = _HOP.fullmatch(spelled)
        port = _port(match["port"] or "") if match else None
        if match is None or port is None:
            return Odd(f"{spelled!r} can't be read as a host and a port")
        host = (match["host"] or match["name"]).lower()
        found.append(Hop(spelled, host, port, mx=match["name"] is not None))
    return tuple(found)


def _port(text: str) -> int | None:
    if not text or text.isdigit():
        return int(text) if text else SMTP
    try:
        return socket.getservbyname(text, "tcp")
    except OSError:
        return None


def host_of(hop: Hop, exchangers: Exchangers) -> str | Odd:
    """The host as `--host` takes it; of a name whose MX hosts are meant, only if it has none."""
    if hop.mx and not is_literal(hop.host):
        hosts = exchangers(hop.host)
        if hosts is None:
            return Odd(
                f"{hop.spelled} is written without brackets, so its MX hosts are meant, and DNS "
                "does not answer: try again later, or put it in brackets if it is the server itself"
            )
        if set(hosts) - {hop.host}:
            return Odd(
                f"{hop.spelled} is written without brackets and has MX hosts "
                f"({', '.join(hosts)}); a connector looks up no MX: put the servers themselves in "
                "brackets, or add the connector by hand with a --host for each"
            )
    text = f"[{hop.host}]:{hop.port}" if ":" in hop.host else f"{hop.host}:{hop.port}"
    try:
        return checked_host(text)
    except UsageError as error:
        return Odd(str(error))
