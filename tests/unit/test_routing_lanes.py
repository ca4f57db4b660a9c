"""Whose a message is, which lane it takes, and who may send it."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.routing.address import NULL, parse_path
from pointsman.routing.lanes import Client, find_link, forbidden, may_send, route_of
from pointsman.routing.snapshot import Agency


@pytest.mark.parametrize(
    ("sender", "key"),
    [
        ("clerk+vip@a.test", "clerk+vip@a.test"),
        ("clerk+other@a.test", "clerk@a.test"),
        ("clerk@a.test", "clerk@a.test"),
        ("CLERK@A.TEST.", "clerk@a.test"),
        ('"clerk"@a.test', "clerk@a.test"),
        ("boss@a.test", "@a.test"),
        ("x@sub.a.test", "@.a.test"),
        ("x@deep.sub.a.test", "@.a.test"),
        ("x@b\u00fccher.test", "@xn--bcher-kva.test"),
        ("x@XN--BCHER-KVA.test", "@xn--bcher-kva.test"),
        ("x@sub.b.test", None),
        ("x@nota.test", None),
        ("clerk", None),
        ("", None),
    ],
)
def test_most_precise_link_counts(town, sender, key):
    """user+ext, user, domain, parent domain: the first that is linked decides."""
    found = find_link(town, parse_path(sender))
    assert key == (found and found[0])


@pytest.mark.parametrize(
    ("author", "envelope", "expected"),
    [
        ("clerk@a.test", "x@b.test", ("a", "a", "from", "clerk@a.test")),
        ("clerk+vip@a.test", "x@b.test", ("a", "tax", "from", "clerk+vip@a.test")),
        ("x@vendor.test", "x@b.test", ("b", "b", "envelope", "@b.test")),
        (None, "x@b.test", ("b", "b", "envelope", "@b.test")),
        ("x@a.test", "", ("a", "a", "from", "@a.test")),
        ("x@vendor.test", "y@vendor.test", ("default", "postfix", "default", "")),
        (None, "", ("default", "postfix", "default", "")),
    ],
)
def test_from_decides_before_envelope_before_default(town, author, envelope, expected):
    """One precedence names agency, connector, and what said so."""
    author = parse_path(author) if author else None
    route = route_of(town, author, "from", parse_path(envelope))
    assert expected == (route.agency, route.connector, route.by, route.key)


def test_route_names_the_address_that_decided(town):
    """For `envelope: align` the lane must know whose link it was."""
    author, envelope = parse_path("Clerk@a.test"), parse_path("x@vendor.test")
    assert author == route_of(town, author, "sender", envelope).address
    assert route_of(town, author, "sender", envelope).by == "sender"
    assert route_of(town, None, "from", envelope).address is None


@pytest.mark.parametrize("default", ["b", "none"])
def test_unmatched_mail_takes_the_default_relay(town, default):
    """The default relay is the admin's choice, and may be none."""
    route = route_of(replace(town, default=default), None, "from", parse_path("x@vendor.test"))
    assert ("default", default, "default") == (route.agency, route.connector, route.by)


@pytest.mark.parametrize(
    ("agency", "client", "allowed"),
    [
        ("a", Client("a-app"), True),
        ("a", Client("A-APP"), False),
        ("a", Client("b-app"), False),
        ("a", Client(""), False),
        ("a", Client("", "192.0.2.9"), True),
        ("a", Client("b-app", "192.0.2.9"), True),
        ("a", Client("", "192.0.3.9"), False),
        ("a", Client("", "::ffff:192.0.2.9"), True),
        ("a", Client("", "::ffff:192.0.3.9"), False),
        ("a", Client("", "2001:db8::25"), True),
        ("a", Client("", "2001:db9::25"), False),
        ("a", Client("", None), False),
        ("a", Client("", ""), False),
        ("a", Client("", "unknown"), False),
        ("a", Client("", "/run/socket"), False),
        ("b", Client("b-app", "203.0.113.1"), True),
        ("b", Client("", "192.0.2.9"), False),
        ("b", Client("shared-app"), True),
        ("a", Client("shared-app"), True),
        ("open", Client(), True),
        ("default", Client(), True),
    ],
)
def test_login_or_network_or_any_client_may_send(town, agency, client, allowed):
    """One of the three is needed, and a login may serve several agencies."""
    assert allowed is bool(may_send(town.agencies[agency], client))


def test_nobody_may_send_for_an_agency_that_lists_nobody():
    """An empty login is no login, even where the list holds one by mistake."""
    assert not may_send(Agency("x"), Client("", "192.0.2.1"))
    assert not may_send(Agency("x", frozenset({""})), Client("", "192.0.2.1"))


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 32))
def test_mapped_address_is_the_address(client, network, prefix):
    """An IPv4 client may do the same whether Postfix shows it mapped or not."""
    agency = Agency("x", networks=(ip_network(f"{network}/{prefix}", strict=False),))
    plain = may_send(agency, Client("", str(client)))
    assert plain is may_send(agency, Client("", f"::ffff:{client}"))
    assert plain is (client in agency.networks[0])


@pytest.mark.parametrize(
    ("addresses", "client", "expected"),
    [
        (["clerk@a.test", "x@b.test"], Client("shared-app"), None),
        (["clerk@a.test", "x@b.test"], Client("a-app"), "x@b.test"),
        (["clerk@a.test", "x@b.test"], Client("b-app"), "clerk@a.test"),
        (["clerk@a.test", "x@b.test"], Client("other"), "clerk@a.test"),
        (["x@vendor.test", "x@b.test"], Client("other"), "x@b.test"),
        (["x@vendor.test", ""], Client("other"), None),
        (["x@open.test"], Client("other"), None),
        ([], Client("other"), None),
    ],
)
def test_each_address_must_be_permitted(town, addresses, client, expected):
    """The first address whose agency does not list the client is named."""
    found = forbidden(town, [parse_path(a) for a in addresses], client)
    assert expected == (None if found is None else str(found))
    assert found != NULL


@pytest.mark.parametrize(
    ("client", "words"),
    [
        (Client("a-app", "192.0.2.1"), "login a-app"),
        (Client("", "192.0.2.1"), "client 192.0.2.1"),
        (Client(), "client unknown"),
    ],
)
def test_client_is_named_as_known(client, words):
    """A refusal names the login, else the address."""
    assert words == str(client)
