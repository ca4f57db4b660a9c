"""Runs a connector's trial and shows its steps as they are done."""

import asyncio
from dataclasses import asdict, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid

import click

from pointsman.cli import show
from pointsman.cli.context import Context
from pointsman.errors import PointsmanError
from pointsman.store.book import Book
from pointsman.store.records import Connector
from pointsman.trial import Step, Trial, trial_of

untested_option = click.option(
    "--untested", is_flag=True, help="Skip the test; history shows who did."
)


def try_connector(
    ctx: Context,
    book: Book,
    connector: Connector,
    *,
    sender: str | None = None,
    recipient: str = "",
    send: bool = False,
    as_json: bool = False,
) -> None:
    """Try each of its hosts; raise PointsmanError, naming the step, if one does not work."""
    trial = trial_of(ctx.config, ctx.store, connector)
    trial.sender = sender or _sender(book, connector, trial.helo)
    trial.recipient = recipient
    if send:
        trial.content = _message(connector, trial.sender, recipient)
    for host, port in connector.addresses:
        if not as_json:
            click.echo(f"testing {connector.name} at {host}:{port}")
        steps = asyncio.run(_run(replace(trial, address=(host, port)), as_json=as_json))
        failed = next((step for step in steps if not step.ok), None)
        if failed:
            at = f" of {host}" if len(connector.hosts) > 1 else ""
            raise PointsmanError(
                f"connector {connector.name} failed at {failed.name}{at}: {failed.answer}"
            )


def _message(connector: Connector, sender: str, recipient: str) -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = sender, recipient
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid("pointsman", sender.rpartition("@")[2])
    message["Subject"] = f"Test of connector {connector.name}"
    message.set_content(f"`pointsman connector test {connector.name} --send` sent this.\n")
    return message.as_bytes(policy=SMTP)


async def _run(trial: Trial, *, as_json: bool) -> list[Step]:
    steps = []
    async for step in trial.steps():
        steps.append(step)
        if as_json:
            where = f"{trial.address[0]}:{trial.address[1]}"
            show.json_lines([{"connector": trial.connector.name, "host": where, **asdict(step)}])
        else:
            verdict = click.style("ok  ", fg="green") if step.ok else click.style("FAIL", fg="red")
            click.echo(f"  {verdict} {step.name:<10} {step.seconds * 1000:6.0f} ms  {step.answer}")
    return steps


def _sender(book: Book, connector: Connector, helo: str) -> str:
    """An address that the server will see anyway: a linked one, if there is any."""
    keys = sorted(s.key for s in book.links_to(connector.name))
    for key in keys:
        if not key.startswith("@"):
            return key
    domain = keys[0].removeprefix("@").removeprefix(".") if keys else helo
    return f"postmaster@{domain}"
