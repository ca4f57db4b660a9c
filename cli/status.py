"""`pointsman status`: one screen of what runs, what waits and what may still go."""

import time
from collections.abc import Collection, Mapping
from typing import Any

import click

from pointsman.cli import live, show
from pointsman.cli.context import Context, json_option, pass_context
from pointsman.cli.diverting import diverted
from pointsman.cli.pausing import paused
from pointsman.current import down
from pointsman.locks import is_locked
from pointsman.postfix import queue
from pointsman.postfix.conf import Instance, PostfixError
from pointsman.postfix.probe import milter_answers
from pointsman.routing.snapshot import applied
from pointsman.store import hosts, usage
from pointsman.store.book import Book, read
from pointsman.store.database import StoreError

ALARMS = 10  # the newest


@click.command()
@json_option
@pass_context
def status(ctx: Context, *, as_json: bool) -> None:
    """Show lanes, agencies, rates, held mail and queues on one screen."""
    try:
        book = read(ctx.store)
    except StoreError:
        _without_database(ctx, as_json=as_json)
        raise
    names = [f"agency {a}" for a in book.agencies] + [f"connector {c}" for c in book.connectors]
    now, trouble = live.state(ctx, names)
    answers = {
        "programs": _programs(ctx, trouble),
        "revision": {"database": book.revision, "applied": applied(ctx.config.snapshot)},
        "host": ctx.config.host,
        "hosts": _hosts(ctx, book.revision),
        "queue": _queue(ctx),
        "lanes": _lanes(book, now, down(ctx.config.health)),
        "alarms": [dict(row) for row in usage.notices(ctx.store, ALARMS)],
        "agencies": _agencies(book, now),
    }
    show.json_lines([answers]) if as_json else _print(answers)


def _without_database(ctx: Context, *, as_json: bool) -> None:
    """What can be said all the same; why it is no more stands on standard error."""
    _, trouble = live.state(ctx, [])
    answers = {
        "programs": _programs(ctx, trouble),
        "revision": {"database": None, "applied": applied(ctx.config.snapshot)},
        "host": ctx.config.host,
        "queue": _queue(ctx),
    }
    show.json_lines([answers]) if as_json else _print_head(answers)


def _hosts(ctx: Context, newest: int) -> dict[str, str]:
    """Each host that shares the database, in a word or two."""
    now = time.time()
    return {
        found.name: f"behind by {found.behind(newest)}" if state == "behind" else state
        for found in hosts.all_of(ctx.store)
        for state in (found.state(newest, now),)
    }


def _programs(ctx: Context, trouble: str) -> dict[str, str]:
    instance = Instance(ctx.config.postfix.config_directory)
    up = {
        "postfix": instance.running(),
        "milter": milter_answers(ctx.config.milter_socket),
        "policy": not trouble,
        "agent": is_locked(ctx.config.agent_lock),
    }
    return {name: "up" if there else "DOWN" for name, there in up.items()}


def _queue(ctx: Context) -> dict[str, int] | str:
    try:
        ids = queue.ids(Instance(ctx.config.postfix.config_directory))
    except (PermissionError, PostfixError) as error:
        return f"can't be read: {error}"
    return {part: len(found) for part, found in ids.items()}


def _lanes(book: Book, now: Mapping[str, Any], out: Collection[str]) -> list[dict[str, Any]]:
    return [
        {
            "connector": c.name,
            "state": "down" if c.name in out else c.state,
            "host": c.servers,
            "queued": now["moving"].get(c.name, 0),
            "rate": c.rate,
            "left": live.left(now["use"].get(f"connector {c.name}", [])),
            "paused": paused(book, f"connector {c.name}"),
            "diverted": diverted(book, c.name),
        }
        for c in sorted(book.connectors.values(), key=lambda c: c.name)
    ]


def _agencies(book: Book, now: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "agency": a.name,
            "rate": a.rate,
            "left": live.left(now["use"].get(f"agency {a.name}", [])),
            "held": now["held"].get(a.name, 0),
            "oldest": now["oldest"].get(a.name, 0),
            "paused": paused(book, f"agency {a.name}"),
        }
        for a in sorted(book.agencies.values(), key=lambda a: a.name)
    ]


def _print_head(answers: Mapping[str, Any]) -> None:
    revision, waiting = answers["revision"], answers["queue"]
    click.echo("   ".join(f"{name} {state}" for name, state in answers["programs"].items()))
    newest = "unknown" if revision["database"] is None else revision["database"]
    click.echo(f"revision {newest}, applied {revision['applied']}")
    others = answers.get("hosts", {})
    if others.keys() - {answers["host"]}:
        this = {answers["host"]: " (this one)"}
        told = (f"{name}{this.get(name, '')} {state}" for name, state in others.items())
        click.echo("hosts: " + "   ".join(told))
    if isinstance(waiting, str):
        click.echo(f"queue {waiting}")
    else:
        click.echo("queue: " + "   ".join(f"{name} {count}" for name, count in waiting.items()))


def _print(answers: Mapping[str, Any]) -> None:
    _print_head(answers)
    click.echo()
    lanes = [list(lane.values()) for lane in answers["lanes"]]
    titles = ("CONNECTOR", "STATE", "HOST", "QUEUED", "RATE", "LEFT", "PAUSED", "DIVERTED")
    show.table(lanes, titles, "connector")
    click.echo()
    agencies = [[*list(a.values())[:4], age(a["oldest"]), a["paused"]] for a in answers["agencies"]]
    show.table(agencies, ("AGENCY", "RATE", "LEFT", "HELD", "OLDEST", "PAUSED"), "agency")
    if answers["alarms"]:
        click.echo()
        several = len(answers["hosts"]) > 1
        alarms = [
            (
                show.moment(alarm["at"]),
                f"{alarm['host'] + ': ' if several else ''}{alarm['name']} {alarm['text']}",
            )
            for alarm in answers["alarms"]
        ]
        show.table(alarms, ("AT", "ALARM"), "alarm")


def age(seconds: float) -> str:
    """A length of time in its largest unit; '' for none."""
    for length, name in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        if seconds >= length:
            return f"{seconds / length:.0f}{name}"
    return ""
