"""Which keys Postfix asks for, in which order, and what it makes of the answers."""

import pytest

from pointsman.importing.hops import hops
from pointsman.importing.read import Odd
from pointsman.importing.routes import route_of
from pointsman.importing.tables import Local, Table, constant, find, find_address, fixed
from tests.unit.importing_town import HERE, service, town

KEYS = ["user+ext@mx.test", "user@mx.test", "user+ext", "user", "@mx.test"]


@pytest.mark.parametrize("there", range(1, len(KEYS) + 1))
def test_the_most_precise_key_counts(there):
    """The whole address, without extension, the bare name of a local domain, the domain."""
    known = KEYS[-there:]
    found = find_address((fixed("t", {key: key for key in known}),), "user+ext@mx.test", HERE)
    assert found.key == known[0]


def test_a_key_is_asked_for_in_all_tables_before_the_next_key():
    """As maps(3) does: the domain in the first table loses to the address in the second."""
    tables = (fixed("first", {"@a.test": "1"}), fixed("second", {"u@a.test": "2"}))
    assert find_address(tables, "u@a.test", HERE).table == "second"
    assert find_address(tables, "v@a.test", HERE).table == "first"


def test_patterns_are_asked_for_the_whole_address_alone():
    """So a pattern for user@domain is no answer for user+ext@domain."""
    pattern = Table("pcre", {"u@a.test": "1", "@a.test": "2"}.get, pattern=True)
    assert find_address((pattern,), "u@a.test", HERE).value == "1"
    assert find_address((pattern,), "u+x@a.test", HERE) is None
    assert find((pattern,), "u@a.test").value == "1"


@pytest.mark.parametrize(
    ("address", "delimiter", "found"),
    [
        ("u+x@a.test", "+", "1"),
        ("u+x@a.test", "", None),
        ("u-x@a.test", "+-", "1"),
        ("+x@a.test", "+", None),
        ("U@A.Test", "+", "1"),
        ("user@other.test", "+", None),
    ],
)
def test_extensions(address, delimiter, found):
    """What follows the delimiter is left off; case does not count; bare names are local ones."""
    table = fixed("t", {"u@a.test": "1", "user": "2"})
    answer = find_address((table,), address, Local(frozenset({"mx.test"}), delimiter))
    assert (answer and answer.value) == found


def test_static_answers_any_key():
    """`static:user:password` is a login everywhere."""
    assert find((constant("static:", "u:p"),), "anything").value == "u:p"


@pytest.mark.parametrize(
    ("transports", "relays", "relayhost", "expected"),
    [
        ({}, {}, "", ("smtp", "")),
        ({}, {}, "[r]", ("smtp", "[r]")),
        ({}, {"@a.test": "[s]"}, "[r]", ("smtp", "[s]")),
        ({}, {"@a.test": "DUNNO"}, "[r]", ("smtp", "[r]")),
        ({}, {"@a.test": "[s]", "u@a.test": "dunno"}, "[r]", ("smtp", "[r]")),
        ({"@a.test": "slow:[t]"}, {"@a.test": "[s]"}, "[r]", ("slow", "[t]")),
        ({"@a.test": "slow:"}, {"@a.test": "[s]"}, "[r]", ("slow", "[s]")),
        ({"@a.test": "slow"}, {}, "[r]", ("slow", "[r]")),
        ({"@a.test": "DUNNO"}, {}, "[r]", ("smtp", "[r]")),
    ],
)
def test_precedence_of_next_hops(transports, relays, relayhost, expected):
    """The transport's own next hop, the sender's relay host, the relay host, the recipient's."""
    route = route_of(town(relays, transports, relayhost=relayhost), "u@a.test")
    assert (route.service, route.nexthop) == expected


@pytest.mark.parametrize(
    ("passwords", "by_sender", "login"),
    [
        ({"@a.test": "s:1", "h": "h:2", "[h]:587": "n:3"}, "yes", "s:1"),
        ({"@a.test": "s:1", "h": "h:2", "[h]:587": "n:3"}, "no", "h:2"),
        ({"[h]:587": "n:3"}, "yes", "n:3"),
        ({"[h]": "n:3", "h:587": "n:4"}, "yes", ""),
    ],
)
def test_precedence_of_logins(passwords, by_sender, login):
    """The sender's, the host's, the next hop's as it is spelled."""
    smtp = service(
        passwords=passwords,
        smtp_sasl_auth_enable="yes",
        smtp_sender_dependent_authentication=by_sender,
    )
    route = route_of(town({"@a.test": "[h]:587"}, services=[smtp]), "u@a.test")
    assert route.logins == (login,)


def test_no_login_where_sasl_is_off():
    """Whatever the table says."""
    smtp = service(passwords={"@a.test": "s:1", "h": "h:2"})
    assert route_of(town({"@a.test": "[h]"}, services=[smtp]), "u@a.test").logins == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[mail.test]:587", [("mail.test", 587, False)]),
        ("[mail.test]", [("mail.test", 25, False)]),
        ("[Mail.Test]:submission", [("mail.test", 587, False)]),
        ("mail.test:465", [("mail.test", 465, True)]),
        ("mail.test", [("mail.test", 25, True)]),
        ("[192.0.2.1]:2525", [("192.0.2.1", 2525, False)]),
        ("[ipv6:2001:db8::1]:25", [("2001:db8::1", 25, False)]),
        ("[2001:db8::1]", [("2001:db8::1", 25, False)]),
        ("[a]:1, [b]:2 [c]", [("a", 1, False), ("b", 2, False), ("c", 25, False)]),
    ],
)
def test_next_hops_are_read(text, expected):
    """Brackets, ports by number or name, and several."""
    assert [(h.host, h.port, h.mx) for h in hops(text)] == expected


@pytest.mark.parametrize("text", ["", "[a", "a:no-such-service", "unix:/x/y", "[a]:1:2"])
def test_what_is_no_next_hop_is_said(text):
    """And not guessed at."""
    assert isinstance(hops(text), Odd)


def test_passwords_do_not_show_in_a_route():
    """Routes and ways may end up in a traceback."""
    smtp = service(passwords={"h": "user:geheim"}, smtp_sasl_auth_enable="yes")
    assert "geheim" not in repr(route_of(town({"@a.test": "[h]"}, services=[smtp]), "u@a.test"))
