"""A connector's own faults: told from a message's, and said once an hour."""

import pytest

from pointsman.faults import QUIET, Faults
from pointsman.postfix.maillog import Delivery

OURS = [
    "SASL authentication failed; server h[192.0.2.1] said: 435 4.7.8 no",
    "4.7.0 no mail without a login: no AUTH offered by server h[192.0.2.1]",
    "host h[192.0.2.1] said: 430 4.7.57 Client not authenticated (in reply to MAIL FROM command)",
    "host h[192.0.2.1] said: 450 4.7.60 can't send as (in reply to end of DATA command)",
    "host h[192.0.2.1] said: 450-4.4.5 Daily user sending limit exceeded.",
    "Server certificate not verified",
    "host h said: 454 Message rejected: Email address is not verified.",
]
THEIRS = [
    "host h[192.0.2.1] said: 450 4.7.1 greylisted (in reply to RCPT TO command)",
    "host h[192.0.2.1] said: 452 4.2.2 mailbox full",
    "connect to h[192.0.2.1]:587: Connection refused",
]


def deferred(text, connector="a", status="deferred"):
    return Delivery(connector, "4jW", "4.7.0", status, text)


@pytest.mark.parametrize("text", OURS)
def test_word_about_our_login_is_the_connectors_fault(text):
    """With the server's own words."""
    assert Faults().note(deferred(text), 0.0).endswith(text)


@pytest.mark.parametrize("text", THEIRS)
def test_other_trouble_is_not(text):
    """A recipient's, or the network's: health sees to that."""
    assert Faults().note(deferred(text), 0.0) == ""


def test_only_what_waits_is_a_fault():
    """What was sent or bounced was not refused for the login."""
    assert Faults().note(deferred(OURS[0], status="sent"), 0.0) == ""
    assert Faults().note(deferred(OURS[0], status="bounced"), 0.0) == ""


def test_it_is_said_once_an_hour_for_each_connector():
    """A thousand deferred messages make one line."""
    faults = Faults()
    assert faults.note(deferred(OURS[0]), 0.0)
    assert faults.note(deferred(OURS[1]), QUIET - 1) == ""
    assert faults.note(deferred(OURS[0], "b"), QUIET - 1)
    assert faults.note(deferred(OURS[1]), QUIET)
