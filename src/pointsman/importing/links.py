"""Which senders need a link, so that each one's mail takes the way it took before. Pure.

A link is made only if no mail changes its way by it: a domain of which one address goes a way
that can't be expressed is not linked as a whole.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pointsman.importing.read import Odd, Read, Remark
from pointsman.importing.routes import NULL_KEY, Route, route_of
from pointsman.importing.tables import Table
from pointsman.importing.ways import Way, way_of
from pointsman.routing.address import (
    Address,
    AddressError,
    lookup_keys,
    normal_domain,
    normal_local,
    split_address,
)

# Stands for any address of a domain that no table names.
ANYBODY = "pointsman-import-anybody"
_HOST_LIKE = re.compile(r"[.\[:]|^localhost$")
_NOWHERE = "import.pointsman.invalid"


@dataclass
class Links:
    """What was found out: a way for each link, and what there is to say."""

    default: Route
    ways: dict[str, Way] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)  # of each sender that was looked at
    remarks: list[Remark] = field(default_factory=list)


def links_of(read: Read) -> Links:
    """Look at every sender that a table names, and at what else is in its domain."""
    keys = candidates(read)
    _learn(read, keys)
    found = Links(route_of(read, f"{ANYBODY}@{_NOWHERE}"))
    found.routes = {key: route_of(read, _probe(key)) for key in keys}
    ways: dict[Route, Way | Odd] = {}

    def way(route: Route) -> Way | Odd:
        if route not in ways:
            ways[route] = way_of(read, route)
        return ways[route]

    _choose(found, way, _named(read))
    _overruling(read, found)
    _extensions(read, found)
    _null_sender(read, found)
    return found


def candidates(read: Read) -> list[str]:
    """The senders that tables name, as links' keys, and the domains that they are in."""
    found: dict[str, None] = {}
    for table, hosts in _sender_tables(read):
        for key in table.keys:
            for address in _addresses(key, read, hosts=hosts):
                found[f"@{normal_domain(address.domain)}"] = None
                found[f"{normal_local(address.local)}@{normal_domain(address.domain)}"] = None
    return sorted(found, key=lambda key: (key.rpartition("@")[2], _depth(key), key))


def _sender_tables(read: Read) -> Iterable[tuple[Table, bool]]:
    """Tables that are asked for senders, and whether they are asked for hosts as well."""
    for table in (*read.transports, *read.relayhosts):
        yield table, False
    for service in read.services.values():
        if service.is_on("smtp_sender_dependent_authentication"):
            yield from ((table, True) for table in service.passwords)


def _addresses(key: str, read: Read, *, hosts: bool) -> Iterable[Address]:
    try:
        address = split_address(key) if "@" in key else Address(key, "")
    except AddressError:
        return ()
    if address.domain:
        return (address,)
    if key == NULL_KEY or (hosts and _HOST_LIKE.search(key)):
        return ()
    return [Address(key, domain) for domain in sorted(read.local.domains)]


def _depth(key: str) -> int:
    local = key.rpartition("@")[0]
    return 0 if not local else 2 if "+" in local else 1


def _probe(key: str) -> str:
    """An address that stands for a key."""
    return f"{ANYBODY}{key}" if key.startswith("@") else key


def _learn(read: Read, keys: list[str]) -> None:
    """Let tables that can't be listed answer for all of them at once."""
    asked = [*map(_probe, keys), *filter(None, map(_extended, keys))]
    for table, _ in _sender_tables(read):
        if table.learn is not None:
            table.learn(asked)


def _named(read: Read) -> set[str]:
    """The addresses for which sender_dependent_default_transport_maps has a row of its own.

    Postfix asks all tables for the whole address before any for the domain, so that such a row
    would overrule the link of the domain.
    """
    keys = (key for table in read.transports for key in table.keys)
    addresses = (a for key in keys for a in _addresses(key, read, hosts=False))
    return {f"{normal_local(a.local)}@{normal_domain(a.domain)}" for a in addresses if a.local}


def _choose(found: Links, way: Callable[[Route], Way | Odd], named: set[str]) -> None:
    """Link what goes another way than it would without a link, the least precise first."""
    below = _descendants(found.routes)
    for key, route in found.routes.items():
        above = next((k for k in _above(key) if k in found.ways), None)
        if route == (found.routes[above] if above else found.default):
            if above and key in named:
                found.ways[key] = found.ways[above]
            continue
        own = way(route)
        if isinstance(own, Odd):
            found.remarks.append(
                Remark(f"not imported, stays as it is: {own.why}", _at(key, route), keeps=True)
            )
            continue
        strays = [k for k in below.get(key, ()) if _strays(found.routes[k], route, way)]
        if strays:
            found.remarks.append(_withheld(_at(key, route), strays, way(found.routes[strays[0]])))
            continue
        found.ways[key] = own


def _descendants(keys: Iterable[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in keys:
        for above in _above(key):
            found.setdefault(above, []).append(key)
    return found


def _above(key: str) -> list[str]:
    """The less precise keys of the same domain, the nearest first."""
    local, _, domain = key.rpartition("@")
    if not local:
        return []
    return [k for k in lookup_keys(Address(local, domain)) if k != key and not k.startswith("@.")]


def _strays(route: Route, above: Route, way: Callable[[Route], Way | Odd]) -> bool:
    """Whether a more precise key goes a way of its own that no link can say."""
    return route != above and isinstance(way(route), Odd)


def _withheld(where: str, strays: list[str], first: Way | Odd) -> Remark:
    more = f" and {len(strays) - 1} more" if len(strays) > 1 else ""
    why = first.why if isinstance(first, Odd) else ""
    text = (
        f"not imported, stays as it is: {strays[0]}{more} would have to be left out of it ({why})"
    )
    return Remark(text, where, keeps=True)


def _at(key: str, route: Route) -> str:
    return f"{key} ({route.where})" if route.where else key


def _extended(key: str) -> str:
    """An address with an extension that no table names; '' where that makes no sense."""
    local, _, domain = key.rpartition("@")
    return f"{local}+{ANYBODY}@{domain}" if local and "+" not in local else ""


def _overruling(read: Read, found: Links) -> None:
    """Say it of tables that may know whole addresses, which count before a domain's link."""
    domains = [key for key in found.ways if key.startswith("@")]
    for table in read.transports:
        if (table.pattern or table.learn is not None) and domains:
            found.remarks.append(
                Remark(
                    "is asked for whole addresses, and so overrules links of domains as long as it "
                    "stands in main.cf",
                    f"sender_dependent_default_transport_maps {table.name}",
                )
            )


def _extensions(read: Read, found: Links) -> None:
    """Say it where Postfix would send user+extension elsewhere than user."""
    for key in found.ways:
        address = _extended(key)
        if address and route_of(read, address) != found.routes[key]:
            found.remarks.append(
                Remark(
                    "with an extension (user+x@domain) this address went another way, since "
                    "patterns and tables are asked for the whole address; a link counts for both",
                    key,
                )
            )


def _null_sender(read: Read, found: Links) -> None:
    """The null sender is no link; there is a default of its own for it."""
    route = route_of(read, "")
    if route == found.default or not any(NULL_KEY in t.keys for t, _ in _sender_tables(read)):
        return
    found.remarks.append(
        Remark(
            f"null-sender mail goes to {route.nexthop or 'its own servers'}, and still does; a "
            "live connector can take it: `pointsman connector default NAME --null-sender`",
            f"{NULL_KEY} ({route.where})",
            keeps=True,
        )
    )
