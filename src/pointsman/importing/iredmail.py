"""Reads a dump of iRedMail's database: who has a relay host of his own.

Its table sender_relayhost is what sender_dependent_relayhost_maps asks; the rest is main.cf's.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from pointsman.importing.dumps import Layout, Row, read_dump
from pointsman.importing.postfix import RELAYHOSTS
from pointsman.importing.read import Read, Remark
from pointsman.importing.tables import fixed

_LAYOUT = Layout(
    {"sender_relayhost": "account relayhost"},
    {"domain": "domain", "mailbox": "username", "throttle": "account"},
)
# The tables of main.cf that ask the database.
_SQL = re.compile(r"\b(mysql|pgsql|sqlite):")
_TABLE = "sender_relayhost"
_HOME = ("", "dovecot", "virtual", "lmtp", "local", "mlmmj", "error", "discard")


def read_iredmail(dump: str, postfix: Read) -> Read:
    """A dump together with the instance that asks the database."""
    rows = read_dump(dump, _LAYOUT)
    relays = {row["account"]: row["relayhost"] for row in rows[_TABLE] if row["relayhost"]}
    users = [row["username"] for row in rows["mailbox"] if row.get("active", "1") == "1"]
    others = tuple(table for table in postfix.relayhosts if not _SQL.search(table.name))
    return replace(
        postfix,
        relayhosts=(fixed(_TABLE, relays), *others),
        logins=(fixed("mailbox", {user: user for user in users}),),
        remarks=(*filter(_still_so, postfix.remarks), *_remarks(rows)),
    )


def _still_so(remark: Remark) -> bool:
    """Not of the table in the database, which the dump lists."""
    return not (remark.where.startswith(RELAYHOSTS) and _SQL.search(remark.where))


def _remarks(rows: dict[str, list[Row]]) -> Iterator[Remark]:
    for row in rows["domain"]:
        yield from _inbound(row, f"domain {row['domain']}")
    for row in rows["mailbox"]:
        yield from _inbound(row, f"mailbox {row['username']}")
    for row in rows["throttle"]:
        yield Remark(
            "is iRedAPD's rate, and stays there: the imported agencies have none",
            f"throttle {row['account']}",
        )


def _inbound(row: Row, where: str) -> Iterator[Remark]:
    transport = row.get("transport", "")
    if row.get("backupmx", "0") == "1" or transport.partition(":")[0] not in _HOME:
        yield Remark(
            f"mail to it goes by {transport}: that goes by recipient, and stays as it is",
            where,
        )
