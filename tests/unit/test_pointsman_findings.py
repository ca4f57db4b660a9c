"""What `check` finds, with the time as an argument."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lab.certs import Authority
from pointsman.findings import ailing_tokens, ending_certificates
from pointsman.store.certificates import facts, read_pfx
from pointsman.store.providers import account_of
from pointsman.store.records import Connector


@pytest.fixture(scope="module")
def connector(tmp_path_factory):
    """A live connector with a certificate."""
    path = Authority.create(tmp_path_factory.mktemp("ca")).client("court", "pw", days=100)
    found = read_pfx(path.read_bytes(), "pw", datetime.now(UTC))
    return Connector(
        "court", hosts=("h.test",), auth="certificate", certificate=found.certificate, state="live"
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
    found = list(ending_certificates([connector], now))
    assert [(f.severity, f.kind) for f in found] == expected
    for finding in found:
        assert finding.name == "connector court"
        assert "pointsman connector set court --pfx" in finding.fix


def test_connector_without_one_or_disabled_is_no_finding(connector):
    """Nobody has to do anything about those."""
    disabled = Connector("b", certificate=connector.certificate, state="disabled")
    now = datetime.now(UTC) + timedelta(days=1000)
    assert list(ending_certificates([Connector("c"), disabled], now)) == []


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
    found = list(ailing_tokens([TOKENED], lives, now))
    assert [f.kind for f in found] == kinds
    assert all("connector authorize o" in f.fix for f in found)


@pytest.mark.parametrize("state", ["new", "disabled"])
def test_token_that_nobody_needs(state):
    """Of a connector that takes no mail."""
    assert list(ailing_tokens([replace(TOKENED, state=state)], {}, 0.0)) == []
