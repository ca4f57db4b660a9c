"""Makes CLI options from a record's field list, and records from what was given."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pointsman.errors import UsageError
from pointsman.store.checks import checked_password
from pointsman.store.fields import MOST, Setting, check_values, settings

_F = TypeVar("_F", bound=Callable[..., Any])


def options_of(record: type, *, changing: bool = False) -> Callable[[_F], _F]:
    """Give a command one option for each declared field; `changing` ones have no default."""

    def decorate(command: _F) -> _F:
        for name, (field, default) in reversed(settings(record).items()):
            if field.made_from:
                continue
            command = _option(name, field, default, changing=changing)(command)
        return command

    return decorate


def _option(name: str, field: Setting, default: Any, *, changing: bool) -> Callable[[_F], _F]:
    dashed = name.replace("_", "-")
    if isinstance(default, bool):
        return click.option(f"--{dashed}/--no-{dashed}", name, default=None, help=field.help)
    if isinstance(default, tuple):
        singular = dashed.removesuffix("s")
        return click.option(
            f"--{singular}", name, multiple=True, metavar=field.metavar, help=field.help
        )
    if field.file:
        return click.option(field.option(name), name, metavar="FILE", help=field.help)
    kind: Any = click.Choice(list(field.choices)) if field.choices else None
    if isinstance(default, int):
        kind = click.IntRange(1, MOST)
    text = f"{field.help} [default: {default}]" if default and not changing else field.help
    return click.option(f"--{dashed}", name, type=kind, metavar=field.metavar, help=text)


def given(record: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """The fields that were named on the command line, read, checked and in normal form.

    An empty value takes a value away: `--login ""` leaves no login.
    """
    values: dict[str, Any] = {}
    for name, (field, _) in settings(record).items():
        value = arguments.get(name)
        if value is None or value == ():
            continue
        if isinstance(value, tuple):
            value = tuple(item for item in value if item)
        if field.file and value:
            value = read_file(
                str(value), field.option(name), secret=field.secret and not field.lines
            )
        values[name] = value
    return check_values(record, values)


def read_file(source: str, option: str, *, secret: bool) -> str:
    """A file's text; a secret is its first line, to the letter. `-` is standard input."""
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        text = data.decode()
    except OSError as error:
        raise UsageError(f"{option} {source}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{option} {source}: not UTF-8 text") from None
    if not secret and not text.strip():
        raise UsageError(f"{option} {source}: it is empty")
    if not secret:
        return text
    line = text.removesuffix("\n").removesuffix("\r")
    if "\n" in line:
        raise UsageError(f"{option} {source}: more than one line")
    if not line:
        raise UsageError(f"{option} {source}: it is empty")
    return line


def ask_password() -> str:
    """Ask at a terminal, unseen."""
    if not sys.stdin.isatty():
        raise UsageError("--auth password needs --password-file FILE, or - for standard input")
    typed = click.prompt("Password at the server", hide_input=True, confirmation_prompt=True)
    return checked_password(str(typed))
