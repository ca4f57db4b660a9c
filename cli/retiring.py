"""`pointsman connector disable` and `remove`: takes connectors out of use."""

from dataclasses import replace
from datetime import UTC, datetime

import click

from pointsman.cli import pausing, show
from pointsman.cli.context import Context, if_revision_option, pass_context
from pointsman.cli.diverting import refuse_if_taking
from pointsman.errors import PointsmanError
from pointsman.postfix.conf import Instance
from pointsman.postfix.queue import waiting_for
from pointsman.routing.snapshot import load
from pointsman.store.book import Book, read

despite_queue_option = click.option(
    "--despite-queue", is_flag=True, help="Although mail is still queued for it."
)


@click.command()
@click.argument("name")
@if_revision_option
@pass_context
def disable(ctx: Context, name: str, if_revision: int | None) -> None:
    """Stop a connector: new mail gets 450, queued mail waits."""
    with ctx.edit(if_revision) as edit:
        old = edit.book.connector(name)
        if old.state == "new":
            raise PointsmanError(f"connector {name} is new and takes no mail yet")
        _refuse_if_used(edit.book, name, "disable it")
        if old.state == "live":
            edit.change(old, replace(old, state="disabled"), "disable")


def _refuse_if_used(book: Book, name: str, verb: str) -> None:
    if book.default == name:
        raise PointsmanError(
            f"connector {name} is the default relay: name another with "
            f"`pointsman connector default NAME`, then {verb}"
        )
    if book.null_sender == name:
        raise PointsmanError(
            f"connector {name} carries null-sender mail: end that with "
            f"`pointsman connector default none --null-sender`, then {verb}"
        )
    refuse_if_taking(book, name, verb, datetime.now(UTC))


@click.command()
@click.argument("name")
@despite_queue_option
@if_revision_option
@pass_context
def remove(ctx: Context, name: str, if_revision: int | None, *, despite_queue: bool) -> None:
    """Remove a connector that nothing uses any more.

    Mail that is in the queue for it all the same waits there, says so in the log, and goes
    back to its sender in the end.
    """
    if read(ctx.store).connector(name).state != "new" and not despite_queue:
        refuse_if_queued(ctx, name)
    with ctx.edit(if_revision) as edit:
        old = edit.book.connector(name)
        _refuse_if_used(edit.book, name, "remove it")
        linked = edit.book.links_to(name)
        if linked:
            raise PointsmanError(
                f"connector {name} still has {show.counted(len(linked), 'sender')}, "
                f"{linked[0].key} among them: link them elsewhere or unlink them first"
            )
        diversions = [edit.book.diversions[name]] if name in edit.book.diversions else []
        edit.remove(old, *pausing.drop_with(edit.book, f"connector {name}"), *diversions)


def refuse_if_queued(ctx: Context, name: str) -> None:
    """A connector that is to take no mail any more must have none left."""
    try:
        snapshot = load(ctx.config.snapshot)
    except (OSError, ValueError):
        return  # nothing was ever applied, so nothing ever took it
    queued = waiting_for(Instance(ctx.config.postfix.config_directory), snapshot, name)
    if queued:
        raise PointsmanError(
            f"connector {name} still has {show.counted(len(queued), 'message')} in the queue, "
            f"{queued[0]} among them: let them leave first, delete them with postsuper -d, or "
            "say --despite-queue"
        )
