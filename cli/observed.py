"""`pointsman observed`: what would happen if Pointsman did more than look on."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pointsman.cli import show
from pointsman.cli.context import Context, json_option, pass_context
from pointsman.errors import PointsmanError
from pointsman.observed import Summary, summed

MOST = 20  # senders


@click.command()
@click.option(
    "--log",
    "logs",
    multiple=True,
    metavar="FILE",
    help="A mail log to read, - for stdin; repeatable.  [default: this Postfix's log]",
)
@click.option(
    "--most", default=MOST, show_default=True, type=click.IntRange(1), help="Rows of senders."
)
@json_option
@pass_context
def observed(ctx: Context, logs: tuple[str, ...], most: int, *, as_json: bool) -> None:
    """Sum up what the milter would have done since `setup --observe`, from the mail log.

    By connector, agency and sender; and what would not have gone at once, and why. Where
    the log is in the journal: `journalctl -t pointsman/milter | pointsman observed --log -`.
    """
    summary = summed(_lines(logs or (_own_log(ctx),)))
    if as_json:
        show.json_lines(_rows(summary))
        return
    if not summary.messages:
        raise PointsmanError(
            "the log has no observed message: is `pointsman setup --observe` done, are the "
            "daemons running, and is this the right log (--log FILE)?"
        )
    _print(summary, most)


def _own_log(ctx: Context) -> str:
    from pointsman.postfix.conf import Instance  # noqa: PLC0415 - asks Postfix
    from pointsman.postfix.maillog import log_of  # noqa: PLC0415

    return str(log_of(Instance(ctx.config.postfix.config_directory)))


def _lines(logs: tuple[str, ...]) -> Iterator[str]:
    for name in logs:
        if name == "-":
            yield from sys.stdin
            continue
        try:
            with Path(name).open(encoding="utf-8", errors="replace") as file:
                yield from file
        except OSError as error:
            raise PointsmanError(
                f"{name} can't be read: {error.strerror}; name the mail log with --log FILE"
            ) from None


def _print(summary: Summary, most: int) -> None:
    click.echo(f"observed from {summary.first} to {summary.last}\n")
    connectors = [(*key, n) for key, n in summary.connectors.most_common()]
    show.table(connectors, ("CONNECTOR", "WAY", "MESSAGES"), "way")
    agencies = summary.agencies.most_common()
    click.echo()
    show.table(agencies, ("AGENCY", "MESSAGES"), "agency")
    senders = [(*key, n) for key, n in summary.senders.most_common(most)]
    click.echo()
    show.table(senders, ("SENDER", "AGENCY", "CONNECTOR", "MESSAGES"), "sender")
    click.echo()
    troubles = [
        (agency, reason, n, summary.examples[agency, reason])
        for (agency, reason), n in summary.troubles.most_common()
    ]
    if troubles:
        headers = ("AGENCY", "WOULD NOT HAVE GONE AT ONCE", "MESSAGES", "FOR EXAMPLE")
        show.table(troubles, headers, "reason")
    else:
        click.echo("-- every message would have gone at once")
    click.echo(f"-- {show.counted(summary.messages, 'message')}")


def _rows(summary: Summary) -> Iterator[dict[str, Any]]:
    counts = asdict(summary)
    yield {name: counts[name] for name in ("messages", "first", "last")}
    for (connector, way), n in summary.connectors.most_common():
        yield {"connector": connector, "way": way, "messages": n}
    for agency, n in summary.agencies.most_common():
        yield {"agency": agency, "messages": n}
    for (sender, agency, connector), n in summary.senders.most_common():
        yield {"sender": sender, "agency": agency, "connector": connector, "messages": n}
    for (agency, reason), n in summary.troubles.most_common():
        example = summary.examples[agency, reason]
        yield {"agency": agency, "trouble": reason, "messages": n, "queue_id": example}
