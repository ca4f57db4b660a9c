"""Certificates and tokens that come to an end, with the time in the facts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lab.certs import Authority
from pointsman.checks.facts import EMPTY_BOOK, Facts
from pointsman.checks.table import judge
from pointsman.store.certificates import facts, read_pfx
from pointsman.store.providers import account_of
from pointsman.store.records import Connector


def found(connector, now, **more):
    """What is found of one connector."""
    book = replace(EMPTY_BOOK, connectors={connector.name: connector})
    return list(judge(Facts(now, book=book, **more)))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A CA of 60 days."""
    return Authority.create(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def connector(authority):
    """A live connector with a certificate."""
    path = authority.client("court", "pw", days=100)
    identity = read_pfx(path.read_bytes(), "pw", datetime.now(UTC))
    return Connector(
        "court",
        hosts=("h.test",),
        auth="certificate",
        certificate=identity.certificate,
        state="live",
    )


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (31, []),
        (30, []),
        (29.99, [("warning", "certificate-30")]),
        (7, [("warning", "certificate-30")]),
        (6.99, [("error", "certificate-7")]),
        (0.01, [("error", "certificate-7")]),
        (-0.01, [("error", "certificate-ended")]),
        (-100, [("error", "certificate-ended")]),
    ],
)
def test_certificate_is_found_in_time(connector, left, expected):
    """A warning from 30 days before its end, an error from 7, and when it is over."""
    now = facts(connector.certificate).not_after - timedelta(days=left)
    findings = found(connector, now)
    assert [(f.severity, f.kind) for f in findings] == expected
    for finding in findings:
        assert finding.name == "connector court"
        assert "pointsman connector set court --pfx" in finding.fix


def test_connector_without_one_or_disabled_is_no_finding(connector):
    """Nobody has to do anything about those."""
    now = datetime.now(UTC) + timedelta(days=1000)
    assert found(replace(connector, state="disabled"), now) == []
    assert found(Connector("c", hosts=("h.test",)), now) == []


@pytest.mark.parametrize(("days", "kinds"), [(20, []), (31, ["ca-ended"]), (70, ["ca-ended"])])
def test_ca_file_that_ends(authority, days, kinds):
    """Then the server's certificate is believed no more; the last one in the file counts."""
    ca = authority.ca_file.read_text()
    trusting = Connector("court", hosts=("h.test",), ca=ca, state="live")
    now = datetime.now(UTC) + timedelta(days=days)
    findings = found(trusting, now)
    assert [f.kind for f in findings] == kinds
    assert all("connector set court --ca-file FILE" in f.fix for f in findings)
    assert found(replace(trusting, state="disabled"), now) == []


TOKENED = Connector(
    "o",
    hosts=("h.test",),
    auth="oauth2",
    username="u@h.test",
    client_id="c",
    oauth_flow="device",
    token_url="https://h.test/",
    state="live",
)
LIFE = ("o", account_of(TOKENED))


@pytest.mark.parametrize(
    ("lives", "now", "kinds"),
    [
        ({LIFE: (0.0, 3600.0)}, 1800.0, []),
        ({LIFE: (0.0, 3600.0)}, 1900.0, ["token"]),
        ({LIFE: (0.0, 3600.0)}, 3600.0, ["token-ended"]),
        ({}, 0.0, ["token-ended"]),
        ({("o", "another account"): (0.0, 3600.0)}, 10.0, ["token-ended"]),
    ],
)
def test_token_that_is_not_renewed(lives, now, kinds):
    """While mail still goes it is a warning; and it must be this account's."""
    findings = found(TOKENED, datetime.fromtimestamp(now, UTC), tokens=lives)
    assert [f.kind for f in findings] == kinds
    assert all("connector authorize o" in f.fix for f in findings)


@pytest.mark.parametrize("state", ["new", "disabled"])
def test_token_that_nobody_needs(state):
    """Of a connector that takes no mail."""
    assert found(replace(TOKENED, state=state), datetime.fromtimestamp(0, UTC)) == []
