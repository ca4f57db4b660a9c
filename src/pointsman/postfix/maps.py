"""Lists what is in Postfix's lookup tables, where they can be listed."""

import re

from pointsman.postfix.conf import Instance, PostfixError

# An item of a list of tables; braces may hold blanks.
ITEM = re.compile(r"(?:\{(?:[^{}]|\{[^{}]*\})*\}|[^\s,{}])+")
LISTED = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm", "texthash")
_PAIR = re.compile(r"\{\s*([^={}]+?)\s*=\s*([^{}]*?)\s*\}|([^\s={},]+)\s*=\s*([^\s{},]*)")


def items(value: str) -> list[str]:
    """The tables of a list parameter."""
    return ITEM.findall(value)


def entries(instance: Instance, item: str) -> dict[str, str] | None:
    """All keys and values of a table of fixed strings; None for any other kind.

    `postmap -s` is Postfix's own reading of it; an inline table is in main.cf itself.
    """
    kind, _, name = item.removeprefix("proxy:").partition(":")
    if kind == "inline":
        found = [m.groups() for m in _PAIR.finditer(name[1:-1])]
        return {a or c: b or d or "" for a, b, c, d in found}
    if kind not in LISTED:
        return None
    try:
        lines = instance.run("postmap", "-s", f"{kind}:{name}").splitlines()
    except PostfixError:
        return None
    pairs = (line.partition("\t") for line in lines)
    return {key: value for key, _, value in pairs}
