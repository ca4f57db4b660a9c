"""Which recipients are outbound, and so ours to move; every other is hosted."""

from dataclasses import dataclass

from pointsman.routing.address import AddressError, lookup_keys, normal_domain, parse_path
from pointsman.routing.snapshot import POSTFIX, Snapshot


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient, with the transport and next hop that Postfix gave at RCPT.

    Both are None for mail from sendmail(1), of which Postfix says nothing.
    """

    address: str
    mailer: str | None = None
    host: str | None = None


def is_outbound(snapshot: Snapshot, recipient: Recipient) -> bool:
    """Whether a recipient's transport is a lane or the default transport."""
    around = snapshot.around
    domain = _domain(recipient.address, around.myorigin)
    if is_lane(snapshot, recipient.mailer):
        return True
    if recipient.mailer is not None and (
        snapshot.default != POSTFIX
        or recipient.mailer != around.transport
        or not _is_default_host(snapshot, recipient, domain)
    ):
        return False
    return not is_hosted(snapshot, domain)


def is_lane(snapshot: Snapshot, mailer: str | None) -> bool:
    """Whether a transport is a lane, if only one that this snapshot is too old to know."""
    return bool(mailer and mailer.startswith("pm-") and mailer not in snapshot.around.foreign)


def _domain(address: str, myorigin: str) -> str:
    try:
        return normal_domain(parse_path(address, myorigin).domain)
    except AddressError:
        return ""


def _is_default_host(snapshot: Snapshot, recipient: Recipient, domain: str) -> bool:
    """An admin's transport map may name the default service with a next hop of its own."""
    around = snapshot.around
    if around.relayhost_varies or recipient.host is None:
        return True
    expected = around.nexthop or around.relayhost or domain
    return normal_domain(recipient.host) == normal_domain(expected)


def is_hosted(snapshot: Snapshot, domain: str) -> bool:
    """Whether Postfix's lists, as far as they can be listed, name a domain."""
    around = snapshot.around
    if not domain or domain in around.hosted:
        return True
    parent = domain
    while parent:
        if parent in around.hosted_parents:
            return True
        parent = parent.partition(".")[2]
    return False


def may_be_aliased(snapshot: Snapshot, recipient: Recipient) -> bool:
    """Whether an alias map may lead an outbound recipient somewhere else."""
    try:
        address = parse_path(recipient.address, snapshot.around.myorigin)
    except AddressError:
        return True
    return not snapshot.around.aliased.isdisjoint(lookup_keys(address))
