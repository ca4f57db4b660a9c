"""`make demo`: real mail through a private Postfix, each message on its own lane.

Sets everything up with the CLI, as an admin would, sends by SMTP and sendmail(1),
and compares what was meant with what the mail log and the servers say.
"""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import click

from lab import client
from lab.city import City, built
from lab.instance import wait_until
from pointsman.cli import layout

COMMANDS = """
agency add court --login court-app@lab --network 127.0.0.1
agency add police --login police-app@lab
agency add tax --login tax-app@lab
connector add court-smtp {court}
connector add police-smtp {police}
connector add tax-smtp {tax}
connector add city-relay --host localhost:{relay} --tls may
sender link clerk@court.example @notices.court.example --agency court --connector court-smtp
sender link @police.example --agency police --connector police-smtp
sender link @tax.example fees@court.example --agency tax --connector tax-smtp
sender link @.tax.example --agency tax --connector tax-smtp
connector enable court-smtp
connector enable police-smtp
connector enable tax-smtp
connector enable city-relay
connector default city-relay
connector list
"""

LOGINS = {"court-app": "open sesame", "police-app": "hands up", "tax-app": "pay here"}
REALM = "@lab"  # Cyrus SASL completes a login so, and so does Postfix tell the milter


@dataclass(frozen=True)
class Outcome:
    """What became of a message: lane and way by the mail log, the rest by the server."""

    lane: str
    way: str
    server: str = ""
    login: str = ""


@dataclass(frozen=True)
class Row:
    """One message: what is sent, and what should become of it."""

    title: str
    from_: str
    envelope: str
    login: str  # "" for sendmail(1)
    expected: Outcome


ROWS = [
    Row("plain", "clerk@court.example", "clerk@court.example", "court-app",
        Outcome("court-smtp", "table", "shared", "court")),
    Row("other login", "desk@police.example", "desk@police.example", "police-app",
        Outcome("police-smtp", "table", "shared", "police")),
    Row("implicit TLS", "office@tax.example", "office@tax.example", "tax-app",
        Outcome("tax-smtp", "table", "tax", "tax")),
    Row("mailing tool", "clerk@court.example", "v+7=x@tool.example", "court-app",
        Outcome("court-smtp", "carrier", "shared", "court")),
    Row("quoted envelope", "desk@police.example", '"a b"@tool.example', "police-app",
        Outcome("police-smtp", "carrier", "shared", "police")),
    Row("null sender", "clerk@court.example", "<>", "court-app",
        Outcome("court-smtp", "marker", "shared", "court")),
    Row("null sender, tax", "office@tax.example", "<>", "tax-app",
        Outcome("tax-smtp", "marker", "tax", "tax")),
    Row("one address", "fees@court.example", "fees@court.example", "tax-app",
        Outcome("tax-smtp", "table", "tax", "tax")),
    Row("a subdomain", "x@north.tax.example", "x@north.tax.example", "tax-app",
        Outcome("tax-smtp", "carrier", "tax", "tax")),
    Row("envelope alone", "news@other.example", "clerk@court.example", "court-app",
        Outcome("court-smtp", "table", "shared", "court")),
    Row("sendmail(1)", "clerk@court.example", "", "",
        Outcome("court-smtp", "carrier", "shared", "court")),
    Row("sendmail(1), <>", "clerk@court.example", "<>", "",
        Outcome("court-smtp", "marker", "shared", "court")),
    Row("nobody's", "anna@other.example", "v@tool.example", "court-app",
        Outcome("city-relay", "default", "default")),
    Row("foreign From", "clerk@court.example", "desk@police.example", "police-app",
        Outcome("refused", "refused")),
    Row("foreign envelope", "desk@police.example", "clerk@court.example", "police-app",
        Outcome("refused", "refused")),
]  # fmt: skip

HEADERS = ("MESSAGE", "FROM", "ENVELOPE", "LANE", "WAY", "SERVER, LOGIN", "")


def main() -> int:
    """Run the demo; the exit status tells whether every row is right."""
    if os.geteuid() != 0:
        click.echo(
            "the demo starts a private Postfix, which only root may: sudo make demo", err=True
        )
        return 1
    start = time.monotonic()
    click.echo("Starting a private Postfix, its next hops and Pointsman's daemons ...")
    with built() as city:
        furnish(city)
        click.echo(f"\nSending {len(ROWS)} messages by SMTP and sendmail(1) ...")
        results = [(row, verify(city, row, number)) for number, row in enumerate(ROWS)]
        show_log(city)
    click.echo(layout.table([shown(row, got) for row, got in results], HEADERS, None))
    wrong = [(row, got) for row, got in results if got != row.expected]
    for row, got in wrong:
        click.echo(f"WRONG: {row.title}: {got}, not {row.expected}")
    right = len(ROWS) - len(wrong)
    seconds = time.monotonic() - start
    click.echo(
        f"-- {right} of {len(ROWS)} rows are right, in {seconds:.0f} s; nothing is left running"
    )
    return 0 if right == len(ROWS) else 1


def furnish(city: City) -> None:
    """Do what an admin does, and show it."""
    for login, password in LOGINS.items():
        city.postfix.add_login(login, password)
    values = {
        "court": shlex.join(city.connector_options("shared", "court")),
        "police": shlex.join(city.connector_options("shared", "police")),
        "tax": shlex.join(city.connector_options("tax", "tax")),
        "relay": city.hops["default"].port,
    }
    for line in COMMANDS.strip().splitlines():
        command = shlex.split(line.format(**values))
        click.secho(f"$ pointsman {shorten(command, city)}", bold=True)
        click.echo(city.postfix.cli(*command), nl=False)
    city.settle()
    city.outlast_memory()


def shorten(command: Sequence[str], city: City) -> str:
    """The command as an admin would type it, without the demo's long paths."""
    return shlex.join(word.replace(str(city.folder), ".") for word in command)


def verify(city: City, row: Row, number: int) -> Outcome:
    """Send one message and find out what became of it."""
    subject = f"demo {number}"
    queue_id = submit(city, row, subject)
    way = city.decision(queue_id).split("way=")[1].split(",")[0]
    if way == "refused":
        return Outcome("refused", way)
    (received,) = city.arrived(subject)
    wait_until(lambda: city.lanes(queue_id), f"{queue_id} in the mail log")
    lane = city.lanes(queue_id)["someone@example.net"].removeprefix("postfix/pm-")
    return Outcome(lane, way, received.server, received.login)


def shown(row: Row, got: Outcome) -> list[str]:
    """A line of the table, which fits a screen of 100 columns."""
    server = ", ".join(filter(None, (got.server, got.login)))
    verdict = "ok" if got == row.expected else "!!"
    envelope = row.envelope or "(www-data)"
    return [row.title, row.from_, envelope, got.lane, got.way, server or "-", verdict]


def submit(city: City, row: Row, subject: str) -> str:
    """Hand the message in as the row says; return its queue id."""
    mark = city.postfix.log_size()
    content = client.message(row.from_, subject)
    if row.login:
        client.send_authenticated(
            city.postfix, row.envelope, "someone@example.net", content,
            row.login + REALM, LOGINS[row.login],
        )  # fmt: skip
    else:
        options = ["-f", row.envelope] if row.envelope else []
        client.sendmail(city.postfix, ["someone@example.net"], content, *options)
    line = city.postfix.wait_for_log(r"pointsman/milter\[\d+\]: (\S+): from=", since=mark)
    return line[1]


def show_log(city: City) -> None:
    """Two lines of the mail log, which is the audit trail."""
    click.echo("\nThe mail log tells why (grep any queue id):")
    lines = [line for line in city.postfix.log().splitlines() if "way=carrier" in line]
    queue_id = lines[0].split(": ")[1]
    for line in city.postfix.log().splitlines():
        if queue_id in line and ("from=" in line or "status=" in line):
            click.echo(f"  {line}")
    click.echo()


if __name__ == "__main__":
    sys.exit(main())
