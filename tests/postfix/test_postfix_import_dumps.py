"""Postfix asks a database as mailcow's and iRedMail's do; their dump imported, nothing changes.

The database is SQLite, which Postfix reads as it reads theirs; the queries do what theirs do.
"""

import json
import re
import sqlite3
from contextlib import closing

import pytest

from tests.postfix.old_town import LOGINS, add_map, enable_all, move_in, old_town, ways
from tests.unit.importing_dump import dump_of


@pytest.fixture
def city():
    """An instance with its servers, without maps of senders."""
    with old_town() as city:
        yield city


def fill(city, tables):
    """Put tables into a database, and return its path."""
    path = city.postfix.config_directory / "mail.db"
    with closing(sqlite3.connect(path)) as database:
        for name, (columns, rows) in tables.items():
            database.execute(f"CREATE TABLE {name} ({', '.join(columns.split())})")
            for row in rows:
                values = [json.dumps(v) if isinstance(v, dict) else str(v) for v in row]
                marks = ", ".join("?" * len(values))
                database.execute(f"INSERT INTO {name} VALUES ({marks})", values)
        database.commit()
    return path


def add_query(city, name, database, query):
    """A table that asks the database."""
    path = city.postfix.config_directory / f"{name}.cf"
    path.write_text(f"dbpath = {database}\nquery = {' '.join(query.split())}\n")
    return f"sqlite:{path}"


def lanes(city, mark):
    """The lanes that delivered since."""
    return re.findall(r"postfix/(pm-[^/]*)/smtp.*status=sent", city.postfix.log(mark))


def test_iredmail(city):
    """Relay hosts from the dump, logins and TLS from main.cf."""
    shared, plain = (f"[localhost]:{city.hops[name].port}" for name in ("shared", "plain"))
    rows = [(1, "@a.test", shared), (2, "boss@a.test", plain), (3, "x@b.test", shared)]
    tables = {"sender_relayhost": ("id account relayhost", rows)}
    query = "SELECT relayhost FROM sender_relayhost WHERE account='%s' LIMIT 1"
    city.postfix.set(
        sender_dependent_relayhost_maps=add_query(city, "relay", fill(city, tables), query),
        smtp_sasl_auth_enable="yes",
        smtp_sasl_security_options="noanonymous",
        smtp_sasl_password_maps=add_map(
            city, "lmdb", "sasl_passwd", {shared: f"court:{LOGINS['court']}"}
        ),
        smtp_tls_policy_maps=add_map(city, "lmdb", "policy", {shared: "secure"}),
        smtp_tls_CAfile=str(city.authority.ca_file),
    )
    senders = ("u@a.test", "u+x@a.test", "boss@a.test", "x@b.test", "y@b.test")
    before = ways(city, senders, "before")
    assert before["u@a.test"][:2] == ("shared", "court")
    move_in(city)
    done = city.cli("import", "iredmail", dump_of(tables, city.folder / "vmail.sql"), "--yes")
    enable_all(city, done)
    mark = city.postfix.log_size()
    assert ways(city, senders, "after") == before
    assert len(lanes(city, mark)) == 4


TRANSPORT = """
SELECT (CASE WHEN EXISTS (SELECT 1 FROM alias JOIN mailbox ON mailbox.username = goto
          WHERE address = '%s' AND json_extract(attributes, '$.tls_enforce_out') = '1')
        THEN 'smtp_enforced_tls:' ELSE 'smtp:' END) || COALESCE(
  (SELECT hostname FROM relayhosts JOIN mailbox ON json_extract(attributes, '$.relayhost') = id
    WHERE relayhosts.active = '1' AND mailbox.username IN
      (SELECT goto FROM alias WHERE alias.active = '1' AND address = '%s')),
  (SELECT hostname FROM relayhosts JOIN domain ON domain.relayhost = id
    WHERE relayhosts.active = '1' AND (domain.domain = '%d' OR domain.domain IN
      (SELECT target_domain FROM alias_domain WHERE alias_domain = '%d'))), '')
"""
LOGIN = """
SELECT username || ':' || password FROM relayhosts
WHERE active = '1' AND username != '' AND id = COALESCE(
  (SELECT id FROM relayhosts JOIN domain ON domain.relayhost = id
    WHERE relayhosts.active = '1' AND (domain.domain = '%d' OR domain.domain IN
      (SELECT target_domain FROM alias_domain WHERE alias_domain = '%d'))),
  (SELECT id FROM relayhosts JOIN mailbox ON json_extract(attributes, '$.relayhost') = id
    WHERE relayhosts.active = '1' AND mailbox.username IN
      (SELECT goto FROM alias WHERE alias.active = '1' AND address = '%s')))
"""


def mailcow_tables(city):
    """Domains and mailboxes with relay hosts of their own."""
    shared, plain = (f"[localhost]:{city.hops[name].port}" for name in ("shared", "plain"))
    return {
        "relayhosts": (
            "id hostname username password active",
            [
                (1, shared, "court", LOGINS["court"], 1),
                (2, shared, "police", LOGINS["police"], 1),
                (3, plain, "", "", 1),
                (4, plain, "old", "old", 0),
            ],
        ),
        "transports": ("id destination nexthop username password is_mx_based active", []),
        "domain": (
            "domain relayhost backupmx active",
            [("a.test", 1, 0, 1), ("b.test", 0, 0, 1), ("c.test", 4, 0, 1), ("d.test", 3, 0, 1)],
        ),
        "alias_domain": ("alias_domain target_domain active", [("aka.test", "a.test", 1)]),
        "alias": (
            "id address goto domain active",
            [
                (1, "u@b.test", "u@b.test", "b.test", 1),
                (2, "nick@b.test", "u@b.test", "b.test", 1),
                (3, "safe@a.test", "safe@a.test", "a.test", 1),
            ],
        ),
        "mailbox": (
            "username attributes domain active",
            [
                ("u@b.test", {"relayhost": "2"}, "b.test", 1),
                ("safe@a.test", {"relayhost": "0", "tls_enforce_out": "1"}, "a.test", 1),
            ],
        ),
        "sender_acl": ("id logged_in_as send_as external", []),
        "tls_policy_override": ("id dest policy parameters active", [(1, plain, "none", "", 1)]),
    }


def test_mailcow(city):
    """Of a domain, its alias, a mailbox, its alias: host and login are those of before."""
    tables = mailcow_tables(city)
    database = fill(city, tables)
    city.postfix.postfix(
        "postconf",
        "-M",
        "smtp_enforced_tls/unix=smtp_enforced_tls unix - - n - - smtp "
        "-o smtp_tls_security_level=encrypt",
    )
    city.postfix.set(
        sender_dependent_default_transport_maps=add_query(city, "way", database, TRANSPORT),
        smtp_sasl_auth_enable="yes",
        smtp_sender_dependent_authentication="yes",
        smtp_sasl_security_options="",
        smtp_sasl_password_maps=add_query(city, "login", database, LOGIN),
        smtp_tls_security_level="may",
    )
    senders = (
        *("x@a.test", "x+y@a.test", "x@aka.test", "safe@a.test", "u@b.test", "nick@b.test"),
        *("other@b.test", "x@c.test", "x@d.test"),
    )
    before = ways(city, senders, "before")
    assert [before[s][:2] for s in ("x@aka.test", "nick@b.test", "x@c.test", "x@d.test")] == [
        ("shared", "court"),
        ("shared", "police"),
        ("default", ""),
        ("plain", ""),
    ]
    move_in(city)
    done = city.cli("import", "mailcow", dump_of(tables, city.folder / "mailcow.sql"), "--yes")
    assert "answers for everybody" in done
    assert "answers for everybody" in city.cli("import", "postfix")
    enable_all(city, done, str(city.authority.ca_file))
    mark = city.postfix.log_size()
    assert ways(city, senders, "after") == before
    assert len(lanes(city, mark)) == len(senders) - 2
