"""`pointsman history`: who changed what, and when."""

from dataclasses import asdict
from typing import Any

import click

from pointsman.cli import show
from pointsman.cli.context import Context, json_option, pass_context
from pointsman.store.fields import settings
from pointsman.store.history import newest
from pointsman.store.records import Change, Connector

_HIDDEN = {n for n, (field, _) in settings(Connector).items() if field.secret or field.file}


@click.command()
@click.option(
    "--limit",
    default=50,
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    show_default=True,
    help="How many of the newest changes.",
)
@json_option
@pass_context
def history(ctx: Context, limit: int, *, as_json: bool) -> None:
    """Show the newest changes: who, when, old and new."""
    changes = newest(ctx.store, limit)
    if as_json:
        show.json_lines(
            {**asdict(c), "old": _masked(c.old), "new": _masked(c.new)} for c in changes
        )
        return
    rows = [
        (c.revision, show.moment(c.at), f"{c.who}@{c.host}", c.action, c.name, _summary(c))
        for c in changes
    ]
    show.table(rows, ("REVISION", "WHEN", "WHO", "WHAT", "NAME", "CHANGE"), "change")


def _masked(values: dict[str, Any] | None) -> dict[str, Any] | None:
    """Not even ciphertext is for the screen."""
    if values is None:
        return None
    return {k: show.KEPT if v and k in {*_HIDDEN, "tokens"} else v for k, v in values.items()}


def _summary(change: Change) -> str:
    if change.old is None or change.new is None:
        return ""
    old, new = _masked(change.old) or {}, _masked(change.new) or {}
    different = [name for name in new if change.old.get(name) != change.new.get(name)]
    return "; ".join(
        f"{name}: {show.cell(old.get(name) or '')} -> {show.cell(new[name])}" for name in different
    )
