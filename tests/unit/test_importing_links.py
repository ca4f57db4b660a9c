"""Links are made so that no mail changes its way by them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.importing.links import links_of
from pointsman.importing.named import ANYBODY, candidates
from pointsman.importing.read import Odd
from pointsman.importing.routes import route_of
from pointsman.importing.tables import Table, fixed
from pointsman.importing.ways import way_of
from pointsman.routing.address import lookup_keys, split_address
from tests.unit.importing_town import service, town

SENDERS = [
    f"{local}@{domain}"
    for local in ("u", "v", "u+x", "u+y", "anybody")
    for domain in ("a.test", "b.test", "mx.test")
]
SAYS = {"smtp_sasl_auth_enable": "yes", "smtp_sender_dependent_authentication": "yes"}


def linked(found, address):
    """The way that our own rules find for an address."""
    keys = lookup_keys(split_address(address))
    return next((found.ways[key] for key in keys if key in found.ways), None)


def said(found):
    """The remarks about each key."""
    return {remark.where.partition(" ")[0]: remark.text for remark in found.remarks}


_keys = st.sampled_from([*SENDERS, "u", "@a.test", "@b.test", "@mx.test"])
_hops = st.sampled_from(["[r1.test]", "[r2.test]:587", "DUNNO", "mx.test", "unix:odd"])
_transports = st.sampled_from(["smtp:", "smtp:[r1.test]", "fax:x", "relay:[r3.test]", "DUNNO"])
_logins = st.sampled_from(["one:1", "two:2", "no-password"])


@given(
    relays=st.dictionaries(_keys, _hops, max_size=6),
    transports=st.dictionaries(_keys, _transports, max_size=4),
    passwords=st.dictionaries(_keys | st.just("r1.test"), _logins, max_size=4),
    relayhost=st.sampled_from(["", "[r1.test]", "[r9.test]"]),
)
def test_no_sender_changes_its_way(relays, transports, passwords, relayhost):
    """Whatever the maps: a link leads where Postfix led; what leads elsewhere is said."""
    services = [service(name, passwords, **SAYS) for name in ("smtp", "relay")]
    read = town(
        relays,
        transports,
        [*services, service("fax", program="pipe")],
        relayhost=relayhost,
        exchangers=lambda _domain: ("mx1.test",),
    )
    found = links_of(read)
    for address in SENDERS:
        route, way = route_of(read, address), linked(found, address)
        if way is not None:
            assert way == way_of(read, route)
        elif route != found.default:
            keys = set(lookup_keys(split_address(address)))
            assert keys & set(said(found)), address


def test_a_link_for_what_differs():
    """A domain, and of its addresses those that go another way."""
    relays = {"@a.test": "[one]", "u@a.test": "[one]", "v@a.test": "[two]", "w@b.test": "[two]"}
    found = links_of(town(relays))
    assert {k: w.hosts for k, w in found.ways.items()} == {
        "@a.test": ("one:25",),
        "v@a.test": ("two:25",),
        "w@b.test": ("two:25",),
    }
    assert not found.remarks


def test_an_address_that_goes_as_its_domain_needs_no_link():
    """The domain's link comes before the admin's row for the address."""
    rows = {"@a.test": "smtp:[one]", "u@a.test": "smtp:[one]"}
    assert list(links_of(town(transports=rows)).ways) == ["@a.test"]
    assert list(links_of(town({"@a.test": "[one]", "u@a.test": "[one]"})).ways) == ["@a.test"]


@pytest.mark.parametrize(
    ("answers", "text"),
    [({}.get, "more addresses of linked domains"), (lambda _key: "smtp:", "for everybody")],
)
def test_tables_of_transports_that_cant_be_listed(answers, text):
    """What they know besides is overruled by links, and overrules a default relay of ours."""
    pattern = Table("pcre:x", answers, pattern=True)
    read = replace(town(), transports=(fixed("t", {"@a.test": "smtp:[one]"}), pattern))
    assert [text in remark.text for remark in links_of(read).remarks] == [True]


def test_an_exception_to_a_domain_goes_by_the_default_relay():
    """DUNNO means relayhost, which is a way like any other."""
    found = links_of(town({"@a.test": "[one]", "u@a.test": "DUNNO"}, relayhost="[all]"))
    assert found.ways["u@a.test"].hosts == ("all:25",)


def test_a_domain_is_withheld_for_an_address_that_cant_be_left_out():
    """Linked as a whole, it would take along u, which goes to its recipients' servers."""
    found = links_of(town({"@a.test": "[one]", "u@a.test": "DUNNO", "v@a.test": "[two]"}))
    assert list(found.ways) == ["v@a.test"]
    assert "u@a.test" in said(found)["@a.test"]
    assert "MX" in said(found)["@a.test"]


def test_what_goes_the_common_way_needs_no_link():
    """Even if a map names it."""
    found = links_of(town({"@a.test": "[all]"}, relayhost="[all]"))
    assert (found.ways, found.remarks) == ({}, [])


def test_a_login_of_its_own_at_the_common_server():
    """smtp_sasl_password_maps alone may tell senders apart."""
    smtp = service(passwords={"@a.test": "a:1", "[all]": "common:2"}, **SAYS)
    found = links_of(town(services=[smtp], relayhost="[all]"))
    assert [(k, w.username, w.hosts) for k, w in found.ways.items()] == [
        ("@a.test", "a", ("all:25",))
    ]


def test_bare_names_stand_for_local_domains():
    """`root` in a map of senders is root@ each of them."""
    found = links_of(town({"root": "[one]"}))
    assert list(found.ways) == ["root@mx.test"]


def test_keys_are_normal_and_probes_are_nobody():
    """Case is folded; a domain is looked at through an address that nobody has."""
    read = town({"U@A.Test": "[one]", "<>": "[two]", '"bad': "[x]"})
    assert list(candidates(read)) == ["@a.test", "u@a.test", "@mx.test", '"bad@mx.test']
    assert route_of(read, f"{ANYBODY}@a.test").nexthop == ""


def test_either_spelling_of_an_international_domain():
    """Postfix takes the two for two domains, a link for one: asked for as the table spells it."""
    found = links_of(town({"@b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.test": "[one]"}))
    assert list(found.ways) == ["@xn--bcher-kva.test"]


def test_a_sender_that_cant_be_linked_keeps_its_domain_out():
    """As one whose way can't be expressed."""
    found = links_of(town({"@a.test": "[one]", "x@y@a.test": "[two]"}))
    assert not found.ways
    assert "is not a sender" in said(found)["@a.test"]


def test_extensions_that_went_another_way_are_said():
    """A pattern knows user@domain alone, a link user+extension as well."""
    pattern = Table("pcre:x", {"u@a.test": "[one]"}.get, ("u@a.test",), pattern=True)
    found = links_of(town(relayhosts=(pattern,)))
    assert list(found.ways) == ["u@a.test"]
    assert "extension" in said(found)["u@a.test"]


def test_null_sender_is_said():
    """It is no sender that could be linked."""
    found = links_of(town({"<>": "[bounces]"}))
    assert not found.ways
    assert "--null-sender" in said(found)["<>"]


def test_tables_that_cant_be_listed_are_asked_at_once():
    """For the senders that others name, with one question."""
    asked = []
    table = Table("mysql:x", lambda _key: None, learn=lambda keys: asked.append(list(keys)))
    links_of(town(relayhosts=(fixed("t", {"u@a.test": "[one]"}), table)))
    assert len(asked) == 1
    assert {"u@a.test", f"{ANYBODY}@a.test"} <= set(asked[0])


@pytest.mark.parametrize("why", ["gone:[h]", "smtp:a:b:c"])
def test_remarks_name_map_and_key(why):
    """So that it can be found."""
    (remark,) = links_of(town(transports={"@a.test": why})).remarks
    assert remark.where == "@a.test (hash:transport: @a.test)"
    assert isinstance(way_of(town(), route_of(town(transports={"@a.test": why}), "x@a.test")), Odd)
