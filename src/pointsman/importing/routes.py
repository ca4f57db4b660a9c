"""Which way out Postfix chooses for a sender's mail: service, next hop and login. Pure."""

from dataclasses import dataclass, field

from pointsman.importing.hops import Hop, hops
from pointsman.importing.read import Odd, Read, Service
from pointsman.importing.tables import Found, Table, find, find_address

NULL_KEY = "<>"
_DUNNO = "dunno"


@dataclass(frozen=True)
class Route:
    """As Postfix has it; equal routes are one way."""

    service: str
    nexthop: str  # '' is each recipient's own server
    logins: tuple[str, ...] = field(default=(), repr=False)  # user:password, '' for none, by host
    where: str = field(default="", compare=False)


def route_of(read: Read, address: str) -> Route:
    """The way of one sender to recipients elsewhere (trivial-rewrite(8), smtp(8)).

    The next hop is that of sender_dependent_default_transport_maps, else default_transport's,
    then sender_dependent_relayhost_maps', then relayhost's; the address is the null sender's
    if it is empty.
    """
    said = _ask(read.transports, address, read)
    service, _, nexthop = (said.value if said else read.default_transport).partition(":")
    relay = None if nexthop else _ask(read.relayhosts, address, read)
    nexthop = nexthop or (relay.value if relay else read.relayhost)
    where = [found.where for found in (said, relay) if found]
    logins = _logins(read, read.services.get(service), nexthop, address)
    where += dict.fromkeys(login.where for login in logins if login)
    values = dict.fromkeys(login.value if login else "" for login in logins)
    return Route(service, nexthop, tuple(values), ", ".join(where))


def _ask(tables: tuple[Table, ...], address: str, read: Read) -> Found | None:
    """What a map of senders answers; DUNNO ends the search without an answer."""
    found = find_address(tables, address, read.local) if address else find(tables, NULL_KEY)
    return None if found is None or found.value.lower() == _DUNNO else found


def _logins(read: Read, service: Service | None, nexthop: str, address: str) -> list[Found | None]:
    """The login at each host: by sender, by host, by next hop as spelled (smtp_sasl_glue.c)."""
    if service is None or not service.is_on("smtp_sasl_auth_enable"):
        return []
    if service.is_on("smtp_sender_dependent_authentication") and address:
        found = find_address(service.passwords, address, read.local)
        if found:
            return [found]
    parsed = hops(nexthop)
    return [] if isinstance(parsed, Odd) else [_by_host(service, hop) for hop in parsed]


def _by_host(service: Service, hop: Hop) -> Found | None:
    return find(service.passwords, hop.host) or find(service.passwords, hop.spelled)
