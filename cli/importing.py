"""`pointsman import`: what others know already, brought into the database."""

from typing import Any

import click

from pointsman.cli import proposing
from pointsman.cli.context import Context, pass_context
from pointsman.errors import PointsmanError


class Sources(click.Group):
    """Takes `import FILE` as short for `import file FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in where the first word is none, nor a call for help."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["file", *args]
        return super().parse_args(ctx, args)


@click.group("import", cls=Sources)
def import_() -> None:
    """Bring in agencies, connectors and senders; shows what would change, and asks.

    `pointsman import FILE` is short for `pointsman import file FILE`.
    """


@import_.command()
@click.argument("source", metavar="FILE")
@pass_context
def file(_ctx: Context, /, **_arguments: Any) -> None:
    """Bring in a file that `pointsman export` made."""
    raise PointsmanError("this version can't import files yet")


for _command in (proposing.postfix, proposing.mailcow, proposing.iredmail):
    import_.add_command(_command)
