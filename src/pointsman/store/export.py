"""The file of `pointsman export`: all that the admin manages, as YAML, in stable order.

The records' own fields say what is in it; what has its default is left out. A secret is
named, and its text is either left out or locked with a passphrase.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import yaml

from pointsman.routing.address import quote_local
from pointsman.store.book import PLACES, Book
from pointsman.store.difference import secret_fields
from pointsman.store.passphrase import Secrets
from pointsman.store.records import Change, Connector, Sender
from pointsman.store.secrets import Secrets as Keys
from pointsman.store.tables import KEYS

try:
    from yaml import CSafeDumper as Dumper
except ImportError:  # a PyYAML without libyaml, ten times as slow
    from yaml import SafeDumper as Dumper  # type: ignore[assignment]

FORMAT = 1
SETTINGS = ("default", "null_sender")  # the marker's tokens are this installation's own
SECRETS = "secrets"


def written(book: Book, made: Change | None, locked: Mapping[str, Any] | None = None) -> str:
    """The file's text; `made` is a change of the book's revision, to know it again by."""
    data: dict[str, Any] = {"pointsman": FORMAT, "revision": book.revision}
    if made is not None:
        data |= {"at": made.at, "host": made.host}
    for kind, place in PLACES.items():
        records = getattr(book, place)
        data[place] = {_spelled(kind, n): _values(kind, records[n]) for n in sorted(records)}
    data["settings"] = {name: book.settings[name] for name in SETTINGS if name in book.settings}
    data[SECRETS] = locked
    filled = {name: value for name, value in data.items() if value not in ({}, None)}
    return yaml.dump(filled, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1)


def _spelled(kind: type, name: str) -> str:
    """A name as the command line takes it: with the quotes that a sender's key has not."""
    if kind is not Sender:
        return name
    local, _, domain = name.rpartition("@")
    return f"{quote_local(local)}@{domain}" if local else name


def _values(kind: type, record: Any) -> dict[str, Any]:
    """What differs from the default; of secrets the names, in a list of their own."""
    secret = secret_fields(record)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        value = getattr(record, field.name)
        if field.name != KEYS[kind] and field.name not in secret and value != field.default:
            values[field.name] = list(value) if isinstance(value, tuple) else value
    kept = [name for name in secret if getattr(record, name)]
    return {**values, SECRETS: kept} if kept else values


def opened(book: Book, keys: Keys) -> Secrets:
    """The text of every secret."""
    found = {name: _texts(connector, keys) for name, connector in book.connectors.items()}
    return {name: texts for name, texts in found.items() if texts}


def _texts(connector: Connector, keys: Keys) -> dict[str, str]:
    kept = {name: getattr(connector, name) for name in secret_fields(connector)}
    return {name: keys.unseal(sealed) for name, sealed in kept.items() if sealed}


class _Dumper(Dumper):
    """Writes certificates line by line, and short lists in one line."""


def _text(dumper: Any, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    node: yaml.Node = dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)
    return node


def _list(dumper: Any, items: list[Any]) -> yaml.Node:
    node: yaml.Node = dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)
    return node


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
