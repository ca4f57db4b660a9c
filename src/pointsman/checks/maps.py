"""Reads lookup tables of an admin's, as far as they can be listed."""

import re
from collections.abc import Iterator
from pathlib import Path

from pointsman.checks.facts import Row
from pointsman.postfix.conf import Instance, PostfixError

_MADE = ("hash", "btree", "lmdb", "cdb", "dbm", "sdbm")  # by postmap
_LINES = ("texthash", "cidr")
_PATTERNS = ("pcre", "regexp")
_PATTERN = re.compile(r"(!?(\W)(?:\\.|(?!\2).)*\2\w*)\s+(.*)", re.DOTALL)
MOST = 100_000  # rows


def rows(instance: Instance, item: str) -> tuple[Row, ...] | None:
    """The rows of one table; None for one that can only be asked."""
    item = item.removeprefix("proxy:")
    kind, colon, name = item.partition(":")
    if not colon:
        return tuple(_plain(Path(item))) if item.startswith("/") else ()
    if kind == "inline" or name.startswith("{"):
        pairs = re.findall(r"\{?\s*([^\s={},]+)\s*=\s*([^{},]*)", name)
        return tuple(Row(f"{item}: {key}", key, value.strip()) for key, value in pairs)
    if kind == "static":
        return (Row(item, "*", name),)
    if kind in _LINES:
        return tuple(_words(Path(name)))
    if kind in _PATTERNS:
        return tuple(_patterns(Path(name)))
    return _made(instance, item, name) if kind in _MADE else None


def _made(instance: Instance, item: str, name: str) -> tuple[Row, ...] | None:
    try:
        lines = instance.run("postmap", "-s", item).splitlines()
    except PostfixError:
        return None
    pairs = (line.partition("\t") for line in lines[:MOST])
    return tuple(Row(f"{name}: {key}", key, value.strip(), item) for key, _, value in pairs)


def _logical(path: Path) -> Iterator[tuple[str, str]]:
    """Lines with where they begin; one that begins with a blank goes on (postmap(1))."""
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    where, text = "", ""
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t":
            text += " " + line.strip()
            continue
        if text:
            yield where, text
        where, text = f"{path}:{number}", line.strip()
    if text:
        yield where, text


def _plain(path: Path) -> Iterator[Row]:
    for where, text in _logical(path):
        yield from (Row(where, word, "") for word in re.split(r"[\s,]+", text) if word)


def _words(path: Path) -> Iterator[Row]:
    for where, text in _logical(path):
        key, *value = text.split(None, 1)
        yield Row(where, key, *value or [""])


def _patterns(path: Path) -> Iterator[Row]:
    for where, text in _logical(path):
        found = _PATTERN.match(text)
        if found:
            yield Row(where, found[1], found[3].strip())
