"""`pointsman apply`: makes Postfix agree with the database."""

import click

from pointsman.cli import show
from pointsman.cli.context import Context, pass_context
from pointsman.store.book import editing


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--rotate-token", is_flag=True, help="Give the marker a new token first.")
@pass_context
def apply(ctx: Context, *, dry_run: bool, rotate_token: bool) -> None:
    """Make Postfix agree with the database; all of it, or nothing."""
    from pointsman.postfix import setup  # noqa: PLC0415 - slow to import
    from pointsman.postfix.apply import Applier  # noqa: PLC0415

    applier = Applier(ctx.config, ctx.store)
    if dry_run:
        plan = applier.plan()
        for change in plan.describe():
            click.echo(change)
        click.echo(f"-- {show.counted(len(plan.describe()), 'change')}, none made")
        return
    if rotate_token:
        ctx.start_log()
        with editing(ctx.store) as edit:
            setup.rotate_token(edit, ctx.store.secrets)
    report = applier.apply()
    for change in report.changes:
        click.echo(change)
    click.echo(
        f"-- revision {report.revision} applied, {show.counted(len(report.changes), 'change')}"
    )
    if report.moved:
        click.echo(f"-- {show.counted(report.moved, 'queued message')} sent on")
    if not report.running:
        click.echo("Postfix is not running: what was applied counts when it starts", err=True)
    elif not report.milter:
        click.echo("the milter does not answer: start it with `pointsman run`", err=True)
