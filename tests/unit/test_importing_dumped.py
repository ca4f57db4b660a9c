"""mailcow and iRedMail: their tables, read as their own Postfix asks them."""

import pytest

from pointsman.importing.iredmail import read_iredmail
from pointsman.importing.mailcow import read_mailcow
from pointsman.importing.proposal import propose
from tests.unit.importing_dump import MAILCOW, dump_of
from tests.unit.importing_town import SEALING, book, service, town


@pytest.fixture
def mailcow(tmp_path):
    """What is made of mailcow's tables."""
    return propose(read_mailcow(dump_of(MAILCOW, tmp_path / "mailcow.sql")), book(), SEALING)


def texts(found):
    """All remarks, by what they are about."""
    said = {}
    for remark in found.remarks:
        said[remark.where] = f"{said.get(remark.where, '')}{remark.text}\n"
    return said


def test_mailcow_senders(mailcow):
    """Domains, alias domains, mailboxes and their aliases; the default way needs no link."""
    by_name = {c.name: c for c in mailcow.connectors}
    ways = {
        s.key: (by_name[s.connectors].hosts[0], by_name[s.connectors].username)
        for s in mailcow.senders
    }
    assert ways == {
        "@a.test": ("smtp.one.test:587", "one"),
        "@aka.test": ("smtp.one.test:587", "one"),
        "@d.test": ("smtp.one.test:587", "five"),
        "boss@a.test": ("smtp.two.test:587", "two"),
        "chief@a.test": ("smtp.two.test:587", "two"),
        "open@a.test": ("smtp.open.test:25", ""),
        "x@b.test": ("smtp.two.test:587", "two"),
    }
    assert by_name["smtp-one-test"].password == "sealed:pw:1"


def test_mailcow_tls(mailcow):
    """DANE, which it ships, becomes a verified certificate; an override counts."""
    tls = {c.hosts[0]: (c.tls, c.server_name) for c in mailcow.connectors}
    assert tls["smtp.one.test:587"] == ("starttls", "")
    assert tls["smtp.two.test:587"] == ("starttls", "two.test")
    assert "dane" in texts(mailcow)["connector smtp-one-test"]


def test_mailcow_remarks(mailcow):
    """What stays, what is left out, and where its two queries disagree."""
    found = texts(mailcow)
    assert "transports partner.test to [mx.partner.test]" in found
    assert "domain backup.test" in found
    assert "relayhosts [old.test]" in found
    assert "login of the domain's" in found["boss@a.test"]
    assert "x@b.test" not in found or "login" not in found["x@b.test"]
    assert "--login u@a.test --login x@b.test" in found["agency a-test"]
    assert not any("pw" in text for text in found.values())


def test_iredmail(tmp_path):
    """The relay hosts are the dump's, logins and TLS are main.cf's."""
    tables = {
        "sender_relayhost": (
            "id account relayhost",
            [(1, "@a.test", "[r.test]:587"), (2, "u@b.test", "[r.test]:587")],
        ),
        "domain": (
            "domain transport backupmx active",
            [("a.test", "dovecot", 0, 1), ("far.test", "smtp:[far.test]", 0, 1)],
        ),
        "mailbox": ("username transport active", [("u@a.test", "", 1), ("v@a.test", "x:y", 0)]),
    }
    smtp = service(passwords={"[r.test]:587": "r:pw"}, smtp_sasl_auth_enable="yes")
    there = town({"@other.test": "[listed.test]"}, services=[smtp])
    read = read_iredmail(dump_of(tables, tmp_path / "vmail.sql"), there)
    found = propose(read, book(), SEALING)
    assert [(s.key, s.connectors) for s in found.senders] == [
        ("@a.test", "r-test"),
        ("u@b.test", "r-test"),
        ("@other.test", "listed-test"),
    ]
    assert found.connectors[0].username == "r"
    assert "smtp:[far.test]" in texts(found)["domain far.test"]
    assert "--login u@a.test`" in texts(found)["agency a-test"]
    assert "mailbox v@a.test" in texts(found)
