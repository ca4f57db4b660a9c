"""`pointsman setup` and `teardown`: wire Postfix, and take the wires out again."""

import sys

import click

from pointsman.cli import show
from pointsman.cli.context import Context, pass_context
from pointsman.config import Config
from pointsman.errors import PointsmanError


@click.command()
@click.option(
    "--observe/--enforce",
    default=None,
    help="Decide and log, but change nothing; or do what was decided.  [default: as it is; else "
    "enforce]",
)
@click.option(
    "--services",
    metavar="NAME,...",
    help="The smtpd services of master.cf that ask the milter.  [default: as it is; else "
    "asked for at a terminal; else all but those without milters]",
)
@click.option(
    "--units/--no-units",
    default=None,
    help="Let systemd run the daemons, by unit files that setup writes where no package brought "
    "any; or leave that to you.  [default: as it is; else units]",
)
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--no-probe", is_flag=True, help="Don't prove that mail gets through afterwards.")
@pass_context
def setup(
    ctx: Context,
    *,
    observe: bool | None,
    services: str | None,
    units: bool | None,
    dry_run: bool,
    no_probe: bool,
) -> None:
    """Wire this Postfix instance, saying each change; safe to repeat.

    What is there stays: lists keep their items, ours go beside them. Afterwards each smtpd
    service is tried, and if one does not greet any more, everything comes back. Mail goes on
    as before until a connector is live.
    """
    from pointsman.postfix import setup as wiring  # noqa: PLC0415 - slow to import
    from pointsman.postfix.units import may_serve  # noqa: PLC0415
    from pointsman.postfix.wiring import Choice, begun, chosen_before  # noqa: PLC0415

    known = chosen_before(ctx.config)
    if services is None and not dry_run and sys.stdin.isatty() and not begun(ctx.config):
        services = _ask_services(ctx.config)
    names = known.services if services is None else _names(services)
    choice = Choice(
        known.observe if observe is None else observe,
        names,
        known.units if units is None else units,
    )
    if dry_run:
        changes = wiring.plan(ctx.config, ctx.store, choice)
        for change in changes:
            click.echo(change)
        click.echo(f"-- {show.counted(len(changes), 'change')}, none made")
        return
    ctx.start_log()
    wiring.setup(ctx.config, ctx.store, choice, click.echo, prove=not no_probe)
    if not (choice.units and may_serve(ctx.config)):
        without = "mail goes on without them" if choice.observe else "mail gets 451 without them"
        click.echo(f"-- start the daemons: `pointsman run`; {without}")
    click.echo(f"-- {_OBSERVING if choice.observe else _ENFORCING}")


def _ask_services(config: Config) -> str | None:
    """Which shall ask the milter, where there is a choice; as they are given to --services."""
    from pointsman.postfix import services  # noqa: PLC0415
    from pointsman.postfix.conf import Instance  # noqa: PLC0415

    instance = Instance(config.postfix.config_directory)
    values = instance.parameters("content_filter", "inet_interfaces")
    found = services.smtpd_services(instance.services(), values["content_filter"])
    if len(found) == 1:
        return None
    usual = services.chosen(found, ())

    def checked(typed: str) -> str:
        try:
            services.chosen(found, _names(typed))
        except services.ServicesError as error:
            raise click.BadParameter(str(error)) from None
        return typed

    everywhere = values["inet_interfaces"]
    rows = (
        (s.name, services.address(s, everywhere), s in usual, services.reason(s, found))
        for s in found
    )
    show.table(rows, ("SMTPD", "ADDRESS", "ASKS", "BECAUSE IT"), "smtpd service")
    default = ",".join(s.name for s in usual)
    answer = click.prompt("Services that ask Pointsman", default=default, value_proc=checked)
    return None if answer == default else answer


def _names(services: str) -> tuple[str, ...]:
    if services.strip() == "all":
        return ()
    return tuple(name.strip() for name in services.split(",") if name.strip())


_OBSERVING = "set up to observe: see `pointsman observed`, then `pointsman setup --enforce`"
_ENFORCING = (
    "set up; next: `pointsman agency add`, `connector add`, `sender link`, `connector enable`"
)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option(
    "--despite-queue", is_flag=True, help="Put mail that only Pointsman can lead on hold, and go."
)
@pass_context
def teardown(ctx: Context, *, dry_run: bool, yes: bool, despite_queue: bool) -> None:
    """Take Pointsman out of this Postfix instance.

    main.cf and master.cf become what they were before setup, with what you edited since.
    Database, key and configuration file stay, so that `pointsman setup` brings all back.
    """
    from pointsman.postfix import teardown as unwiring  # noqa: PLC0415 - slow to import

    changes = unwiring.plan(ctx.config)
    if dry_run:
        for change in changes:
            click.echo(change)
        click.echo(f"-- {show.counted(len(changes), 'change')}, none made")
        return
    strays = unwiring.strays(ctx.config)
    if strays and not despite_queue:
        waiting = show.counted(len(strays), "queued message")
        raise PointsmanError(
            f"{waiting} would leave by the wrong way without Pointsman ({', '.join(strays[:3])}"
            f"{', ...' if len(strays) > 3 else ''}): let them go first (`postqueue -f`), "  # noqa: PLR2004
            "or give --despite-queue, which puts them on hold"
        )
    if not yes:
        if not sys.stdin.isatty():
            raise PointsmanError("teardown asks first, and nobody can answer here: give --yes")
        for change in changes:
            click.echo(change)
        click.confirm("Take Pointsman out of Postfix?", abort=True)
    unwiring.teardown(ctx.config, click.echo if yes else lambda _: None, strays)
    click.echo("-- Pointsman is out of the mail's way; stop its daemons when you like")
    click.echo(f"-- kept: {ctx.store.shown_url}, {ctx.config.secret_key_file}")
