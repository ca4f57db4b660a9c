"""Asks Postfix's own tables, in Postfix's own order, what they would do with a message.

For `explain`: not our model of Postfix, but `postmap -q` on the maps of main.cf
(trivial-rewrite(8), transport(5)).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pointsman.postfix.conf import Instance
from pointsman.postfix.maps import items
from pointsman.routing.address import Address, normal_domain, parse_path
from pointsman.routing.recipients import Recipient, is_hosted
from pointsman.routing.snapshot import Snapshot

# Tables of patterns are asked for the whole address only.
_PATTERNS = ("pcre:", "regexp:", "cidr:")
_HOSTED = "hosted"  # any transport that is not ours to move


@dataclass
class Lookup:
    """The maps of one instance, read once."""

    instance: Instance
    snapshot: Snapshot

    def __post_init__(self) -> None:
        self._values = self.instance.parameters(
            "sender_dependent_default_transport_maps",
            "transport_maps",
            "default_transport",
            "recipient_delimiter",
        )

    def sender(self, address: Address) -> tuple[str, str]:
        """The default transport for an envelope sender, and the key that said so."""
        maps = self._values["sender_dependent_default_transport_maps"]
        keys = ["<>"] if address.null else list(self._keys(address))
        for key, answer in self._ask(maps, keys):
            if answer != "DUNNO":
                return answer, key
            break
        return self._values["default_transport"], "default_transport"

    def recipient(self, path: str, sender: Address) -> Recipient:
        """A recipient with the transport that Postfix would give it at RCPT."""
        address = parse_path(path, self.snapshot.around.myorigin)
        domain = normal_domain(address.domain)
        keys = [*self._keys(address), *_domain_keys(domain)]
        mapped = next(iter(self._ask(self._values["transport_maps"], keys)), None)
        if mapped is not None:
            return _recipient(path, mapped[1], domain)
        if is_hosted(self.snapshot, domain):
            return Recipient(path, _HOSTED, "")
        answer = self.sender(sender)[0]
        relayhost = self.snapshot.around.relayhost
        return _recipient(path, answer, relayhost or domain)

    def _keys(self, address: Address) -> Iterator[str]:
        yield str(address)
        delimiter = self._values["recipient_delimiter"]
        base, found, _ = address.local.partition(delimiter) if delimiter else ("", "", "")
        if found and base:
            yield str(Address(base, address.domain))
        yield f"@{address.domain}"

    def _ask(self, maps: str, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Each key in turn in all maps, as Postfix does; patterns only for whole addresses."""
        tables = items(maps)
        for key in keys:
            whole = "@" in key[1:] or key == "<>"
            for table in tables:
                if table.startswith(_PATTERNS) and not whole:
                    continue
                answer = self.instance.query(table, key)
                if answer:
                    yield key, answer
                    break


def _domain_keys(domain: str) -> Iterator[str]:
    yield domain
    parent = domain
    while "." in parent:
        parent = parent.partition(".")[2]
        yield f".{parent}"
    yield "*"


def _recipient(path: str, answer: str, fallback: str) -> Recipient:
    transport, _, nexthop = answer.partition(":")
    return Recipient(path, transport, nexthop or fallback)
