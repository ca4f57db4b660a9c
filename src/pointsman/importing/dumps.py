"""Reads rows out of what mysqldump, mariadb-dump and pg_dump write. Pure but for opening the file.

The statements' strings are sqlglot's to read; nothing is executed.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlglot import Token, TokenType, tokenize
from sqlglot.errors import SqlglotError

from pointsman.errors import UsageError

MAX_FILE = 32 * 1024 * 1024
Row = dict[str, str]
_COPY = re.compile(
    r"^COPY (?:[\w\"]+\.)?\"?(\w+)\"? \(([^)]*)\) FROM stdin;\n(.*?)^\\\.$",
    re.MULTILINE | re.DOTALL,
)
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NO_COLUMN = {"PRIMARY", "KEY", "UNIQUE", "CONSTRAINT", "INDEX", "FULLTEXT", "FOREIGN", "CHECK"}
_NULL = "\\N"
_CREATE = [TokenType.CREATE, TokenType.TABLE]
_INSERT = [TokenType.INSERT, TokenType.INTO]


@dataclass(frozen=True)
class Layout:
    """The tables and columns that a dump is read for; without those that are needed it is none."""

    needed: Mapping[str, str]  # table: columns, with blanks between
    more: Mapping[str, str]


def read_dump(name: str, layout: Layout) -> dict[str, list[Row]]:
    """The rows of the tables that are wanted; NULL is ''. One that need not be there has none.

    Raises UsageError for a file that is no dump of these tables.
    """
    try:
        return rows_of(_text(Path(name)), layout)
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _text(path: Path) -> str:
    if path.stat().st_size > MAX_FILE:
        raise UsageError(f"more than {MAX_FILE >> 20} MiB: dump what --help shows, and no more")
    return path.read_text(encoding="utf-8", errors="replace")


def rows_of(text: str, layout: Layout) -> dict[str, list[Row]]:
    """The same, of a dump's text."""
    known = {**layout.needed, **layout.more}
    found: dict[str, list[Row]] = {}
    for table, columns, data in _COPY.findall(text):
        if table in known:
            names = [column.strip(' "') for column in columns.split(",")]
            lines = map(_fields, data.split("\n")[:-1])
            found.setdefault(table, []).extend(dict(zip(names, r, strict=True)) for r in lines)
    try:
        dialect = "postgres" if "PostgreSQL database dump" in text else "mysql"
        _take_in(tokenize(_COPY.sub("", text), read=dialect), known, found)
    except SqlglotError as error:
        raise UsageError(f"is no dump that can be read: {str(error).splitlines()[0]}") from None
    missing = [table for table in layout.needed if table not in found]
    if missing:
        raise UsageError(f"has no table {', '.join(missing)}: dump what --help shows")
    for table, rows in found.items():
        for column in known[table].split():
            if rows and column not in rows[0]:
                raise UsageError(f"table {table} has no column {column}: its layout is not known")
    return {table: found.get(table, []) for table in known}


def _fields(line: str) -> list[str]:
    """One line of COPY's text format; a NULL is an empty text here."""
    return ["" if field == _NULL else _unescaped(field) for field in line.split("\t")]


def _unescaped(field: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), field)


def _take_in(tokens: list[Token], known: Collection[str], found: dict[str, list[Row]]) -> None:
    """CREATE TABLE has the columns' names, INSERT the rows."""
    columns: dict[str, list[str]] = {}
    at = 0
    while at < len(tokens):
        kinds = [token.token_type for token in tokens[at : at + 2]]
        end = _end(tokens, at)
        if kinds in (_CREATE, _INSERT):
            table, rest = _named(tokens[at + 2 : end])
            if table in known and kinds == _CREATE:
                columns[table] = list(_columns(rest))
                found.setdefault(table, [])
            elif table in known:
                found.setdefault(table, []).extend(_inserted(rest, columns.get(table, [])))
        at = end + 1


def _end(tokens: list[Token], at: int) -> int:
    while at < len(tokens) and tokens[at].token_type != TokenType.SEMICOLON:
        at += 1
    return at


def _named(tokens: list[Token]) -> tuple[str, list[Token]]:
    """A statement's table, without its schema, and what follows the name."""
    words: list[str] = []
    for at, token in enumerate(tokens):
        if token.token_type in (TokenType.L_PAREN, TokenType.VALUES):
            return (words[-1] if words else ""), tokens[at:]
        words.append(token.text)
    return "", []


def _columns(tokens: list[Token]) -> Iterator[str]:
    for item in _items(tokens):
        quoted = item and item[0].token_type == TokenType.IDENTIFIER
        if item and (quoted or item[0].text.upper().split()[0] not in _NO_COLUMN):
            yield item[0].text


def _inserted(tokens: list[Token], columns: list[str]) -> Iterator[Row]:
    at = next((i for i, t in enumerate(tokens) if t.token_type == TokenType.VALUES), len(tokens))
    if at > 0:  # it names its columns
        columns = [item[0].text for item in _items(tokens[:at]) if item]
    for row in _rows(tokens[at + 1 :]):
        values = [_value(item) for item in _items(row)]
        if len(values) != len(columns):
            raise UsageError(
                "has rows without their columns' names: dump the tables' structure, too"
            )
        yield dict(zip(columns, values, strict=True))


def _rows(tokens: list[Token]) -> Iterator[list[Token]]:
    depth = start = 0
    for at, token in enumerate(tokens):
        if token.token_type == TokenType.L_PAREN:
            start = at if depth == 0 else start
            depth += 1
        elif token.token_type == TokenType.R_PAREN:
            depth -= 1
            if depth == 0:
                yield tokens[start : at + 1]


def _items(tokens: list[Token]) -> Iterator[list[Token]]:
    """What stands between the commas of one pair of brackets, which is the first token."""
    depth = 0
    item: list[Token] = []
    for token in tokens:
        kind = token.token_type
        depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        if depth == 0 or (kind == TokenType.COMMA and depth == 1):
            yield item
            item = []
            if depth == 0:
                return
        elif not (kind == TokenType.L_PAREN and depth == 1):
            item.append(token)


def _value(item: list[Token]) -> str:
    """A literal's text; an introducer such as _binary is not part of it."""
    kinds = (TokenType.NULL, TokenType.INTRODUCER)
    return "".join(token.text for token in item if token.token_type not in kinds)
