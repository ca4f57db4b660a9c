"""`pointsman import`: what others know already, brought into the database."""

import sys
from pathlib import Path

import click

from pointsman.cli import proposing
from pointsman.cli.changing import carry_out
from pointsman.cli.context import Context, if_revision_option, pass_context
from pointsman.cli.exporting import given_passphrase, passphrase_option
from pointsman.cli.retiring import despite_queue_option
from pointsman.cli.trying import untested_option
from pointsman.errors import PointsmanError, UsageError
from pointsman.store.book import read_book
from pointsman.store.difference import FaultError
from pointsman.store.document import Document, check_document, document
from pointsman.store.history import StaleError, refuse_stale, since, spelled
from pointsman.store.merging import merged
from pointsman.store.nodes import LineError
from pointsman.store.passphrase import Secrets, unlock
from pointsman.store.records import Change
from pointsman.strict import YamlError

MAX_SIZE = 64 * 1024 * 1024
LARGE = 2 * 1024 * 1024


class Sources(click.Group):
    """Takes `import FILE` as short for `import file FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in where the first word is none, nor a call for help."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["file", *args]
        return super().parse_args(ctx, args)


@click.group("import", cls=Sources)
def import_() -> None:
    """Bring in agencies, connectors and senders; shows first what would change.

    `pointsman import FILE` is short for `pointsman import file FILE`.
    """


@import_.command()
@click.argument("source", metavar="FILE")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--replace", "replacing", is_flag=True, help="Remove what the file does not have.")
@passphrase_option
@click.option(
    "--despite-changes", is_flag=True, help="Although the database changed since the export."
)
@untested_option
@despite_queue_option
@if_revision_option
@pass_context
def file(
    ctx: Context,
    /,
    source: str,
    passphrase_file: str | None,
    if_revision: int | None,
    *,
    yes: bool,
    replacing: bool,
    despite_changes: bool,
    untested: bool,
    despite_queue: bool,
) -> None:
    """Bring in a file that `pointsman export` made, as it is or edited.

    Shows what would change, asks, and changes all of it in one revision, or nothing. A record
    of the file replaces the one of its name, and what the record does not say has its default;
    records that the file does not have stay, unless --replace is given. Connectors that would
    take mail in a new way are tried first.

    \b
    pointsman import /root/pointsman.yaml
    """
    found = _document(source)
    texts = _texts(source, found, passphrase_file)
    with ctx.store.reading() as connection:
        book = read_book(connection)
        refuse_stale(connection, book.revision, if_revision)
        if not despite_changes:
            _refuse_older(source, found, since(connection, max(found.revision, 1)))
    after, notes = merged(book, found, texts, ctx.store.secrets, replacing=replacing)
    try:
        check_document(found, after)
        carry_out(
            ctx,
            book,
            after,
            "import",
            untested=untested,
            despite_queue=despite_queue,
            ask=not yes,
            notes=notes,
        )
    except FaultError as error:
        where = next((found.lines[about] for about in error.fault.about if about in found.lines), 0)
        raise PointsmanError(f"{source}{f', line {where}' if where else ''}: {error}") from None
    except LineError as error:
        raise UsageError(f"{source}, {error}") from None


def _document(source: str) -> Document:
    try:
        if source == "-":
            raw = sys.stdin.buffer.read(MAX_SIZE + 1)
        else:
            with Path(source).open("rb") as opened:
                raw = opened.read(MAX_SIZE + 1)
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror}") from None
    if len(raw) > MAX_SIZE:
        raise UsageError(f"{source} is larger than {MAX_SIZE >> 20} MiB")
    if len(raw) > LARGE:
        click.echo(f"reading {source} takes a while", err=True)
    try:
        return document(raw)
    except YamlError as error:
        raise UsageError(f"{source} is not valid YAML: {error}") from None
    except LineError as error:
        raise UsageError(f"{source}, {error}") from None
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None


def _texts(source: str, found: Document, passphrase_file: str | None) -> Secrets:
    if found.locked is None:
        return {}
    try:
        return unlock(found.locked, given_passphrase(passphrase_file, new=False))
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None


def _refuse_older(source: str, found: Document, changes: list[Change]) -> None:
    """If the file was made from this database, nothing may have changed since.

    Another database has other changes: a file that comes from there is not stale.
    """
    ours = next((c for c in changes if c.revision == found.revision), None)
    newer = [c for c in changes if c.revision > found.revision]
    if ours is None or not newer or (ours.at, ours.host) != (found.at, found.host):
        return
    raise StaleError(
        f"{source} was exported at revision {found.revision}, and would take back what came since: "
        f"{spelled(newer)}; export again, or say --despite-changes"
    )


for _command in (proposing.postfix, proposing.mailcow, proposing.iredmail):
    import_.add_command(_command)
