"""The `pointsman` command: loads each subcommand when it is called for, and no sooner.

So `pointsman run milter` has no database library in its process.
"""

import gc
import os
import sys
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from pointsman import __version__
from pointsman.cli.context import Context
from pointsman.errors import PointsmanError, UsageError
from pointsman.nearest import meant

COMMANDS = {
    "setup": "setup",
    "teardown": "setup",
    "observed": "observed",
    "apply": "apply",
    "check": "check",
    "explain": "explain",
    "agency": "agency",
    "connector": "connector",
    "sender": "sender",
    "status": "status",
    "usage": "usage",
    "history": "history",
    "undo": "undo",
    "host": "host",
    "export": "exporting",
    "import": "importing",
    "run": "run",
}

COMPLETING = "_POINTSMAN_COMPLETE"  # set by the shell while it asks how a line may go on


class Sentence(click.ClickException):
    """An error that is one sentence on stderr."""

    def __init__(self, error: PointsmanError) -> None:
        super().__init__(str(error))
        vars(self)["exit_code"] = 2 if isinstance(error, UsageError) else 1


class Commands(click.Group):
    """Finds a command in the module of its name."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """In the order in which an admin meets them."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import it."""
        if name not in COMMANDS:
            return None
        module = import_module(f"pointsman.cli.{COMMANDS[name]}")
        command = getattr(module, f"{name}_" if iskeyword(name) else name)
        if not isinstance(command, click.Command):
            return None
        if COMPLETING in os.environ:
            from pointsman.cli.completing import teach  # noqa: PLC0415 - not for the daemons

            teach(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Say which command was probably meant: click looks among those that it has loaded."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            hint = meant(name, COMMANDS, "`pointsman --help` shows them")
            ctx.fail(f"there is no command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Turn our errors into sentences; all others are bugs and keep their traceback."""
        try:
            return super().invoke(ctx)
        except PointsmanError as error:
            raise Sentence(error) from error
        except PermissionError as error:
            if os.geteuid() == 0:
                raise
            sentence = f"{error.filename}: {error.strerror}; run it as root"
            raise Sentence(PointsmanError(sentence)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    metavar="FILE",
    envvar="POINTSMAN_CONFIG",
    help="The configuration file instead of /etc/pointsman/pointsman.yaml.",
)
@click.version_option(__version__, prog_name="pointsman")
@click.pass_context
def cli(ctx: click.Context, config: str | None) -> None:
    """Send each agency's mail out through its own connector, at its own pace."""
    ctx.obj = Context(config)


def main() -> None:
    """Run, and end quietly when the reader of a pipe has gone."""
    gc.disable()  # a command is over before there is much; it costs a tenth of its time
    try:
        cli()
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
