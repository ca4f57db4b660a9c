"""`pointsman run`: the daemons, one of them or all in the foreground."""

import gc
import signal
import subprocess
import sys
from types import FrameType

import click

from pointsman.cli.context import Context, pass_context
from pointsman.cli.privileges import become

PROGRAMS = ("policy", "milter", "submit", "agent")


@click.command()
@click.argument("program", required=False, type=click.Choice(PROGRAMS))
@pass_context
def run(ctx: Context, program: str | None) -> None:
    """Run a daemon in the foreground; without a name, all of them.

    The milter decides about each message, the policy daemon keeps it to its rate, submit
    takes the mail of oauth2 connectors to their servers. The agent, as root, brings
    changes to Postfix, lets held mail go and renews access tokens.
    """
    gc.enable()
    if program == "milter":
        from pointsman.milter.serve import serve  # noqa: PLC0415 - only this one needs pymilter

        become(ctx.config)
        serve(ctx.config)
    elif program == "policy":
        from pointsman.policy import serve as policy  # noqa: PLC0415 - slow to import

        prepared = policy.prepare(ctx.config)
        become(ctx.config)
        policy.serve(ctx.config, *prepared)
    elif program == "submit":
        from pointsman.submit import serve as submit  # noqa: PLC0415 - slow to import

        helo = submit.prepare(ctx.config)
        become(ctx.config)
        submit.serve(ctx.config, helo)
    elif program == "agent":
        from pointsman.agent import Agent  # noqa: PLC0415 - slow to import

        agent = Agent(ctx.config)
        _on_stop(lambda *_: agent.stop.set())
        agent.run()
    else:
        _run_all(ctx)


def _on_stop(handler: "signal._HANDLER") -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def _run_all(ctx: Context) -> None:
    """Run each program as a process of its own; when one ends, end the others."""
    told: list[int] = []
    command = [sys.executable, "-m", "pointsman.cli.main", "--config", str(ctx.config.path), "run"]
    children = {name: subprocess.Popen([*command, name]) for name in PROGRAMS}  # noqa: S603

    def stop(number: int = 0, _frame: FrameType | None = None) -> None:
        if number:
            told.append(number)
        for child in children.values():
            child.terminate()

    _on_stop(stop)
    first = _first_to_end(children)
    stop()
    for child in children.values():
        child.wait()
    status = children[first].returncode
    # A child that gets the signal twice, from its group and from us, may die of the second.
    if status and not (told and status == -signal.SIGTERM):
        raise click.ClickException(f"{first} ended with status {status}, so all were stopped")


def _first_to_end(children: dict[str, "subprocess.Popen[bytes]"]) -> str:
    """Block until a child ends."""
    while True:
        for name, child in children.items():
            try:
                child.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                continue
            return name
