"""The parts of a YAML tree, each read as what it should be, or refused with its line."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import yaml

from pointsman.errors import UsageError
from pointsman.nearest import meant

_PLAIN = re.compile(r"tag:yaml\.org,2002:(str|int|float|bool|null|timestamp|value|map|seq)")
_FLAGS = {"true": True, "yes": True, "false": False, "no": False}


class LineError(UsageError):
    """Something in the file is wrong."""

    def __init__(self, line: int, text: object) -> None:
        super().__init__(f"line {line}: {text}")


class OnLine:
    """Calls a check, and gives its error the line of a node."""

    def __init__(self, node: yaml.Node) -> None:
        self._line = line_of(node)

    def __call__(self, check: Callable[[Any], Any], value: Any) -> Any:
        """What the check makes of the value."""
        try:
            return check(value)
        except UsageError as error:
            raise LineError(self._line, error) from None


def line_of(node: yaml.Node) -> int:
    """Where it stands in the file, from 1."""
    return int(node.start_mark.line) + 1


def _plain(node: yaml.Node) -> yaml.Node:
    if not _PLAIN.fullmatch(node.tag):
        raise LineError(line_of(node), f"{node.tag!r}: tags are not allowed")
    return node


def pairs(node: yaml.Node) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
    """The keys and values of a mapping, each key also as a node."""
    if isinstance(_plain(node), yaml.ScalarNode) and node.value in ("", "~", "null"):
        return
    if not isinstance(node, yaml.MappingNode):
        raise LineError(line_of(node), "expected `key: value` lines")
    for key, value in node.value:
        yield text(key), key, value


def items(node: yaml.Node) -> list[yaml.Node]:
    """The parts of a list."""
    if not isinstance(_plain(node), yaml.SequenceNode):
        raise LineError(line_of(node), "expected a list: [one, two]")
    return list(node.value)


def text(node: yaml.Node) -> str:
    """A scalar as it is written."""
    if not isinstance(_plain(node), yaml.ScalarNode):
        raise LineError(line_of(node), "expected text, not a list or `key: value` lines")
    return str(node.value)


def flag(node: yaml.Node) -> bool:
    """True or false."""
    written = text(node)
    if written.lower() not in _FLAGS:
        raise LineError(line_of(node), f"expected true or false, not {written!r}")
    return _FLAGS[written.lower()]


def number(node: yaml.Node, least: int, most: int) -> int:
    """A whole number."""
    written = text(node)
    if not re.fullmatch(r"[0-9]{1,10}", written) or not least <= int(written) <= most:
        expected = f"expected a number from {least} to {most:,}"
        raise LineError(line_of(node), f"{expected}, not {written!r}")
    return int(written)


def one_of(node: yaml.Node, known: Iterable[str]) -> str:
    """One of some words."""
    written = text(node)
    if written not in known:
        raise unknown(node, written, known)
    return written


def unknown(node: yaml.Node, name: str, known: Iterable[str]) -> LineError:
    """What to say of a word that is not known, with the one that is probably meant."""
    known = list(known)
    hint = meant(name, known, f"known are {', '.join(known)}")
    return LineError(line_of(node), f"unknown key {name!r}; {hint}")
