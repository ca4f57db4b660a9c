"""A route of Postfix's, said as a connector, or why it can't be. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pointsman.errors import UsageError
from pointsman.importing.hops import Hop, hops, host_of
from pointsman.importing.read import Odd, Read, Service
from pointsman.importing.routes import Route
from pointsman.importing.security import Security, security
from pointsman.store.checks import (
    checked_address,
    checked_hostname,
    checked_password,
    checked_username,
)
from pointsman.store.combinations import check_connector
from pointsman.store.records import Connector

# What a lane does not take over from the service before it, and what it does instead.
_LOST = {
    "smtp_fallback_relay": "a connector's spare hosts are further --host",
    "smtp_generic_maps": "addresses leave as they are",
    "smtp_header_checks": "headers leave as they are",
    "smtp_mime_header_checks": "headers leave as they are",
    "smtp_nested_header_checks": "headers leave as they are",
    "smtp_body_checks": "bodies leave as they are",
    "smtp_tls_cert_file": "no client certificate is shown; see --auth certificate --pfx",
    "smtp_tls_chain_files": "no client certificate is shown; see --auth certificate --pfx",
    "smtp_tls_per_site": "it is obsolete, and was not read",
    "smtp_delivery_status_filter": "a lane has its own",
    "smtp_reply_filter": "a lane has its own",
    "smtp_discard_ehlo_keyword_address_maps": "all that the server offers is used",
    "destination_rate_delay": "give the connector a --rate",
    "transport_rate_delay": "give the connector a --rate",
    "destination_concurrency_limit": "--processes says how many connections there are",
}


@dataclass(frozen=True)
class Way:
    """A connector without a name yet."""

    hosts: tuple[str, ...]
    security: Security
    username: str = ""
    password: str = field(default="", repr=False)
    source_address: str = ""
    helo: str = ""
    processes: int = field(default=0, compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def connector(self, name: str, seal: Callable[[str], str]) -> Connector:
        """The record, its password sealed."""
        return Connector(
            name,
            hosts=self.hosts,
            tls=self.security.tls,
            auth="password" if self.username else "none",
            username=self.username,
            password=seal(self.password) if self.password else "",
            ca=self.security.ca,
            server_name=self.security.server_name,
            fingerprints=self.security.fingerprints,
            source_address=self.source_address,
            helo=self.helo,
            processes=self.processes or Connector.processes,
        )


def way_of(read: Read, route: Route) -> Way | Odd:
    """Say a route as a connector."""
    service = read.services.get(route.service)
    if service is None or service.program != "smtp":
        what = f"is {service.program}(8)" if service else "is not in master.cf"
        return Odd(f"service {route.service!r} {what}, and a connector speaks SMTP")
    if not route.nexthop:
        return Odd("each message goes to its recipient's own server (MX), and not to a fixed one")
    parsed = hops(route.nexthop)
    if isinstance(parsed, Odd):
        return parsed
    try:
        return _built(read, service, route, parsed)
    except UsageError as error:
        return Odd(str(error))


def _built(read: Read, service: Service, route: Route, parsed: tuple[Hop, ...]) -> Way | Odd:
    hosts, safeties = [], []
    for hop in parsed:
        host, safety = host_of(hop, read.exchangers), security(service, hop, read.file)
        if isinstance(host, Odd) or isinstance(safety, Odd):
            return host if isinstance(host, Odd) else safety  # type: ignore[return-value]
        hosts.append(host)
        safeties.append(safety)
    if len(set(safeties)) > 1 or len(route.logins) > 1:
        return Odd("its hosts have different TLS rules or logins; a connector has one for all")
    username, password = _login(route)
    source, helo, notes = _stated(service)
    way = Way(
        tuple(hosts),
        safeties[0],
        username,
        password,
        source,
        helo,
        service.processes,
        (*safeties[0].notes, *notes, *_clear(service, safeties[0], username), *_lost(service)),
    )
    check_connector(way.connector("x", lambda text: text))
    return way


def _login(route: Route) -> tuple[str, str]:
    """User and password; Postfix cuts at the first colon."""
    text = route.logins[0] if route.logins else ""
    if not text:
        return "", ""
    username, _, password = text.partition(":")
    return checked_username(username), checked_password(password)


def _stated(service: Service) -> tuple[str, str, list[str]]:
    """Source address and name in EHLO, where the service says them."""
    four, six = service.says("smtp_bind_address"), service.says("smtp_bind_address6")
    notes = []
    if four and six:
        notes.append(f"a connector has one source address: {four}, and IPv6 is not used by it")
    helo = service.says("smtp_helo_name")
    if helo in ("", "$myhostname", service.says("myhostname")):
        return checked_address(four or six) if four or six else "", "", notes
    try:
        helo = checked_hostname(helo)
    except UsageError:
        notes.append(f"smtp_helo_name = {helo} is no host name: the connector says $myhostname")
        helo = ""
    return checked_address(four or six) if four or six else "", helo, notes


def _clear(service: Service, safety: Security, username: str) -> Iterable[str]:
    """Where a password could go in the clear before, and does not any more."""
    options = service.says("smtp_sasl_security_options")
    if username and safety.tls == "may" and "noplaintext" not in options:
        yield (
            "with TLS level may, the password could go in the clear; the connector sends it in TLS "
            "alone. For a server without TLS set --tls none"
        )


def _lost(service: Service) -> Iterable[str]:
    for name, instead in _LOST.items():
        if service.says(name):
            yield f"{service.name}: {name} = {service.says(name)} does not count: {instead}"
