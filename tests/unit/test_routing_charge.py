"""What a message counts, and against whom."""

from dataclasses import replace

import pytest

from pointsman.routing.charge import Charge, charge_of, counters, rate_of
from pointsman.routing.decide import Message, decide
from pointsman.routing.lanes import Client
from pointsman.routing.recipients import Recipient
from pointsman.routing.snapshot import Pause

CLERK = "Clerk <clerk@a.test>"
NOW = 1_763_700_000.0


@pytest.fixture
def limited(town):
    """Rates for agency a, lane b and the clerk."""
    return replace(
        town,
        agencies={
            **town.agencies,
            "a": replace(town.agencies["a"], rate="5/minute"),
            "b": replace(town.agencies["b"], exempt=False),
        },
        lanes={**town.lanes, "b": replace(town.lanes["b"], rate="9/hour")},
        rates={"clerk@a.test": "2/minute"},
    )


def charge(snapshot, envelope, *recipients, froms=(), login="shared-app", mailer="smtp"):
    """The charge of a message, decided as the milter does."""
    to = [Recipient(f"<{r}>", mailer, r.rpartition("@")[2]) for r in recipients or ["x@ext.test"]]
    message = Message(f"<{envelope}>", to, Client(login, None), list(froms), [], [])
    return charge_of(snapshot, message, decide(snapshot, message, NOW))


def test_carried_message_is_charged_to_the_author(limited):
    """Agency, connector and limited sender come from the From field."""
    found = charge(limited, "v@v.test", froms=[CLERK])
    assert found == Charge("a", "a", "clerk@a.test", 1, False, 7)
    assert found.words == "a a 1 0"


def test_only_outbound_recipients_count(limited):
    """Mail to hosted recipients never leaves."""
    to = ("x@ext.test", "y@town.test", "z@ext.test")
    assert charge(limited, "v@v.test", *to, froms=[CLERK]).recipients == 2


@pytest.mark.parametrize(
    ("envelope", "froms", "exempt"),
    [
        ("", [CLERK], True),
        ("postmaster@a.test", [CLERK], True),
        ("Postmaster@a.test", [], True),
        ("clerk@a.test", [CLERK], False),
        ("", ["x@b.test"], False),
        ("postmaster@b.test", [], False),
    ],
)
def test_bounces_and_postmasters_mail_are_exempt(limited, envelope, froms, exempt):
    """Unless the agency counts everything."""
    assert charge(limited, envelope, froms=froms).exempt == exempt


def test_refused_message_is_not_charged(limited):
    """A stranger uses up nobody's rate."""
    assert charge(limited, "clerk@a.test", froms=[CLERK], login="") is None


def test_unlimited_mail_is_not_asked_about(limited):
    """No lane, no rate, no pause: the daemon need not know."""
    assert charge(limited, "x@vendor.test") is None


def test_pause_of_anybody_makes_all_mail_asked_about(limited):
    """What is held must be in order."""
    paused = replace(limited, pauses={"agency b": Pause("me", "now", 0.0, "")})
    assert charge(paused, "x@vendor.test").agency == "default"


@pytest.mark.parametrize(
    ("counter", "rate"),
    [
        ("agency a", "5/minute"),
        ("agency b", "unlimited"),
        ("agency gone", "unlimited"),
        ("connector b", "9/hour"),
        ("connector gone", "unlimited"),
        ("sender clerk@a.test", "2/minute"),
        ("sender x@a.test", "unlimited"),
    ],
)
def test_rate_of_a_counter(limited, counter, rate):
    """By its name; what is not there any more has no limit."""
    assert rate == rate_of(limited, counter)


def test_names_of_counters():
    """A sender has one only where it has a rate."""
    assert counters("a", "c", "") == ["agency a", "connector c"]
    assert counters("a", "c", "x@a.test") == ["agency a", "connector c", "sender x@a.test"]
