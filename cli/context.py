"""What the commands share: configuration, database, and how an edit ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pointsman import config
from pointsman.locks import is_locked

if TYPE_CHECKING:
    from pointsman.store.book import Edit
    from pointsman.store.database import Store


class Context:
    """Opened when a command first asks for it."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    @cached_property
    def config(self) -> config.Config:
        """The configuration file."""
        return config.load(config.config_path(self._path))

    @cached_property
    def store(self) -> "Store":
        """The database."""
        from pointsman.store.database import Store  # noqa: PLC0415 - not for the daemons

        return Store(self.config)

    def start_log(self) -> None:
        """Send what changes to the log; one that can't be written stops no change.

        A file that is not there yet is for the daemons to make: it must be theirs. Where
        no syslog runs, the daemons write to standard error, which is no log here.
        """
        from pointsman import logs  # noqa: PLC0415 - nothing of it in `--help`
        from pointsman.sink import DEV_LOG  # noqa: PLC0415

        where = self.config.log
        path = Path(DEV_LOG if where == "syslog" else where)
        if where != "stderr" and not path.exists():
            return
        try:
            logs.start("cli", where)
        except OSError as error:
            click.echo(f"Warning: the log {where}: {error.strerror}", err=True)

    @contextmanager
    def edit(self, if_revision: int | None, note: str = "") -> Iterator["Edit"]:
        """Change the database, and say whether the change is on its way to Postfix.

        History shows `note` with each change.
        """
        from pointsman.store.book import editing  # noqa: PLC0415

        self.start_log()
        with editing(self.store, if_revision, note) as edit:
            yield edit
        if edit.revision == edit.book.revision:
            click.echo("nothing to change")
        elif is_locked(self.config.agent_lock):
            where = "; see `pointsman host list`" if self.store.is_shared else ""
            click.echo(f"revision {edit.revision}, live within {3 if where else 2} s{where}")
        else:
            click.echo(f"revision {edit.revision}, not applied yet: run pointsman apply")


pass_context = click.make_pass_decorator(Context)

if_revision_option = click.option(
    "--if-revision",
    type=click.IntRange(0),
    metavar="N",
    help="Only if the database is still at revision N.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
