"""Which senders need a link, so that each one's mail takes the way it took before. Pure.

A link is made only if no mail changes its way by it: a domain of which one address goes a way
that can't be expressed is not linked as a whole.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pointsman.errors import UsageError
from pointsman.importing.named import ANYBODY, candidates, extended, sender_tables
from pointsman.importing.read import Odd, Read, Remark
from pointsman.importing.routes import NULL_KEY, Route, route_of
from pointsman.importing.tables import find_address
from pointsman.importing.ways import Way, way_of
from pointsman.routing.address import Address, lookup_keys
from pointsman.store.checks import checked_sender

TRANSPORTS = "sender_dependent_default_transport_maps"
ANSWERS_ALL = (
    "answers for everybody: linked senders take their connectors all the same, but a default relay "
    "of yours would get nothing; take it out of main.cf before `pointsman connector default`"
)
_NOWHERE = "import.pointsman.invalid"


@dataclass
class Links:
    """What was found out: a way for each link, and what there is to say."""

    default: Route
    addresses: Mapping[str, str]  # of each sender that was looked at, to ask for
    routes: Mapping[str, Route]  # of the same
    ways: dict[str, Way] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)


def links_of(read: Read) -> Links:
    """Look at every sender that a table names, and at what else is in its domain."""
    addresses = candidates(read)
    _learn(read, addresses.values())
    routes = {key: route_of(read, address) for key, address in addresses.items()}
    found = Links(route_of(read, f"{ANYBODY}@{_NOWHERE}"), addresses, routes)
    _choose(found, _expressed(read, routes))
    _overruling(read, found)
    _extensions(read, found)
    _null_sender(read, found)
    return found


def _learn(read: Read, addresses: Iterable[str]) -> None:
    """Let tables that can't be listed answer for all of them at once."""
    asked = [text for address in addresses for text in (address, extended(address)) if text]
    for table, _ in sender_tables(read):
        if table.learn is not None:
            table.learn(asked)


def _expressed(read: Read, routes: Mapping[str, Route]) -> dict[str, Way | Odd]:
    """What a link of each sender would have to say."""
    ways = {route: way_of(read, route) for route in set(routes.values())}
    return {key: _refused(key) or ways[route] for key, route in routes.items()}


def _refused(key: str) -> Odd | None:
    try:
        checked_sender(key)
    except UsageError as error:
        return Odd(str(error))
    return None


def _choose(found: Links, said: Mapping[str, Way | Odd]) -> None:
    """Link what goes another way than it would without a link, the least precise first."""
    below = _descendants(found.routes)
    for key, route in found.routes.items():
        above = next((k for k in _above(key) if k in found.ways), None)
        if route == (found.routes[above] if above else found.default):
            continue
        own = said[key]
        strays = [
            (k, odd.why)
            for k in below.get(key, ())
            if found.routes[k] != route and isinstance(odd := said[k], Odd)
        ]
        if not isinstance(own, Odd) and not strays:
            found.ways[key] = own
            continue
        why = own.why if isinstance(own, Odd) else _withheld(strays)
        text = f"not imported, stays as it is: {why}"
        found.remarks.append(Remark(text, _at(key, route), keeps=True))


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


def _withheld(strays: list[tuple[str, str]]) -> str:
    """Of a domain, or of an address with extensions: who would be taken along by its link."""
    (key, why), more = strays[0], len(strays) - 1
    others = f" and {more} more" if more else ""
    return f"{key}{others} would have to be left out of it ({why})"


def _at(key: str, route: Route) -> str:
    return f"{key} ({route.where})" if route.where else key


def _overruling(read: Read, found: Links) -> None:
    """Say it of tables that can't be listed: what else they know, a link may overrule."""
    domains = [key for key in found.ways if key.startswith("@")]
    for table in read.transports:
        if find_address((table,), f"{ANYBODY}@{_NOWHERE}", read.local):
            found.remarks.append(Remark(ANSWERS_ALL, f"{TRANSPORTS} {table.name}"))
        elif domains and (table.pattern or table.learn is not None):
            text = "may know more addresses of linked domains: these take the domain's connector"
            found.remarks.append(Remark(text, f"{TRANSPORTS} {table.name}"))


def _extensions(read: Read, found: Links) -> None:
    """Say it where Postfix would send user+extension elsewhere than user."""
    for key in found.ways:
        address = extended(found.addresses[key])
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
    if route == found.default or not any(NULL_KEY in t.keys for t, _ in sender_tables(read)):
        return
    found.remarks.append(
        Remark(
            f"null-sender mail goes to {route.nexthop or 'its own servers'}, and still does; a "
            "live connector can take it: `pointsman connector default NAME --null-sender`",
            f"{NULL_KEY} ({route.where})",
            keeps=True,
        )
    )
