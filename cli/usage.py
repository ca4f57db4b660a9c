"""`pointsman usage`: what was sent, held and refused, and what may still go."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import click

from pointsman.cli import live, show
from pointsman.cli.context import Context, json_option, pass_context
from pointsman.cli.pausing import duration
from pointsman.nearest import meant
from pointsman.store import hosts
from pointsman.store.book import Book, NotFoundError, read
from pointsman.store.tables import COUNTS
from pointsman.store.usage import SLICE, has_any
from pointsman.store.usage import read as read_usage

_BARS = "·▁▂▃▄▅▆▇█"
_WIDTH = 24


@click.command()
@click.argument("name", required=False)
@click.option("--since", metavar="TIME", default="24h", help="How far back. [default: 24h]")
@click.option("--host", metavar="NAME", help="What one host sent. [default: all hosts together]")
@json_option
@pass_context
def usage(ctx: Context, name: str | None, since: str, host: str | None, *, as_json: bool) -> None:
    """Show what each agency and connector sent, and what may still go.

    So it does for senders with a rate of their own. NAME is an agency, a connector or such
    a sender. The last column is what was sent over the time,
    the newest on the right. LEFT is what this host may still send, unless hosts share counters.

    \b
    pointsman usage court --since 7d
    """
    length = duration(since).total_seconds()
    book, end = read(ctx.store), time.time()
    names = _names(book, name)
    now, trouble = live.state(ctx, names)
    # A slice counts if any part of it is within the time.
    found = read_usage(ctx.store, end - length - SLICE, _known(ctx, host))
    rows = [_row(n, found.get(n, {}), now, end - length, length) for n in names]
    if as_json:
        show.json_lines(rows)
    else:
        _print(rows)
        _say_whose(ctx, host)
    if trouble:
        click.echo(trouble, err=True)


def _known(ctx: Context, host: str | None) -> str | None:
    """A host's name, if there is one: a typing mistake must not look like an idle host."""
    if host is not None and not has_any(ctx.store, host):
        known = (found.name for found in hosts.all_of(ctx.store))
        shown = "`pointsman host list` shows them"
        raise NotFoundError(f"no host {host!r} ever wrote usage; {meant(host, known, shown)}")
    return host


def _say_whose(ctx: Context, host: str | None) -> None:
    """What the columns are about, where there is more than one host."""
    names = [found.name for found in hosts.all_of(ctx.store)]
    if len(names) > 1 and host is None:
        shared = ctx.config.policy.counters != "memory"
        left = "LEFT is shared" if shared else f"LEFT is that of {ctx.config.host} alone"
        click.echo(f"of {', '.join(names)} together; {left}")


def _names(book: Book, name: str | None) -> list[str]:
    every = [f"agency {a}" for a in sorted(book.agencies)]
    every += [f"connector {c}" for c in sorted(book.connectors)]
    every += [f"sender {key}" for key in sorted(s.key for s in book.senders.values() if s.rate)]
    if name is None:
        return every
    wanted = [n for n in every if n.partition(" ")[2] == name]
    if not wanted:
        known = [n.partition(" ")[2] for n in every]
        shown = "`pointsman usage` without a name shows all"
        raise NotFoundError(
            f"there is no agency or connector {name!r}, and no sender link with a rate of its "
            f"own; {meant(name, known, shown)}"
        )
    return wanted


def _row(
    name: str,
    slices: Mapping[int, Mapping[str, int]],
    now: Mapping[str, Any],
    start: float,
    length: float,
) -> dict[str, Any]:
    totals = {column: sum(s[column] for s in slices.values()) for column in COUNTS}
    kind, _, short = name.partition(" ")
    return {
        "kind": kind,
        "name": short,
        **totals,
        "on_hold": now["held"].get(short, 0) if kind == "agency" else None,
        "windows": now["use"].get(name, []),
        "over_time": _over_time(slices, start, length),
    }


def _over_time(slices: Mapping[int, Mapping[str, int]], start: float, length: float) -> list[int]:
    """What was sent in each of equal parts of the time."""
    parts = [0] * _WIDTH
    for at, counts in slices.items():
        place = int((at + SLICE / 2 - start) / length * _WIDTH)
        parts[min(max(place, 0), _WIDTH - 1)] += counts["sent"]
    return parts


def _print(rows: Iterable[Mapping[str, Any]]) -> None:
    show.table(
        (
            (
                f"{row['kind']} {row['name']}",
                *(row[column] for column in COUNTS),
                live.left(row["windows"]),
                sparkline(row["over_time"]),
            )
            for row in rows
        ),
        ("NAME", "SENT", "RECIPIENTS", "HELD", "DEFERRED", "REFUSED", "LEFT", "OVER TIME"),
        "row",
    )


def sparkline(parts: Iterable[int]) -> str:
    """Numbers as bars; nothing is a dot, little is still seen."""
    parts = list(parts)
    most = max(parts, default=0)
    if not most:
        return ""
    top = len(_BARS) - 1
    return "".join(_BARS[-(-number * top // most)] for number in parts)
