"""Whose a request's message is, which counters it falls under, and what is exempt."""

from dataclasses import replace

import pytest

from pointsman.policy.rules import Rules, is_exempt
from pointsman.rates.rate import parse_rate
from pointsman.routing.snapshot import Agency, Lane, Snapshot


@pytest.fixture
def rules(town):
    """Agency a with a rate, b that counts everything; a lane and a sender with rates."""
    agencies = {
        **town.agencies,
        "a": replace(town.agencies["a"], rate="5/minute", any_client=True),
        "b": replace(town.agencies["b"], exempt=False, any_client=True),
    }
    lanes = {**town.lanes, "a": replace(town.lanes["a"], rate="9/hour", backlog=7)}
    rates = {"clerk@a.test": "2/minute"}
    return Rules(replace(town, agencies=agencies, lanes=lanes, rates=rates))


def asked(rules, **attributes):
    """What a request of Postfix's own makes of its message."""
    return rules.asked({"queue_id": "4Q1", "instance": "i1", **attributes})


def test_milters_request_says_whose_the_message_is():
    """Nothing is looked up; the rules may even not know the agency any more."""
    found = Rules(town_of_nobody()).asked(
        {
            "queue_id": "4Q1",
            "instance": "i1",
            "agency": "court",
            "connector": "smtp",
            "counter": "clerk@a.test",
            "recipient_count": "3",
            "exempt": "yes",
            "sender": "other@b.test",
        }
    )
    assert found.line == ("court", "smtp", "clerk@a.test")
    assert (found.recipients, found.exempt, found.direct, found.why) == (3, True, False, "")


def town_of_nobody():
    """A snapshot with nothing in it."""
    return Snapshot()


@pytest.mark.parametrize(
    ("sender", "line"),
    [
        ("clerk@a.test", ("a", "a", "clerk@a.test")),
        ("Clerk@A.test", ("a", "a", "clerk@a.test")),
        ("boss@a.test", ("a", "a", "")),
        ("x@sub.a.test", ("a", "tax", "")),
        ("x@vendor.test", ("default", "postfix", "")),
        ("two words@a.test", ("a", "a", "")),
        ("root", ("default", "postfix", "")),
        ("", ("default", "postfix", "")),
        ("\udcff@a.test", ("a", "a", "")),
    ],
)
def test_postfixs_own_request_is_found_by_its_sender(rules, sender, line):
    """By its link, as the milter would, and with the link's own counter."""
    found = asked(rules, sender=sender, recipient="x@ext.test")
    assert (found.line, found.direct) == (line, True)


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"sender": "boss@a.test", "recipient": "x@ext.test"}, ""),
        ({"sender": "", "recipient": "x@ext.test"}, "exempt"),
        ({"sender": "postmaster@a.test", "recipient": "x@ext.test"}, "exempt"),
        ({"sender": "PostMaster@a.test", "recipient": "x@ext.test"}, "exempt"),
        ({"sender": "boss@a.test", "recipient": "x@town.test"}, "hosted"),
        ({"sender": "boss@a.test", "recipient": "x@TOWN.test"}, "hosted"),
        ({"sender": "boss@a.test", "recipient": ""}, ""),
        ({"sender": "boss@a.test"}, ""),
        ({"sender": "postmaster@b.test", "recipient": "x@ext.test"}, ""),
        ({"sender": "boss@b.test", "recipient": "x@town.test"}, ""),
    ],
)
def test_what_is_not_counted(rules, attributes, why):
    """Bounces, postmaster's and hosted single recipients, unless the agency counts all."""
    found = asked(rules, **attributes)
    assert (found.why, found.exempt) == (why, bool(why))


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({}, "stranger"),
        ({"client_address": "203.0.113.1"}, "stranger"),
        ({"client_address": "192.0.2.9"}, ""),
        ({"client_address": "nonsense"}, "stranger"),
        ({"sasl_username": "a-app"}, ""),
        ({"sasl_username": "b-app"}, "stranger"),
    ],
)
def test_stranger_uses_up_nobodys_rate(town, attributes, why):
    """A client that may not send for the agency is not charged to it."""
    found = asked(Rules(town), sender="boss@a.test", recipient="x@ext.test", **attributes)
    assert (found.why, found.exempt) == (why, bool(why))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("3", 3),
        ("0", 1),
        ("1", 1),
        ("", 1),
        ("abc", 1),
        ("-100", 1),
        ("+5", 1),
        ("1.5", 1),
        (" 5", 1),
        ("9" * 7, 9_999_999),
        ("9" * 8, 1),
        ("9" * 40, 1),
        ("\u00b2", 1),
    ],
)
def test_number_of_recipients(rules, text, count):
    """At least one, whatever is written there."""
    assert asked(rules, recipient_count=text).recipients == count
    assert asked(rules).recipients == 1


def test_counters_of_a_message(rules):
    """Agency, connector and sender, those without a rate left out."""
    names = [
        ("agency a", parse_rate("5/minute")),
        ("connector a", parse_rate("9/hour")),
        ("sender clerk@a.test", parse_rate("2/minute")),
    ]
    assert list(rules.wanted(("a", "a", "clerk@a.test"))) == names
    assert list(rules.wanted(("a", "tax", ""))) == names[:1]
    assert list(rules.wanted(("open", "gone", "x@gone.test"))) == []


def test_agency_that_is_gone_has_no_limit():
    """Its held mail may still go."""
    gone = Rules(town_of_nobody()).agency("gone")
    assert (gone.rate, gone.over_limit) == ("unlimited", Agency("x").over_limit)


@pytest.mark.parametrize(("connector", "most"), [("a", 7), ("b", Lane("b", "").backlog), ("x", 0)])
def test_backlog_of_a_lane(rules, connector, most):
    """0 for what is no lane."""
    assert most == rules.backlog(connector)


@pytest.mark.parametrize(
    ("sender", "exempt"),
    [
        ("", True),
        ("postmaster", True),
        ("POSTMASTER@x.test", True),
        ("postmaster+x@x.test", False),
        ("x@postmaster.test", False),
        ("clerk@a.test", False),
    ],
)
def test_exempt_senders(sender, exempt):
    """The null sender and postmaster, of any domain."""
    assert exempt == is_exempt(sender)
