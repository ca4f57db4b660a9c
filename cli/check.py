"""`pointsman check`: what is wrong, what soon will be, and what does nothing in silence."""

from dataclasses import asdict

import click

from pointsman.cli import show
from pointsman.cli.context import Context, json_option, pass_context
from pointsman.nearest import meant


@click.command()
@click.option(
    "--ignore",
    metavar="KIND",
    multiple=True,
    help="Leave out a kind of finding that you know and accept; repeatable.",
)
@json_option
@pass_context
def check(ctx: Context, *, ignore: tuple[str, ...], as_json: bool) -> None:
    """Find what is wrong, will be, or would do nothing in silence; say what to do.

    Looks at Postfix, its services and tables, at the daemons, files, connectors,
    certificates and tokens. docs/check.md explains each kind of finding.

    Exit status 1 if there is an error or a warning, 0 if there is at most a note.

    \b
    pointsman check
    pointsman check --json --ignore soft-bounce
    """
    from pointsman.checks.finding import NOTE  # noqa: PLC0415 - slow to import
    from pointsman.checks.gather import gather  # noqa: PLC0415
    from pointsman.checks.table import KINDS, judge  # noqa: PLC0415

    for kind in ignore:
        if kind not in KINDS:
            hint = meant(kind, KINDS, "docs/check.md has them all")
            raise click.BadParameter(
                f"there is no kind of finding {kind!r}; {hint}", param_hint="--ignore"
            )
    found = [f for f in judge(gather(ctx.config, ctx.store)) if f.kind not in ignore]
    if as_json:
        show.json_lines(map(asdict, found))
    else:
        for finding in found:
            click.echo(f"{finding.severity}: {finding.name} {finding.text} ({finding.kind})")
            click.echo(f"  fix: {finding.fix}")
        click.echo(f"-- {show.counted(len(found), 'finding')}")
    if any(finding.severity != NOTE for finding in found):
        raise SystemExit(1)
