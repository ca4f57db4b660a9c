"""Completes names at the shell, of what the database has; cli/main.py puts it to the commands.

It runs while somebody types: it says nothing when something is wrong, and does not wait long.
"""

import threading
from collections.abc import Iterable
from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from pointsman import config

PATIENCE = 1.0  # seconds for the database
MOST = 100  # names at once

_BY_PARAMETER = {
    "agency": "agency",
    "connector": "connector",
    "connectors": "connector",
    "to": "connector",
    "senders": "sender",
}
_NEW = ("add", "link")  # what they name first need not be there yet


class Name(click.types.StringParamType):
    """The name of an agency or a connector, or the key of a sender."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(
        self, ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Ask the database in a thread, and give up on it soon."""
        found: list[str] = []
        option = ctx.find_root().params.get("config")

        def look() -> None:
            with suppress(Exception):
                found.extend(_names(self.kind, option, incomplete))

        worker = threading.Thread(target=look, daemon=True)
        worker.start()
        worker.join(PATIENCE)
        return [CompletionItem(name) for name in list(found)]


def _names(kind: str, option: str | None, incomplete: str) -> Iterable[str]:
    from sqlalchemy import select  # noqa: PLC0415 - slow to import

    from pointsman.store import tables  # noqa: PLC0415
    from pointsman.store.database import Store  # noqa: PLC0415

    column = {
        "agency": tables.agency.c.name,
        "connector": tables.connector.c.name,
        "sender": tables.sender.c.key,
    }[kind]
    wanted = column.startswith(incomplete, autoescape=True)
    with Store(config.load(config.config_path(option))).reading() as connection:
        return list(connection.scalars(select(column).where(wanted).order_by(column).limit(MOST)))


def teach(command: click.Command, group: str = "") -> None:
    """Give each parameter that takes a name or a file the type that can complete it."""
    if isinstance(command, click.Group):
        for child in command.commands.values():
            teach(child, command.name or "")
        return
    for param in command.params:
        kind = _kind(command, param, group)
        if kind:
            param.type = Name(kind)
        elif param.metavar == "FILE":
            param.type = click.Path()


def _kind(command: click.Command, param: click.Parameter, group: str) -> str | None:
    argument = isinstance(param, click.Argument)
    if argument and command.name in _NEW:
        return None
    if argument and param.name == "name":
        return group if group in ("agency", "connector") else None
    if param.name == "to" and param.metavar != "NAME":
        return None  # a recipient, an address
    return _BY_PARAMETER.get(param.name or "")
