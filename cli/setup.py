"""`pointsman setup`: wires Postfix."""

import click

from pointsman.cli.context import Context, pass_context


@click.command()
@pass_context
def setup(ctx: Context) -> None:
    """Wire this Postfix instance, saying each change; safe to repeat."""
    from pointsman.postfix import setup as wiring  # noqa: PLC0415 - slow to import

    ctx.start_log()
    wiring.setup(ctx.config, ctx.store, click.echo)
    click.echo("-- set up; mail needs the daemons from here on: `pointsman run`")
