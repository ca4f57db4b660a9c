"""Reads what this Postfix does with recipients and senders besides us.

Needed where Postfix doesn't tell the milter a recipient's transport, and before
FILTER, which would move every recipient of a message.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pointsman.postfix.conf import Instance
from pointsman.postfix.maps import ITEM, entries
from pointsman.routing.address import AddressError, normal_domain, split_address
from pointsman.routing.snapshot import Surroundings

_DOMAIN_LISTS = ("mydestination", "virtual_mailbox_domains", "relay_domains")
_ALIAS_MAPS = ("virtual_alias_maps", "canonical_maps", "recipient_canonical_maps")
_COPY_MAPS = ("always_bcc", "recipient_bcc_maps", "sender_bcc_maps")
_REWRITES = ("sender_canonical_maps", "canonical_maps", "masquerade_domains")
_BY_SENDER = ("sender_dependent_relayhost_maps", "sender_dependent_default_transport_maps")
_OTHERS = (
    "myorigin",
    "relayhost",
    *_BY_SENDER,
    "transport_maps",
    "virtual_alias_domains",
    "canonical_classes",
    "sender_canonical_classes",
    "masquerade_classes",
)
_MAX_KEYS = 100_000


@dataclass
class _Found:
    """What the maps say, while it is being gathered."""

    domains: set[str] = field(default_factory=set)
    parents: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    unlisted: list[str] = field(default_factory=list)


def read(instance: Instance, default_transport: str, ours: Path) -> Surroundings:
    """Ask postconf(1) and list the maps that can be listed; `ours` is our tables' folder."""
    names = {*_DOMAIN_LISTS, *_ALIAS_MAPS, *_COPY_MAPS, *_REWRITES, *_OTHERS}
    values = instance.parameters(*sorted(names))
    maps = _Maps(instance, ours)
    found = _Found()
    for name in _DOMAIN_LISTS:
        _add_domains(found, maps, values[name], with_subdomains=name == "relay_domains")
    _add_aliases(found, maps, values)
    _add_transports(found, maps, values["transport_maps"])
    transport, _, nexthop = default_transport.partition(":")
    return Surroundings(
        myorigin=text_or_file(values["myorigin"]),
        transport=transport,
        nexthop=nexthop,
        relayhost=values["relayhost"],
        relayhost_varies=any(_others(values[name], ours) for name in _BY_SENDER),
        hosted=frozenset(found.domains),
        hosted_parents=frozenset(found.parents),
        aliased=frozenset(found.addresses),
        copies=any(values[name] for name in _COPY_MAPS),
        rewrites=_rewrites_senders(values),
        foreign=frozenset(_foreign_lanes(instance, ours)),
        unlisted=tuple(dict.fromkeys(found.unlisted)),
    )


def _foreign_lanes(instance: Instance, ours: Path) -> Iterator[str]:
    for entry in instance.services().values():
        name = entry.split()[0]
        if name.startswith("pm-") and str(ours) not in entry:
            yield name


def _others(value: str, ours: Path) -> list[str]:
    return [item for item in ITEM.findall(value) if str(ours) not in item]


def text_or_file(value: str) -> str:
    """What `myorigin` says, which may be in a file."""
    if not value.startswith("/"):
        return value
    try:
        return Path(value).read_text().split()[0]
    except (OSError, IndexError):
        return ""


def _rewrites_senders(values: dict[str, str]) -> bool:
    classes = {
        "canonical_maps": values["canonical_classes"],
        "sender_canonical_maps": values["sender_canonical_classes"],
        "masquerade_domains": values["masquerade_classes"],
    }
    return any(values[name] and "envelope_sender" in classes[name] for name in _REWRITES)


def _add_domains(found: _Found, maps: "_Maps", value: str, *, with_subdomains: bool) -> None:
    for key in maps.items(value, "domains", found.unlisted):
        if key.startswith("!"):
            continue
        if key.startswith(".") or with_subdomains:
            found.parents.add(normal_domain(key.removeprefix(".")))
        found.domains.add(normal_domain(key))


def _add_aliases(found: _Found, maps: "_Maps", values: dict[str, str]) -> None:
    """Virtual alias domains are hosted; any other key may move an outbound recipient."""
    listed = values["virtual_alias_domains"]
    for key in maps.items(listed, "domains", found.unlisted):
        if "@" not in key:
            found.domains.add(normal_domain(key))
    for name in _ALIAS_MAPS:
        for key in maps.items(values[name], "alias", found.unlisted):
            _add_address(found, key)


def _add_transports(found: _Found, maps: "_Maps", value: str) -> None:
    """What an admin's transport map sends somewhere is not ours to move."""
    for key in maps.items(value, "domains", found.unlisted):
        if key == "*":
            found.unlisted.append("domains:transport_maps *")
        elif "@" in key:
            _add_address(found, key)
        elif key.startswith("."):
            found.parents.add(normal_domain(key[1:]))
        else:
            found.domains.add(normal_domain(key))


def _add_address(found: _Found, key: str) -> None:
    try:
        address = split_address(key)
    except AddressError:
        return
    if address.domain and normal_domain(address.domain) not in found.domains:
        found.addresses.add(address.key if address.local else f"@{normal_domain(address.domain)}")


@dataclass
class _Maps:
    """Lists the keys of literal items, files and tables of fixed strings."""

    instance: Instance
    ours: Path

    def items(self, value: str, use: str, unlisted: list[str]) -> Iterator[str]:
        for item in ITEM.findall(value):
            kind, colon, _ = item.partition(":")
            if str(self.ours) in item:
                continue
            if item.startswith("/"):
                yield from _file_items(Path(item))
            elif not colon or kind.startswith(("[", "!")):
                yield item
            else:
                found = entries(self.instance, item)
                if found is None or len(found) > _MAX_KEYS:
                    unlisted.append(f"{use}:{item}")
                else:
                    yield from found


def _file_items(path: Path) -> Iterator[str]:
    yield from (word.rstrip(",") for word in _first_words(path))


def _first_words(path: Path) -> Iterable[str]:
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [line.split()[0] for line in lines if line[:1] not in ("", "#", " ", "\t")]
