"""What a book becomes by an imported document: pure but for the seal of new secrets."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pointsman.errors import PointsmanError
from pointsman.routing.snapshot import DEFAULT_AGENCY
from pointsman.store.book import PLACES, Book
from pointsman.store.difference import secret_fields
from pointsman.store.document import Document
from pointsman.store.export import SETTINGS
from pointsman.store.fields import check_values, settings
from pointsman.store.modes import LOGINS
from pointsman.store.passphrase import Secrets as Texts
from pointsman.store.records import Agency, Connector, Diversion
from pointsman.store.secrets import KeyFileError, Secrets


def merged(
    book: Book, document: Document, texts: Texts, keys: Secrets, *, replacing: bool
) -> tuple[Book, list[str]]:
    """The book with the document's records, and what a person must know of it.

    A record of the document replaces the one of its name. What the document has not stays,
    unless `replacing`. A connector that is not known yet, and whose secrets are not either,
    is new: it takes no mail before it has them and is enabled.
    """
    notes: list[str] = []
    places: dict[str, Any] = {}
    for kind, place in PLACES.items():
        kept = {} if replacing else dict(getattr(book, place))
        places[place] = kept | document.records[kind]
    if DEFAULT_AGENCY not in places[PLACES[Agency]]:
        places[PLACES[Agency]][DEFAULT_AGENCY] = book.agencies[DEFAULT_AGENCY]
    waiting: set[str] = set()
    for name, connector in document.records[Connector].items():
        found, lacking = _with_secrets(
            connector,
            book.connectors.get(name),
            document.secrets.get(name, []),
            texts.get(name, {}),
            keys,
        )
        places[PLACES[Connector]][name] = found
        if lacking:
            waiting.add(name)
            notes.append(_lacks(name, lacking))
    for name, diversion in document.records[Diversion].items():
        if waiting & {name, diversion.to}:
            del places[PLACES[Diversion]][name]
            notes.append(f"connector {name} is not diverted to {diversion.to}: one of them is new")
    values, unset = _settings(book, document, waiting, replacing=replacing)
    return replace(book, settings=values, **places), [*notes, *unset]


def _with_secrets(
    new: Connector, old: Connector | None, named: list[str], texts: Mapping[str, str], keys: Secrets
) -> tuple[Connector, list[str]]:
    """The connector with the secrets that it should have, and the names of those not known."""
    found: dict[str, Any] = {}
    lacking = []
    needed = [name for name in LOGINS[new.auth] if name in secret_fields(new)]
    for name in dict.fromkeys([*named, *needed]):
        kept = getattr(old, name) if old is not None and old.auth == new.auth else ""
        if name in texts:
            text = check_values(Connector, {name: str(texts[name])})[name]
            found[name] = kept if kept and _opens_to(keys, kept, text) else keys.seal(text)
        elif kept:
            found[name] = kept
        else:
            lacking.append(name)
    if lacking and new.state != "new":
        if old is not None and old.state != "new":
            raise PointsmanError(
                f"connector {new.name} is {old.state}, and would log in by {new.auth} without "
                f"{_options(lacking)}: give that by `connector set` first"
            )
        found["state"] = "new"
    return replace(new, **found), lacking


def _opens_to(keys: Secrets, sealed: str, text: str) -> bool:
    """Whether a secret is known already; one whose key is lost is not."""
    try:
        return keys.unseal(sealed) == text
    except KeyFileError:
        return False


def _options(names: list[str]) -> str:
    fields = settings(Connector)
    return " and ".join(fields[name][0].option(name) for name in names)


def _lacks(name: str, lacking: list[str]) -> str:
    return (
        f"connector {name} is new, as its secrets are not known here: run `pointsman connector "
        f"set {name}` with {_options(lacking)}, then `pointsman connector enable {name}`"
    )


def _settings(
    book: Book, document: Document, waiting: set[str], *, replacing: bool
) -> tuple[dict[str, Any], list[str]]:
    """The settings; none may name a connector that waits for its secrets."""
    values = dict(book.settings)
    notes = []
    for name in SETTINGS:
        if replacing and name not in document.settings:
            values.pop(name, None)
        elif document.settings.get(name) in waiting:
            notes.append(
                f"setting {name} stays as it is, as connector {document.settings[name]} is new"
            )
        elif name in document.settings:
            values[name] = document.settings[name]
    return values, notes
