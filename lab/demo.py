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
from tabulate import tabulate

from lab import client
from lab.city import City, built
from lab.instance import wait_until

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
class Row:
    """One message: what is sent, and what should become of it."""

    title: str
    from_: str
    envelope: str
    login: str  # "" for sendmail(1)
    lane: str  # "refused" if the client may not
    way: str
    server: str
    server_login: str


ROWS = [
    Row("plain", "clerk@court.example", "clerk@court.example", "court-app",
        "pm-court-smtp", "table", "shared", "court"),
    Row("same server, other login", "desk@police.example", "desk@police.example", "police-app",
        "pm-police-smtp", "table", "shared", "police"),
    Row("implicit TLS", "office@tax.example", "office@tax.example", "tax-app",
        "pm-tax-smtp", "table", "tax", "tax"),
    Row("mailing tool (VERP)", "clerk@court.example", "v+7=x@vendor.example", "court-app",
        "pm-court-smtp", "carrier", "shared", "court"),
    Row("quoted envelope", "desk@police.example", '"a b"@vendor.example', "police-app",
        "pm-police-smtp", "carrier", "shared", "police"),
    Row("null sender", "clerk@court.example", "<>", "court-app",
        "pm-court-smtp", "marker", "shared", "court"),
    Row("null sender, tax", "office@tax.example", "<>", "tax-app",
        "pm-tax-smtp", "marker", "tax", "tax"),
    Row("address before domain", "fees@court.example", "fees@court.example", "tax-app",
        "pm-tax-smtp", "table", "tax", "tax"),
    Row("a subdomain", "x@north.tax.example", "x@north.tax.example", "tax-app",
        "pm-tax-smtp", "carrier", "tax", "tax"),
    Row("envelope alone", "news@other.example", "clerk@court.example", "court-app",
        "pm-court-smtp", "table", "shared", "court"),
    Row("sendmail(1), www-data", "clerk@court.example", "", "",
        "pm-court-smtp", "carrier", "shared", "court"),
    Row("sendmail(1), null sender", "clerk@court.example", "<>", "",
        "pm-court-smtp", "marker", "shared", "court"),
    Row("nobody's", "someone@other.example", "v@vendor.example", "court-app",
        "pm-city-relay", "default", "default", ""),
    Row("police writes court's From", "clerk@court.example", "desk@police.example", "police-app",
        "refused", "refused", "", ""),
    Row("police writes court's envelope", "desk@police.example", "clerk@court.example",
        "police-app", "refused", "refused", "", ""),
]  # fmt: skip

HEADERS = ("MESSAGE", "FROM", "ENVELOPE", "EXPECTED", "LANE TAKEN", "WAY", "SERVER, LOGIN", "")


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
        results = [verify(city, row, number) for number, row in enumerate(ROWS)]
        show_log(city)
    right = sum(result[-1] == "ok" for result in results)
    click.echo(tabulate(results, headers=HEADERS, tablefmt="simple", disable_numparse=True))
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


def verify(city: City, row: Row, number: int) -> list[str]:
    """Send one message and find out what became of it."""
    subject = f"demo {number}"
    queue_id = submit(city, row, subject)
    decision = city.decision(queue_id)
    way = decision.split("way=")[1].split(",")[0]
    lane, server = ("refused", "") if way == "refused" else outcome(city, queue_id, subject)
    expected_server = f"{row.server}, {row.server_login or 'no login'}" if row.server else ""
    right = (lane, way, server) == (row.lane, row.way, expected_server)
    verdict = "ok" if right else "WRONG"
    envelope = row.envelope or "(www-data)"
    return [row.title, row.from_, envelope, row.lane, lane, way, server, verdict]


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


def outcome(city: City, queue_id: str, subject: str) -> tuple[str, str]:
    """Lane by the mail log, server and login by the server."""
    (received,) = city.arrived(subject)
    wait_until(lambda: city.lanes(queue_id), f"{queue_id} in the mail log")
    lane = city.lanes(queue_id)["someone@example.net"].removeprefix("postfix/")
    return lane, f"{received.server}, {received.login or 'no login'}"


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
