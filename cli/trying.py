"""Runs a connector's trial and shows its steps as they are done."""

import asyncio
from dataclasses import asdict

import click

from pointsman.cli import show
from pointsman.cli.context import Context
from pointsman.errors import PointsmanError
from pointsman.postfix.conf import Instance
from pointsman.store.book import Book
from pointsman.store.records import Connector
from pointsman.trial import Step, Trial


def try_connector(
    ctx: Context,
    book: Book,
    connector: Connector,
    *,
    sender: str | None = None,
    as_json: bool = False,
) -> None:
    """Try it; raise PointsmanError, naming the step, if it does not work."""
    helo = Instance(ctx.config.postfix.config_directory).parameters("myhostname")["myhostname"]
    password = ctx.store.secrets.unseal(connector.password) if connector.password else ""
    trial = Trial(connector, password, helo, sender or _sender(book, connector, helo))
    steps = asyncio.run(_run(trial, connector, as_json=as_json))
    failed = next((step for step in steps if not step.ok), None)
    if failed:
        raise PointsmanError(f"connector {connector.name} failed at {failed.name}: {failed.answer}")


async def _run(trial: Trial, connector: Connector, *, as_json: bool) -> list[Step]:
    if not as_json:
        click.echo(f"testing {connector.name} at {connector.address[0]}:{connector.address[1]}")
    steps = []
    async for step in trial.steps():
        steps.append(step)
        if as_json:
            show.json_lines([{"connector": connector.name, **asdict(step)}])
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
