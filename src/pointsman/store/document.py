"""Reads the file of `pointsman export`, maybe edited: each value checked, each error with its line.

Every scalar is taken as it is written (`no` is a name, not a boolean) and read as its field's
type. Nothing is made of the file but records.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import yaml

from pointsman.errors import UsageError
from pointsman.routing.snapshot import NONE, POSTFIX
from pointsman.store import nodes
from pointsman.store.book import NOUNS, PLACES, Book
from pointsman.store.checks import checked_name, checked_sender, checked_text
from pointsman.store.difference import SETTING, check_record
from pointsman.store.export import FORMAT, SECRETS, SETTINGS
from pointsman.store.fields import MOST, check_values, settings
from pointsman.store.records import Agency, Connector, Diversion, Pause, Sender
from pointsman.store.tables import KEYS
from pointsman.strict import composed

_PLAIN = re.compile(r"tag:yaml\.org,2002:(str|int|float|bool|null|timestamp|value|map|seq)")
_FLAGS = {"true": True, "yes": True, "false": False, "no": False}
_KINDS = {noun: kind for kind, noun in NOUNS.items()}
STATES = ("new", "live", "disabled")


@dataclass
class Document:
    """What a file says."""

    revision: int = 0
    at: str = ""
    host: str = ""
    records: dict[type, dict[str, Any]] = field(default_factory=lambda: {k: {} for k in PLACES})
    secrets: dict[str, list[str]] = field(default_factory=dict)  # of each connector
    settings: dict[str, str] = field(default_factory=dict)
    locked: Mapping[str, str] | None = None
    lines: dict[tuple[str, str], int] = field(default_factory=dict)  # of each noun and name


def document(raw: bytes) -> Document:
    """Read and check the whole file; raises UsageError, or YamlError for what is no YAML."""
    root = composed(raw)
    if root is None:
        raise UsageError("it is empty")
    found = Document()
    known = {place: kind for kind, place in PLACES.items()}
    for name, key, node in nodes.pairs(root):
        if name in known:
            _read_records(found, known[name], node)
        elif name in _HEAD:
            _HEAD[name](found, node)
        else:
            raise nodes.unknown(key, name, [*_HEAD, *known])
    if "pointsman" not in (name for name, _, _ in nodes.pairs(root)):
        raise UsageError(f"it does not begin with `pointsman: {FORMAT}`, as exported files do")
    return found


def check_document(found: Document, book: Book) -> None:
    """Refuse records whose values do not go together, as they are in the book; with the line."""
    for (noun, name), line in found.lines.items():
        kind = _KINDS.get(noun)
        if kind is not None:
            try:
                check_record(getattr(book, PLACES[kind])[name])
            except UsageError as error:
                raise nodes.LineError(line, error) from None


def _read_records(found: Document, kind: type, node: yaml.Node) -> None:
    for spelled, key, values in nodes.pairs(node):
        with_line = nodes.OnLine(key)
        name = with_line(_NAMES[kind], spelled)
        if name in found.records[kind]:
            raise nodes.LineError(nodes.line_of(key), f"{NOUNS[kind]} {name} is there twice")
        found.lines[NOUNS[kind], name] = nodes.line_of(key)
        found.records[kind][name] = _record(found, kind, name, key, values)


def _record(found: Document, kind: type, name: str, key: yaml.Node, node: yaml.Node) -> Any:
    known = {f.name: f for f in dataclasses.fields(kind) if f.name != KEYS[kind]}
    secret = [n for n, (s, _) in settings(kind).items() if s.secret]
    values: dict[str, Any] = {}
    for spelled, where, value in nodes.pairs(node):
        if spelled in secret:
            raise nodes.LineError(
                nodes.line_of(where),
                f"{spelled} does not stand here in the clear: name it in `{SECRETS}: "
                f"[{spelled}]`, and give it by `connector set`",
            )
        if secret and spelled == SECRETS:
            found.secrets[name] = [nodes.one_of(n, secret) for n in nodes.items(value)]
        elif spelled in known:
            values[spelled] = _value(kind, known[spelled], value)
        else:
            raise nodes.unknown(where, spelled, [*known, *([SECRETS] if secret else [])])
    for needed in known.values():
        if needed.default is dataclasses.MISSING and needed.name not in values:
            raise nodes.LineError(nodes.line_of(key), f"{NOUNS[kind]} {name} needs {needed.name}")
    return kind(**{KEYS[kind]: name}, **values)


def _value(kind: type, field: dataclasses.Field[Any], node: yaml.Node) -> Any:
    """A field's value, read as its type and checked as on the command line."""
    with_line = nodes.OnLine(node)
    if isinstance(field.default, bool):
        return nodes.flag(node)
    if isinstance(field.default, int):
        return nodes.number(node, 1, MOST)
    value: Any
    if isinstance(field.default, tuple):
        value = tuple(filter(None, map(nodes.text, nodes.items(node))))
    else:
        value = nodes.text(node)
    if field.name in settings(kind):
        return with_line(lambda v: check_values(kind, {field.name: v})[field.name], value)
    return with_line(_OTHERS[field.name], value)


# -- what has no declared field


def _checked_moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(f"{text!r} is not a moment: write 2026-11-21T12:00:00+00:00")
    return text


def _checked_end(text: str) -> str:
    return _checked_moment(text) if text else ""


def _checked_state(text: str) -> str:
    if text not in STATES:
        raise UsageError(f"{text!r}: choose from {', '.join(STATES)}")
    return text


def _checked_ways(text: str) -> str:
    return " ".join(dict.fromkeys(checked_name(name) for name in text.split()))


def _checked_paused(text: str) -> str:
    noun, _, name = text.partition(" ")
    if noun not in ("agency", "connector"):
        raise UsageError(f"{text!r}: a pause is of `agency NAME` or `connector NAME`")
    return f"{noun} {checked_name(name)}"


_OTHERS: dict[str, Callable[[str], str]] = {
    "agency": checked_name,
    "connectors": _checked_ways,
    "state": _checked_state,
    "to": checked_name,
    "who": checked_text,
    "reason": checked_text,
    "at": _checked_moment,
    "until": _checked_end,
}
_NAMES: dict[type, Callable[[str], str]] = {
    Agency: checked_name,
    Connector: lambda name: checked_name(name, (POSTFIX, NONE)),
    Sender: checked_sender,
    Pause: _checked_paused,
    Diversion: checked_name,
}


# -- the head


def _read_format(_found: Document, node: yaml.Node) -> None:
    if nodes.text(node) != str(FORMAT):
        raise nodes.LineError(
            nodes.line_of(node), f"this version reads format {FORMAT}, not {nodes.text(node)!r}"
        )


def _read_revision(found: Document, node: yaml.Node) -> None:
    found.revision = nodes.number(node, 0, 2**31 - 1)


def _read_at(found: Document, node: yaml.Node) -> None:
    found.at = nodes.text(node)


def _read_host(found: Document, node: yaml.Node) -> None:
    found.host = nodes.text(node)


def _read_settings(found: Document, node: yaml.Node) -> None:
    for name, key, value in nodes.pairs(node):
        if name not in SETTINGS:
            raise nodes.unknown(key, name, SETTINGS)
        text = nodes.text(value)
        if not (name == "null_sender" and not text):
            nodes.OnLine(value)(checked_name, text)
        found.settings[name] = text
        found.lines[SETTING, name] = nodes.line_of(key)


def _read_secrets(found: Document, node: yaml.Node) -> None:
    found.locked = {name: nodes.text(value) for name, _, value in nodes.pairs(node)}


_HEAD: dict[str, Callable[[Document, yaml.Node], None]] = {
    "pointsman": _read_format,
    "revision": _read_revision,
    "at": _read_at,
    "host": _read_host,
    "settings": _read_settings,
    SECRETS: _read_secrets,
}
