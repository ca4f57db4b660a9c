"""What an import would make: agencies, connectors and senders, and what it can't. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from pointsman.importing.links import links_of
from pointsman.importing.read import Odd, Read, Remark
from pointsman.importing.tables import find_address
from pointsman.importing.ways import Way, way_of
from pointsman.rates.rate import UNLIMITED
from pointsman.routing.snapshot import DEFAULT_AGENCY, NONE, POSTFIX
from pointsman.store.book import Book
from pointsman.store.checks import checked_sender, split_host
from pointsman.store.fields import settings
from pointsman.store.records import Agency, Connector, Sender

NAME_LENGTH = 30
LOGINS_SHOWN = 10
# What makes two connectors one way: not what an admin may tune without changing the way.
_SAME = set(settings(Connector)) - {
    "preset", "processes", "envelope", "rate", "backlog", "description",
}  # fmt: skip


@dataclass(frozen=True)
class Sealing:
    """How passwords are sealed, and compared with sealed ones."""

    seal: Callable[[str], str]
    unseal: Callable[[str], str]


@dataclass
class Proposal:
    """What would be added, in order; `known` links are there already."""

    agencies: list[Agency] = field(default_factory=list)
    connectors: list[Connector] = field(default_factory=list)
    senders: list[Sender] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    known: int = 0
    staged: list[str] = field(default_factory=list)  # connectors that wait to be enabled
    default: str = ""  # the connector of mail that no link matches, if one was asked for


def propose(read: Read, book: Book, sealing: Sealing, *, default: bool = False) -> Proposal:
    """Make records of all that can be expressed; what is there already stays as it is."""
    links = links_of(read)
    found = Proposal(remarks=[*read.remarks, *links.remarks])
    maker = _Maker(read, book, sealing, found)
    if default:
        maker.default(way_of(read, links.default))
    for key, way in links.ways.items():
        maker.link(key, way)
    maker.tell_who_may_send()
    return found


@dataclass
class _Maker:
    """Makes records one by one, names unique among what is there and what is made."""

    read: Read
    book: Book
    sealing: Sealing
    found: Proposal
    ways: dict[Way, str] = field(default_factory=dict)  # those that have a connector
    agencies: dict[str, str] = field(init=False)  # by domain
    named: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        linked = self.book.senders.values()
        self.agencies = {s.key.rpartition("@")[2]: s.agency for s in linked}

    def default(self, way: Way | Odd) -> None:
        """Make a connector of what the default relay is now."""
        if isinstance(way, Odd):
            self.found.remarks.append(
                Remark(f"no connector is made of it: {way.why}", "default relay")
            )
        else:
            self.found.default = self.connector(way)

    def link(self, text: str, way: Way) -> None:
        """Link one sender, unless it is linked already."""
        key = checked_sender(text)
        old = self.book.senders.get(key)
        if old is not None:
            self._compare(old, way)
            return
        agency = self.agency(key.rpartition("@")[2])
        self.found.senders.append(Sender(key, agency, self.connector(way)))

    def _compare(self, old: Sender, way: Way) -> None:
        name = self._there(way)
        if old.ways == [name]:
            self.found.known += 1
            self._stage(name)
            return
        self.found.remarks.append(
            Remark(
                f"is linked to {', '.join(old.ways)} already, which is another way than "
                f"{', '.join(way.hosts)}{_as_whom(way)}: the link stays as it is",
                old.key,
            )
        )

    def connector(self, way: Way) -> str:
        """The name of the connector for a way: one that is there, or a new one."""
        name = self._there(way) or self._new_connector(way)
        self._stage(name)
        return name

    def _there(self, way: Way) -> str:
        if way not in self.ways:
            known = self.book.connectors.values()
            self.ways[way] = next((c.name for c in known if self._is(c, way)), "")
        return self.ways[way]

    def _is(self, connector: Connector, way: Way) -> bool:
        mine = way.connector(connector.name, lambda text: text)
        password = self.sealing.unseal(connector.password) if connector.password else ""
        theirs = replace(connector, password=password)
        same = [getattr(mine, n) == getattr(theirs, n) for n in _SAME if n != "hosts"]
        return mine.addresses == theirs.addresses and all(same)

    def _new_connector(self, way: Way) -> str:
        taken = {POSTFIX, NONE, *self.book.connectors, *self.ways.values()}
        host = split_host(way.hosts[0])[0]
        stems = [host, f"{host}-{way.username.partition('@')[0]}"] if way.username else [host]
        name = _unique(stems, taken)
        self.ways[way] = name
        self.found.connectors.append(way.connector(name, self.sealing.seal))
        self.found.remarks += [Remark(note, f"connector {name}") for note in way.notes]
        return name

    def _stage(self, name: str) -> None:
        there = self.book.connectors.get(name)
        if name not in self.found.staged and (there is None or there.state != "live"):
            self.found.staged.append(name)

    def agency(self, domain: str) -> str:
        """The agency of a domain: that of its other links, or one named after it."""
        if domain not in self.agencies:
            self.agencies[domain] = self._new_agency(domain)
        elif self.agencies[domain] in self.book.agencies:
            self._note_agency(self.book.agencies[self.agencies[domain]])
        return self.agencies[domain]

    def _note_agency(self, there: Agency) -> None:
        who = "any client" if there.any_client else ", ".join((*there.logins, *there.networks))
        note = Remark(
            f"is there already and stays as it is: its rate is {there.rate}, and {who} may send "
            "for it; that counts for what is linked to it now",
            f"agency {there.name}",
        )
        if note not in self.found.remarks:
            self.found.remarks.append(note)

    def _new_agency(self, domain: str) -> str:
        taken = {DEFAULT_AGENCY, *self.book.agencies, *self.agencies.values()}
        name = _unique([domain], taken)
        note = f"imported: {domain}"
        self.found.agencies.append(Agency(name, any_client=True, rate=UNLIMITED, description=note))
        return name

    def tell_who_may_send(self) -> None:
        """Name the logins of each new agency, where they are known: nothing is refused yet."""
        new = {agency.name for agency in self.found.agencies}
        logins: dict[str, set[str]] = {}
        for sender in self.found.senders:
            if sender.agency in new:
                logins.setdefault(sender.agency, set()).update(self._owners(sender.key))
        for agency, known in logins.items():
            if known:
                self.found.remarks.append(_who_may_send(agency, sorted(known)))

    def _owners(self, key: str) -> Iterator[str]:
        """Who may send as an address, or as any that is named of a domain."""
        keys = self._named().get(key[1:], []) if key.startswith("@") else [key]
        for address in keys:
            owners = find_address(self.read.logins, address, self.read.local)
            yield from filter(None, re.split(r"[\s,]+", owners.value)) if owners else ()

    def _named(self) -> dict[str, list[str]]:
        """The addresses that tables of logins name, by domain."""
        if not self.named:
            for key in (key for table in self.read.logins for key in table.keys):
                local, _, domain = key.rpartition("@")
                self.named.setdefault(domain if local else "", []).append(key)
        return self.named


def _who_may_send(agency: str, logins: list[str]) -> Remark:
    options = " ".join(f"--login {login}" for login in logins[:LOGINS_SHOWN])
    more = len(logins) - LOGINS_SHOWN
    return Remark(
        "any client may send for it, as before; the logins that own its addresses: "
        f"`pointsman agency set {agency} --no-any-client {options}`"
        f"{f' (and {more} more)' if more > 0 else ''}",
        f"agency {agency}",
    )


def _as_whom(way: Way) -> str:
    return f" as {way.username}" if way.username else ""


def _unique(stems: list[str], taken: Iterable[str]) -> str:
    """The first name that is free, made of letters, digits and `-`."""
    return next(name for name in _names(stems) if name not in taken)


def _names(stems: list[str]) -> Iterator[str]:
    slugs = [_slug(stem) for stem in stems]
    yield from slugs
    number = 2
    while True:
        ending = f"-{number}"
        yield slugs[-1][: NAME_LENGTH - len(ending)].rstrip("-") + ending
        number += 1


def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return slug[:NAME_LENGTH].strip("-") or "imported"
