"""Connectors, agencies, certificates and tokens: what the records themselves say. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from cryptography import x509

from pointsman.checks.facts import Facts, Service, items
from pointsman.checks.finding import Found
from pointsman.oauth.timing import pause_after, renew_at
from pointsman.routing.snapshot import DEFAULT_AGENCY
from pointsman.store import certificates
from pointsman.store.providers import ASKING, account_of, endpoints
from pointsman.store.records import Agency, Connector

SOON, URGENT = 30, 7  # days that a certificate is still good for
FORGOTTEN = timedelta(days=1)  # that a connector may be new or disabled
_LOOPBACK = ip_address("127.0.0.1")
_PORTS = {"smtp": 25, "smtps": 465, "submissions": 465, "submission": 587}


def _connectors(facts: Facts) -> list[Connector]:
    return sorted(facts.book.connectors.values(), key=lambda c: c.name)


def _agencies(facts: Facts) -> list[Agency]:
    found = (a for a in facts.book.agencies.values() if a.name != DEFAULT_AGENCY)
    return sorted(found, key=lambda a: a.name)


def leading_back(facts: Facts) -> Iterator[Found]:
    """A connector leads back to this Postfix."""
    doors = [_door(s) for s in facts.postfix.of("smtpd", "postscreen") if s.fields[1] == "inet"]
    for connector in _connectors(facts):
        if connector.state == "disabled":
            continue
        for host, port in connector.addresses:
            own = facts.host.own.get(host, ())
            if any(port == p and _listens(facts, at, a) for at, p in doors for a in own):
                yield Found(
                    f"connector {connector.name}",
                    f"leads to {host}:{port}, which is this Postfix itself",
                    "give it its provider's server: "
                    + facts.ours("connector", "set", connector.name, "--host", "HOST:PORT")
                    + f", or {facts.ours('connector', 'disable', connector.name)}",
                )


def _door(service: Service) -> tuple[str, int]:
    """Address and port that a service listens at; "" for all of them."""
    host, _, port = service.fields[0].rpartition(":")
    host = {"localhost": "127.0.0.1"}.get(host.strip("[]"), host.strip("[]"))
    return host, int(port) if port.isdigit() else _PORTS.get(port, 0)


def _listens(facts: Facts, at: str, address: str) -> bool:
    """Whether what comes to an address reaches a service that is bound to `at`."""
    everywhere = items(facts.postfix.value("inet_interfaces"))
    if address in items(facts.postfix.value("proxy_interfaces")):
        return True
    if at:
        return at == address
    if "loopback-only" in everywhere:
        return ip_address(address).is_loopback
    return "all" in everywhere or address in everywhere


def no_sasl(facts: Facts) -> Iterator[Found]:
    """Postfix has no SASL mechanism to log in with, although a connector's test passes."""
    users = [c.name for c in _connectors(facts) if c.auth == "password" and c.state == "live"]
    if not users or (facts.host.mechanisms and "cyrus" in facts.postfix.sasl_clients):
        return
    yield Found(
        "Postfix",
        f"can't log in: it has no SASL mechanism for connector {users[0]}, whose mail waits",
        "`apt install libsasl2-modules`, then " + facts.reloading,
    )


def forgotten(facts: Facts) -> Iterator[Found]:
    """A connector with links has been new or disabled for more than a day."""
    linked = {name for sender in facts.book.senders.values() for name in sender.ways}
    for connector in _connectors(facts):
        since = facts.touched.get(connector.name)
        if connector.state == "live" or connector.name not in linked:
            continue
        if since is None or facts.now - since < FORGOTTEN:
            continue
        what = "its senders' mail goes on as before" if connector.state == "new" else "mail waits"
        yield Found(
            f"connector {connector.name}",
            f"is {connector.state} since {since:%Y-%m-%d}: {what}",
            f"{facts.ours('connector', 'enable', connector.name)}, or unlink its senders",
        )


def any_client(facts: Facts) -> Iterator[Found]:
    """Every client that Postfix relays for may send in an agency's name."""
    names = [a.name for a in _agencies(facts) if a.any_client or any(map(_everywhere, a.networks))]
    if names:
        yield Found(
            _named(names),
            "may be sent for by whoever may relay here",
            "say who may: "
            + facts.ours("agency", "set", names[0], "--no-any-client", "--login", "LOGIN"),
        )


def _everywhere(network: str) -> bool:
    return ip_network(network).prefixlen == 0


def _named(agencies: list[str]) -> str:
    """There may be a thousand: one line for all of them."""
    more = f" and {len(agencies) - 1} more" if len(agencies) > 1 else ""
    return f"agency {agencies[0]}{more}"


def loopback_network(facts: Facts) -> Iterator[Found]:
    """Every program on this host may send in an agency's name, sendmail(1) included."""
    open_ = {a.name: _networks_elsewhere(a) for a in _agencies(facts)}
    names = [a.name for a in _agencies(facts) if len(open_[a.name]) < len(a.networks)]
    if names:
        fields = [word for n in open_[names[0]] or [""] for word in ("--network", n)]
        yield Found(
            _named(names),
            "may be sent for by any program on this host, which is among its networks",
            "where there is a login: " + facts.ours("agency", "set", names[0], *fields),
        )


def _networks_elsewhere(agency: Agency) -> list[str]:
    return [n for n in agency.networks if _everywhere(n) or _LOOPBACK not in ip_network(n)]


def _ending(facts: Facts, least: float, below: float) -> Iterator[Found]:
    """Client certificates by the days that are left; of disabled connectors nobody needs one."""
    for connector in _connectors(facts):
        if not connector.certificate or connector.state == "disabled":
            continue
        found = certificates.facts(connector.certificate)
        days = found.days_left(facts.now)
        if not least <= days < below:
            continue
        word, left = ("ended", "") if days < 0 else ("ends", f", days left: {days}")
        renew = facts.ours("connector", "set", connector.name, "--pfx", "FILE")
        yield Found(
            f"connector {connector.name}",
            f"has a client certificate that {word} on {found.not_after:%Y-%m-%d}{left}",
            f"get a new one, then {renew}",
        )


def certificates_ending(facts: Facts) -> Iterator[Found]:
    """A connector's client certificate ends within 30 days."""
    return _ending(facts, URGENT, SOON)


def certificates_urgent(facts: Facts) -> Iterator[Found]:
    """It ends within 7 days."""
    return _ending(facts, 0, URGENT)


def certificates_ended(facts: Facts) -> Iterator[Found]:
    """It has ended: the server lets the connector in no more, and its mail waits."""
    return _ending(facts, float("-inf"), 0)


def authorities_ended(facts: Facts) -> Iterator[Found]:
    """A connector's CA file ends within 30 days, or has: then its mail waits."""
    for connector in _connectors(facts):
        if not connector.ca or connector.state == "disabled":
            continue
        last = max(_ends(connector.ca))
        days = (last - facts.now).days
        if days < SOON:
            renew = facts.ours("connector", "set", connector.name, "--ca-file", "FILE")
            yield Found(
                f"connector {connector.name}",
                f"has a CA file that ends on {last:%Y-%m-%d}, days left: {days}",
                f"get a new one, then {renew}",
            )


def _ends(pem: str) -> Iterable[datetime]:
    return (c.not_valid_after_utc for c in x509.load_pem_x509_certificates(pem.encode()))


def _token_lives(facts: Facts) -> Iterator[tuple[Connector, float, float]]:
    for connector in _connectors(facts):
        if connector.auth == "oauth2" and connector.state == "live":
            key = (connector.name, account_of(connector))
            yield connector, *facts.tokens.get(key, (0.0, 0.0))


def tokens_ended(facts: Facts) -> Iterator[Found]:
    """A live connector has no access token: its mail waits."""
    for connector, _, expires in _token_lives(facts):
        if expires <= facts.now.timestamp():
            text = "has no access token, and its mail waits"
            yield Found(f"connector {connector.name}", text, _token_fix(facts, connector))


def tokens_old(facts: Facts) -> Iterator[Found]:
    """A live connector's access token should have been replaced by now."""
    now = facts.now.timestamp()
    for connector, obtained, expires in _token_lives(facts):
        if now < expires and renew_at(obtained, expires) + pause_after(1) < now:
            text = f"gets no new access token, minutes left: {(expires - now) / 60:.0f}"
            yield Found(f"connector {connector.name}", text, _token_fix(facts, connector))


def _token_fix(facts: Facts, connector: Connector) -> str:
    """What the log says, and what helps most often."""
    again = facts.ours("connector", "authorize", connector.name)
    end = f", then {again}" if endpoints(connector).flow in ASKING else ""
    return f"see why in the log (grep 'connector {connector.name} '), is the agent running?{end}"
