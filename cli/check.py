"""`pointsman check`: what is wrong, or soon will be."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import click

from pointsman import findings
from pointsman.cli import show
from pointsman.cli.context import Context, json_option, pass_context
from pointsman.findings import Finding
from pointsman.oauth import vault
from pointsman.store.book import read


@click.command()
@json_option
@pass_context
def check(ctx: Context, *, as_json: bool) -> None:
    """Look for what is wrong or soon will be, and say what to do.

    Exit status 1 if there is anything: so far, client certificates that end within
    30 days, and access tokens that are not renewed.
    """
    found = list(_findings(ctx))
    if as_json:
        show.json_lines(map(asdict, found))
    else:
        for finding in found:
            click.echo(f"{finding.severity}: {finding.name} {finding.text}")
            click.echo(f"  fix: {finding.fix}")
        click.echo(f"-- {show.counted(len(found), 'finding')}")
    if found:
        raise SystemExit(1)


def _findings(ctx: Context) -> Iterator[Finding]:
    connectors = sorted(read(ctx.store).connectors.values(), key=lambda c: c.name)
    now = datetime.now(UTC)
    yield from findings.ending_certificates(connectors, now)
    yield from findings.ailing_tokens(connectors, vault.lives(ctx.store), now.timestamp())
