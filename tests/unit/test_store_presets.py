"""Presets: what a provider asks for is filled in, and what it refuses is refused."""

from dataclasses import fields, replace

import pytest

from pointsman.errors import UsageError
from pointsman.store.combinations import check_connector
from pointsman.store.fields import check_values
from pointsman.store.presets import OTHER, PRESETS, filled
from pointsman.store.records import Connector

LOGIN = {"username": "court", "password": "sealed"}
NEEDED = {"ses": {"region": "eu-west-1"}, "office365-relay": {"host": "c.test:25"}}
TODAY = ("none", "password")


def made(preset, auth="", **given):
    """A connector as `connector add` makes it with little more than the preset."""
    needed = NEEDED.get(preset, {})
    values = {"preset": preset, **given}
    if "host" in needed:
        values.setdefault("hosts", (needed["host"],))
    if auth:
        values["auth"] = auth
    return Connector("a", **filled(preset, needed.get("region", ""), values))


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {OTHER}))
def test_preset_makes_a_whole_connector(preset):
    """Every value passes the checks that an admin's own would; TLS is verified."""
    assert made(preset).auth == PRESETS[preset].auths[0]
    for auth in set(PRESETS[preset].auths) & set(TODAY):
        login = LOGIN if auth == "password" else {}
        connector = made(preset, auth, **login)
        assert check_connector(connector) == connector
        names = {field.name for field in fields(Connector)} - {"name", "state", "password"}
        values = {name: getattr(connector, name) for name in names}
        assert check_values(Connector, values) == values
        assert connector.tls == "starttls"


def test_what_the_admin_says_counts():
    """A preset fills in, it does not overrule."""
    connector = made("sendgrid", hosts=("smtp.eu.sendgrid.net",), username="x", rate="5/minute")
    assert (connector.hosts, connector.username) == (("smtp.eu.sendgrid.net",), "x")
    assert connector.rate == "5/minute"
    assert made("sendgrid").username == "apikey"


def test_microsofts_limits_are_the_connectors():
    """30 messages a minute and 3 connections for a mailbox."""
    connector = made("office365")
    assert connector.servers == "smtp.office365.com:587"
    assert (connector.processes, connector.envelope) == (3, "align")
    assert connector.rate == "30/minute; 10000 recipients/day"


@pytest.mark.parametrize(
    ("preset", "region", "host"),
    [
        ("ses", "eu-west-1", "email-smtp.eu-west-1.amazonaws.com:587"),
        ("mailgun", "", "smtp.mailgun.org:587"),
        ("mailgun", "us", "smtp.mailgun.org:587"),
        ("mailgun", "eu", "smtp.eu.mailgun.org:587"),
    ],
)
def test_region_is_in_the_host(preset, region, host):
    """Where the account is."""
    assert filled(preset, region, {})["hosts"] == (host,)


@pytest.mark.parametrize(
    ("preset", "region", "words"),
    [
        ("ses", "", "--preset ses needs --region: AWS's name of the region"),
        ("mailgun", "mars", "'mars': choose from us, eu"),
        ("gmail", "eu", "--preset gmail has no regions"),
        ("other", "eu", "--preset other has no regions"),
        ("office365-relay", "", "needs --host: --host is the tenant's own"),
    ],
)
def test_what_is_missing_is_said(preset, region, words):
    """Before anything is written."""
    with pytest.raises(UsageError, match=words):
        filled(preset, region, {})


def test_login_that_the_provider_does_not_take_is_refused():
    """With those that it takes, and with the way out."""
    connector = replace(made("office365"), auth="password", **LOGIN)
    with pytest.raises(UsageError) as caught:
        check_connector(connector)
    assert str(caught.value) == (
        "--preset office365 takes --auth oauth2, not password; for a server that differs, use "
        "--preset other"
    )
