"""The mailboxes of a From or Sender field, RFC 5322 3.4, in one pass and linear time.

Built for a decision, not for display: what could be read in two ways raises
AddressError rather than being guessed. Encoded words (RFC 2047) are never
decoded, so a name that looks like an address is only a name.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pointsman.routing.address import Address, AddressError

# pymilter cuts a field at 59,993 characters: beyond this we may not see it all.
MAX_FIELD = 59_000
REMEMBERED = 256

Kind = Literal["word", "quoted", "domain", "special", "angle"]


@dataclass(frozen=True, slots=True)
class Token:
    """One lexical token; an angle token holds those between its brackets."""

    kind: Kind
    text: str
    inner: tuple["Token", ...] = ()


_SCAN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r'|"(?P<quoted>(?:[^"\\]|\\.)*)"'
    r"|(?P<comment>\()"
    # An encoded word is one word, even where it has a comma or colon that it should not.
    r"|(?P<encoded>=\?[\w*.+:'-]+\?[bq]\?[^?\s<>\"()]*\?=(?=[\s<,;]|$))"
    r"|(?P<domain>\[[^\[\]\\]*\])"
    r"|(?P<special>[<>@,;:.])"
    r'|(?P<word>[^ \t\r\n()<>@,;:\\".\[\]]+)',
    re.DOTALL | re.IGNORECASE,
)
_COMMENT = re.compile(r"\\.|[()]", re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)


def mailboxes(field: str) -> tuple[Address, ...]:
    """Read a mailbox list, groups included; an empty group has no mailbox.

    Raises AddressError where the field is too long or not well formed.
    """
    if len(field) > MAX_FIELD:
        raise AddressError(f"longer than {MAX_FIELD:,} characters")
    # Most mail has a From that was seen before; long ones would fill the memory.
    return _remembered(field) if len(field) < REMEMBERED else _mailboxes(field)


def _mailboxes(field: str) -> tuple[Address, ...]:
    found: list[Address] = []
    item: list[Token] = []
    in_group = False
    for token in _angles(_tokens(field)):
        if token.kind != "special" or token.text in "@.":
            item.append(token)
        elif token.text == ",":
            found += _item(item)
            item = []
        elif token.text == ":" and not in_group and item and _is_phrase(item):
            in_group, item = True, []
        elif token.text == ";" and in_group:
            found += _item(item)
            in_group, item = False, []
        else:
            raise AddressError(f"misplaced {token.text!r}")
    if in_group:
        raise AddressError("a group without its ';'")
    return tuple(found + _item(item))


_remembered = lru_cache(maxsize=4096)(_mailboxes)


def _tokens(field: str) -> Iterator[Token]:
    position = 0
    while position < len(field):
        match = _SCAN.match(field, position)
        if match is None:
            raise AddressError(f"unexpected {field[position]!r}")
        position = match.end()
        kind = match.lastgroup
        if kind == "comment":
            position = _after_comment(field, position)
        if kind in ("space", "comment"):
            continue
        text = match[kind or 0]
        if kind == "encoded":
            kind = "word"
        if kind == "quoted":
            text = _PAIR.sub(r"\1", text)
        yield Token(kind, text)  # type: ignore[arg-type]


def _after_comment(field: str, position: int) -> int:
    depth = 1
    for match in _COMMENT.finditer(field, position):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")":
            depth -= 1
        if depth == 0:
            return match.end()
    raise AddressError("a comment without its ')'")


def _angles(tokens: Iterator[Token]) -> Iterator[Token]:
    """Fold ``<...>`` into one token, so that its commas and colons stay inside."""
    for token in tokens:
        if token.kind != "special" or token.text not in "<>":
            yield token
        elif token.text == ">":
            raise AddressError("misplaced '>'")
        else:
            yield Token("angle", "<", tuple(_until_closed(tokens)))


def _until_closed(tokens: Iterator[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.kind == "special" and token.text == ">":
            return
        if token.kind == "special" and token.text == "<":
            raise AddressError("'<' within '<'")
        yield token
    raise AddressError("'<' without its '>'")


def _is_phrase(item: Sequence[Token]) -> bool:
    return all(t.kind in ("word", "quoted") or t.text == "." for t in item)


def _item(item: list[Token]) -> list[Address]:
    """One mailbox, or none where a list has an empty place (RFC 5322 4.4)."""
    if not item:
        return []
    if not any(token.kind == "angle" for token in item):
        return [_addr_spec(item)]
    *name, last = item
    if last.kind != "angle" or any(token.kind == "angle" for token in name):
        raise AddressError("text after '>'")
    address = _addr_spec(_without_route(last.inner))
    # `clerk@a.test <other@b.test>` has two readings; the same address twice has one.
    if not _is_phrase(name) and _addr_spec(name).key != address.key:
        raise AddressError("an address within a display name")
    return [address]


def _without_route(tokens: Sequence[Token]) -> Sequence[Token]:
    colons = [i for i, token in enumerate(tokens) if token.text == ":" and token.kind == "special"]
    if colons and tokens[0].text == "@":
        return tokens[colons[0] + 1 :]
    return tokens


def _addr_spec(tokens: Sequence[Token]) -> Address:
    """``local@domain``, or a bare local part, which no link can match."""
    ats = [i for i, token in enumerate(tokens) if token.text == "@" and token.kind == "special"]
    if len(ats) > 1 or not tokens:
        raise AddressError("not one address")
    at = ats[0] if ats else len(tokens)
    local, domain = tokens[:at], tokens[at + 1 :]
    if ats and any(token.kind == "quoted" for token in domain):
        raise AddressError("a quoted domain")
    if not _dotted(local) or (ats and not _dotted(domain)):
        raise AddressError("not one address")
    address = Address(_text(local), _text(domain).removesuffix("."))
    if address.null:
        raise AddressError("not one address")
    return address


def _dotted(tokens: Sequence[Token]) -> bool:
    """Words with dots between them, never two words side by side."""
    was_word = False
    for token in tokens:
        is_word = token.kind in ("word", "quoted", "domain")
        if is_word and was_word:
            return False
        if not is_word and token.text != ".":
            return False
        was_word = is_word
    return any(token.kind != "special" for token in tokens)


def _text(tokens: Sequence[Token]) -> str:
    """Join, and read 8-bit text as UTF-8 (RFC 6532); other bytes are no address."""
    raw = "".join(token.text for token in tokens)
    try:
        return raw.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        raise AddressError("an address that is not UTF-8") from None
