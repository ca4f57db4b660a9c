"""Which senders the tables name, and an address that stands for each. Pure."""

import re
from collections.abc import Iterable, Iterator

from pointsman.importing.read import Read
from pointsman.importing.routes import NULL_KEY
from pointsman.importing.tables import Table
from pointsman.routing.address import (
    Address,
    AddressError,
    normal_domain,
    normal_local,
    split_address,
)

# Stands for any address of a domain that no table names.
ANYBODY = "pointsman-import-anybody"
_HOST_LIKE = re.compile(r"[.\[:]|^localhost$")


def candidates(read: Read) -> dict[str, str]:
    """The senders that tables name, and their domains, as links' keys; the least precise first.

    Each with an address to ask for, spelled as in the table: Postfix knows A- and U-labels as
    two domains.
    """
    found: dict[str, str] = {}
    for table, hosts in sender_tables(read):
        for address in _addresses(table, read, hosts=hosts):
            found.setdefault(_key(Address("", address.domain)), f"{ANYBODY}@{address.domain}")
            if address.local:
                found.setdefault(_key(address), str(address))
    return dict(sorted(found.items(), key=lambda item: _order(item[0])))


def sender_tables(read: Read) -> Iterator[tuple[Table, bool]]:
    """Tables that are asked for senders, and whether they are asked for hosts as well."""
    for table in (*read.transports, *read.relayhosts):
        yield table, False
    for service in read.services.values():
        if service.is_on("smtp_sender_dependent_authentication"):
            yield from ((table, True) for table in service.passwords)


def extended(address: str) -> str:
    """The address with an extension that no table names; '' where that makes no sense."""
    local, _, domain = address.rpartition("@")
    return f"{local}+{ANYBODY}@{domain}" if local != ANYBODY and "+" not in local else ""


def _addresses(table: Table, read: Read, *, hosts: bool) -> Iterator[Address]:
    for key in table.keys:
        try:
            address = split_address(key) if "@" in key else Address(key, "")
        except AddressError:
            continue
        if address.domain:
            yield address
        elif key != NULL_KEY and not (hosts and _HOST_LIKE.search(key)):
            yield from (Address(key, domain) for domain in sorted(read.local.domains))


def _key(address: Address) -> str:
    return f"{normal_local(address.local)}@{normal_domain(address.domain)}"


def _order(key: str) -> tuple[str, int, str]:
    local, _, domain = key.rpartition("@")
    depth: Iterable[bool] = (bool(local), "+" in local)
    return domain, sum(depth), key
