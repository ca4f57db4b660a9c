"""Whose a message is, which lane it takes, and whether this client may send it.

One rule answers all of it: the From field's link, else the envelope sender's,
else the default relay. The milter, `explain` and the tables all ask here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pointsman.routing.address import Address, lookup_keys
from pointsman.routing.snapshot import DEFAULT_AGENCY, Agency, Link, Snapshot, client_ip

By = Literal["from", "sender", "envelope", "default"]


@dataclass(frozen=True, slots=True)
class Route:
    """The agency that owns a message, its connector, and which address said so."""

    agency: str
    connector: str
    by: By
    address: Address | None = None
    key: str = ""
    ways: tuple[str, ...] = ()  # of which the connector is one
    turn: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """Who hands the message in: SASL login and address, as far as known."""

    login: str = ""
    address: str | None = None

    def __str__(self) -> str:
        """Name the client as a refusal does."""
        return f"login {self.login}" if self.login else f"client {self.address or 'unknown'}"


def find_link(snapshot: Snapshot, address: Address) -> tuple[str, Link] | None:
    """The most precise link of an address, with its key."""
    if address.null:
        return None
    for key in lookup_keys(address):
        link = snapshot.links.get(key)
        if link is not None:
            return key, link
    return None


def route_of(snapshot: Snapshot, author: Address | None, by: By, envelope: Address) -> Route:
    """Choose agency and connector; `author` is the deciding header address, if any."""
    candidates: list[tuple[By, Address]] = [("envelope", envelope)]
    if author is not None:
        candidates.insert(0, (by, author))
    for said_by, address in candidates:
        found = find_link(snapshot, address)
        if found:
            key, link = found
            return Route(link.agency, link.connector, said_by, address, key, link.ways, link.turn)
    return Route(DEFAULT_AGENCY, snapshot.default, "default")


def forbidden(snapshot: Snapshot, addresses: Sequence[Address], client: Client) -> Address | None:
    """The first address whose agency does not list this client, if there is one."""
    for address in addresses:
        found = find_link(snapshot, address)
        if found and not may_send(snapshot.agencies[found[1].agency], client):
            return address
    return None


def may_send(agency: Agency, client: Client) -> bool:
    """Whether an agency lists the client's login or network."""
    if agency.any_client or (client.login and client.login in agency.logins):
        return True
    address = client_ip(client.address)
    return address is not None and any(
        address in network for network in agency.networks if network.version == address.version
    )
