"""A connector's client certificate on the command line: `--pfx`, and how it is shown."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from pointsman.cli.fields import read_file
from pointsman.errors import UsageError
from pointsman.store.certificates import (
    MAX_SIZE,
    Identity,
    PasswordError,
    concerns,
    facts,
    read_pfx,
)
from pointsman.store.records import Connector

_F = TypeVar("_F", bound=Callable[..., Any])


def pfx_options(command: _F) -> _F:
    """Give a command the options of a client certificate."""
    password = click.option(
        "--pfx-password-file",
        metavar="FILE",
        help="A file that holds the password of --pfx, or - for standard input; it is not kept.",
    )
    pfx = click.option(
        "--pfx",
        metavar="FILE",
        help="The client certificate with its key and chain: PKCS#12, as .pfx or .p12.",
    )
    return pfx(password(command))


def given_identity(arguments: dict[str, Any]) -> dict[str, str]:
    """The fields that are made from `--pfx`, if it was given; what to mind is on stderr."""
    path, password_file = arguments.pop("pfx"), arguments.pop("pfx_password_file")
    if path is None:
        if password_file is not None:
            raise UsageError("--pfx-password-file needs --pfx FILE")
        return {}
    try:
        found = _read(path, password_file)
    except UsageError as error:
        raise type(error)(f"--pfx {path}: {error}") from None
    for concern in concerns(found.certificate):
        click.echo(f"Warning: --pfx {path}: {concern}", err=True)
    return asdict(found)


def _read(path: str, password_file: str | None) -> Identity:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise UsageError(str(error.strerror)) from None
    now = datetime.now(UTC)
    if password_file is not None:
        password = read_file(password_file, "--pfx-password-file", secret=True)
        return read_pfx(data, password, now)
    try:
        return read_pfx(data, "", now)
    except PasswordError:
        return read_pfx(data, _ask(), now)


def _ask() -> str:
    """Ask at a terminal, unseen."""
    if not sys.stdin.isatty():
        raise UsageError("it needs --pfx-password-file FILE, or - for standard input")
    return str(click.prompt("Password of the file", hide_input=True))


def days_left(connector: Connector) -> str:
    """How long the certificate is good for, for a list."""
    if not connector.certificate:
        return ""
    return f"{facts(connector.certificate).days_left(datetime.now(UTC))} days left"


def shown_certificate(connector: Connector) -> dict[str, Any]:
    """What people want to know of the certificate."""
    if not connector.certificate:
        return {}
    found = facts(connector.certificate)
    return {
        "certificate": found.subject,
        "certificate_issuer": found.issuer,
        "certificate_fingerprint": found.fingerprint,
        "certificate_not_after": found.not_after.isoformat(),
        "certificate_days_left": found.days_left(datetime.now(UTC)),
    }
