"""`pointsman export`: everything in one file."""

import os
import sys
from pathlib import Path

import click

from pointsman.cli.context import Context, pass_context
from pointsman.cli.fields import read_file
from pointsman.errors import PointsmanError, UsageError
from pointsman.postfix import files
from pointsman.store.book import read_book
from pointsman.store.difference import secret_fields
from pointsman.store.export import opened, written
from pointsman.store.history import since
from pointsman.store.passphrase import checked_passphrase, lock

passphrase_option = click.option(
    "--passphrase-file",
    metavar="FILE",
    help="A file that holds the passphrase and no more, or - for standard input.",
)


@click.command()
@click.argument("target", metavar="[FILE]", default="-")
@click.option(
    "--with-secrets", is_flag=True, help="Passwords and keys too, encrypted to a passphrase."
)
@passphrase_option
@pass_context
def export(ctx: Context, target: str, passphrase_file: str | None, *, with_secrets: bool) -> None:
    """Write agencies, connectors, senders and settings into one YAML file.

    Without FILE, or with -, it is printed. Secrets are left out, or encrypted with
    --with-secrets. The tokens of oauth2 connectors are this installation's own, and in no file.

    \b
    pointsman export /root/pointsman.yaml
    """
    if passphrase_file and not with_secrets:
        raise UsageError("--passphrase-file needs --with-secrets")
    with ctx.store.reading() as connection:
        book = read_book(connection)
        made = next(iter(since(connection, book.revision)), None)
    connectors = book.connectors.values()
    locked = None
    if with_secrets:
        locked = lock(opened(book, ctx.store.secrets), given_passphrase(passphrase_file, new=True))
    _write(target, written(book, made, locked), secret=with_secrets)
    if not with_secrets and any(getattr(c, n) for c in connectors for n in secret_fields(c)):
        click.echo("Passwords and keys are left out: --with-secrets encrypts them", err=True)


def given_passphrase(source: str | None, *, new: bool) -> str:
    """From the file, else asked for unseen; twice if it is a new one."""
    if source is not None:
        return checked_passphrase(read_file(source, "--passphrase-file", secret=True))
    if not sys.stdin.isatty():
        raise UsageError("give --passphrase-file FILE: there is no terminal to ask at")
    typed = click.prompt(
        "Passphrase of the file", hide_input=True, confirmation_prompt=new, err=True
    )
    return checked_passphrase(str(typed))


def _write(target: str, text: str, *, secret: bool) -> None:
    """Whole or not at all; nobody else ever reads secrets, encrypted as they are."""
    if target == "-":
        click.echo(text, nl=False)
        return
    path = Path(target)
    try:
        if path.exists() and not path.is_file():  # a pipe, or /dev/stdout
            path.write_text(text, encoding="utf-8")
            return
        path.parent.stat()
        files.write(path.resolve(), text, 0o600 if secret else 0o666 & ~_umask())
    except OSError as error:
        raise PointsmanError(f"{target}: {error.strerror}") from None


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
