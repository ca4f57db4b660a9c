"""`pointsman host`: which hosts share the database, and what each one has applied."""

import time
from typing import Any

import click

from pointsman.cli import show
from pointsman.cli.context import Context, json_option, pass_context
from pointsman.cli.status import age
from pointsman.nearest import meant
from pointsman.store import hosts
from pointsman.store.book import NotFoundError
from pointsman.store.hosts import Host

RUN = "a host is on this list once its agent runs"


@click.group()
def host() -> None:
    """Show the hosts that share the database."""


@host.command("list")
@json_option
@pass_context
def list_hosts(ctx: Context, *, as_json: bool) -> None:
    """Show each host, the revision that its Postfix has, and when its agent was last seen.

    STATE is `live` for a host that has the newest revision, `behind` for one that lacks some,
    `troubled` for one that can't apply it (the last column says why), and `away` for one
    whose agent has not been seen for 35 s. A change takes up to 3 s to be live on a host.
    """
    newest, now = ctx.store.revision(), time.time()
    rows = [_row(found, newest, now) for found in hosts.all_of(ctx.store)]
    if as_json:
        show.json_lines({**row, "this": row["host"] == ctx.config.host} for row in rows)
        return
    titles = ("HOST", "STATE", "APPLIED", "BEHIND", "LAST SEEN", "VERSION", "TROUBLE")
    show.table([_cells(row) for row in rows], titles, "host", if_none=RUN)
    click.echo(f"newest revision {newest}")


@host.command()
@click.argument("name")
@pass_context
def remove(ctx: Context, name: str) -> None:
    """Take a host that is gone off the list; one whose agent runs comes back by itself.

    What it wrote into usage and history stays.
    """
    if not hosts.forget(ctx.store, name):
        known = (found.name for found in hosts.all_of(ctx.store))
        shown = "`pointsman host list` shows them"
        raise NotFoundError(f"there is no host {name!r}; {meant(name, known, shown)}")
    click.echo(f"{name} removed")


def _row(found: Host, newest: int, now: float) -> dict[str, Any]:
    return {
        "host": found.name,
        "state": found.state(newest, now),
        "applied": found.revision,
        "newest": newest,
        "behind": found.behind(newest),
        "seen": round(found.age(now), 1),
        "version": found.version,
        "trouble": found.trouble,
    }


def _cells(row: dict[str, Any]) -> tuple[Any, ...]:
    behind = f"by {row['behind']}" if row["behind"] else ""
    seen = f"{age(row['seen']) or '0s'} ago"
    return (*(row[n] for n in ("host", "state", "applied")), behind, seen, *_rest(row))


def _rest(row: dict[str, Any]) -> tuple[str, str]:
    return row["version"], row["trouble"]
