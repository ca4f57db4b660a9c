"""How records look on the screen: tables, one record, JSON lines; never a secret."""

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import click

from pointsman.cli import layout
from pointsman.store.fields import settings
from pointsman.store.records import Agency, Connector, Sender

KEPT = "(set)"


def shown(record: Agency | Connector | Sender) -> dict[str, Any]:
    """A record's values for people; of a secret only whether there is one."""
    values = asdict(record)
    for name, (field, _) in settings(type(record)).items():
        if (field.secret or field.file) and values[name]:
            values[name] = KEPT
    return values


def table(
    rows: Iterable[Sequence[Any]], headers: Sequence[str], noun: str, if_none: str = ""
) -> None:
    """Print columns and a count, as postqueue(1) does; of no row say what makes one."""
    lines = [[cell(value) for value in row] for row in rows]
    if lines:
        click.echo(layout.table(lines, headers, width()))
    hint = f": {if_none}" if if_none and not lines else ""
    click.echo(f"-- {counted(len(lines), noun)}{hint}")


def width() -> int | None:
    """How wide the screen is; None if the output goes into a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def moment(text: str) -> str:
    """A time of the database, `2026-11-21T10:00:00+00:00`, in the shorter spelling of UTC."""
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def counted(number: int, noun: str) -> str:
    """A number of things, in words: 1 agency, 2 agencies."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def cell(value: Any) -> str:
    """A value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(value) or "-"
    return str(value) or "-"


def one(values: dict[str, Any]) -> None:
    """Print one record, a field a line."""
    lines = {name.replace("_", "-"): cell(value) for name, value in values.items()}
    click.echo(layout.record(lines, width()))


def json_lines(rows: Iterable[dict[str, Any]]) -> None:
    """Print one JSON object a line."""
    for row in rows:
        click.echo(json.dumps(row, ensure_ascii=False))
