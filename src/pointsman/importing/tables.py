"""Postfix's lookup tables, and the order in which Postfix asks them. Pure.

What a table answers comes from Postfix itself (postfix.py) or from a dump (mailcow.py,
iredmail.py); only the order of the keys is ours to know.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pointsman.routing.address import Address, split_address

Ask = Callable[[str], str | None]


@dataclass(frozen=True)
class Table:
    """One table: what it answers, and as many of its keys as can be listed."""

    name: str
    ask: Ask
    keys: tuple[str, ...] = ()
    pattern: bool = False  # asked for whole keys alone, not for parts of an address
    learn: Callable[[Iterable[str]], None] | None = None  # asks for many keys at once


@dataclass(frozen=True)
class Found:
    """An answer, and who gave it."""

    value: str
    table: str
    key: str

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.table}: {self.key}"


@dataclass(frozen=True)
class Local:
    """What a bare name in a table may stand for, and where an extension begins."""

    domains: frozenset[str] = frozenset()
    delimiter: str = ""


def fixed(name: str, entries: Mapping[str, str]) -> Table:
    """A table of fixed strings, which Postfix keeps and asks in lower case."""
    folded = {key.lower(): value for key, value in entries.items()}
    return Table(name, lambda key: folded.get(key.lower()), tuple(folded))


def constant(name: str, value: str) -> Table:
    """`static:`, which answers any key."""
    return Table(name, lambda _key: value)


def find(tables: Iterable[Table], key: str, *, whole: bool = True) -> Found | None:
    """The first table's answer to one key; patterns are not asked for parts (maps(3))."""
    for table in tables:
        value = table.ask(key) if whole or not table.pattern else None
        if value is not None:
            return Found(value, table.name, key)
    return None


def find_address(tables: tuple[Table, ...], address: str, local: Local) -> Found | None:
    """What Postfix finds for an address: each key in all tables, then the next key.

    The whole address, without extension, the bare name where the domain is local, @domain
    (mail_addr_find(3)).
    """
    for key, whole in _keys(address, local):
        found = find(tables, key, whole=whole)
        if found:
            return found
    return None


def _keys(address: str, local: Local) -> Iterator[tuple[str, bool]]:
    parts = split_address(address)
    name, domain = parts.local, parts.domain
    at = next((i for i, letter in enumerate(name) if letter in local.delimiter and i > 0), 0)
    names = [name, name[:at]] if at else [name]
    for whole, text in zip((True, False), names, strict=False):
        # With quotes, as RFC 5321 wants it, and as older tables have it (postconf(5), 3.2).
        for spelled in dict.fromkeys((str(Address(text, domain)), f"{text}@{domain}")):
            yield spelled, whole
    if domain in local.domains:
        yield from ((text, False) for text in names)
    yield f"@{domain}", False
