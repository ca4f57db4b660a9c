"""Whose a queued message is, and which of the waiting ones are moved on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.postfix.conf import Instance, PostfixError
from pointsman.postfix.queue import Queued, lane_of, listed, move_on
from pointsman.routing.address import AddressError, carry, parse_path


@pytest.mark.parametrize(
    ("sender", "connector"),
    [
        ("clerk@a.test", "a"),
        ("clerk+vip@a.test", "tax"),
        ("Clerk@A.TEST", "a"),
        ("x@sub.a.test", "tax"),
        ("x@b\u00fccher.test", "a"),
        ("v=v.test@court.b.pm.invalid", "b"),
        ("v=v.test@COURT.B.PM.INVALID", "b"),
        ("clerk=a.test@a.tax.pm.invalid", "tax"),
        ("v=v.test@court.gone.pm.invalid", "gone"),
        ('"a b=v.test"@court.b.pm.invalid', "b"),
        ("v@v.test", "postfix"),
        ("root", "postfix"),
        ("", "postfix"),
        ('"v@v.test', None),
    ],
)
def test_lane_of_a_queued_sender(town, sender, connector):
    """By its carrier, else by its link, else the default relay."""
    assert connector == lane_of(town, sender)


def test_default_relay_is_the_lane_of_what_nothing_matches(town):
    """A connector may be the default relay."""
    assert lane_of(replace(town, default="b"), "v@v.test") == "b"


@given(
    st.text('ab=@" \\+.%\u00fc', min_size=1, max_size=12),
    st.sampled_from(["v.test", "b\u00fccher.test", "[192.0.2.1]"]),
    st.sampled_from(["a", "b", "tax"]),
)
def test_carried_mail_belongs_to_the_lane_it_was_carried_to(town, local, domain, connector):
    """Whatever the sender was."""
    try:
        address = parse_path(f"{local}@{domain}")
        carrier = carry(address, "court", connector)
    except AddressError:
        return
    assert connector == lane_of(town, carrier)


MARKED = """\
*** ENVELOPE RECORDS hold/4Q1 ***
message_size: 500
{envelope}
*** MESSAGE CONTENTS hold/4Q1 ***
regular_text: Received: by mx.test
regular_text: X-Pointsman-Lane: {token} {connector}
regular_text: Subject: x
*** HEADER EXTRACTED hold/4Q1 ***
"""
TOKEN = "0" * 31 + "b"


class Queue:
    """postqueue, postcat and postsuper, as far as they are asked."""

    def __init__(self):
        self.messages = []
        self.files = {}
        self.calls = []

    def add(self, queue_id, queue, sender, text=None):
        """Put a message into the queue; without text it has left when looked at."""
        message = {"queue_id": queue_id, "queue_name": queue, "sender": sender}
        to = [{"address": "x@ext.test"}, {"address": "y@ext.test"}]
        self.messages.append({**message, "arrival_time": 1763700000, "recipients": to})
        if text is not None:
            self.files[queue_id] = text

    def run(self, program, *arguments, stdin=None):
        """Print what Postfix would."""
        if program == "postqueue":
            return "".join(json.dumps(message) + "\n" for message in self.messages)
        if program == "postcat":
            if arguments[-1] not in self.files:
                raise PostfixError("postcat: fatal: open queue file: No such file or directory")
            return self.files[arguments[-1]]
        self.calls.append((program, *arguments, stdin))
        return ""

    def complaints(self, program, *arguments):
        """Note the command."""
        self.calls.append((program, *arguments))
        return ""


@pytest.fixture
def queue(monkeypatch):
    """An empty queue behind every Instance."""
    queue = Queue()
    for name in ("run", "complaints"):
        command = getattr(queue, name)
        monkeypatch.setattr(
            Instance, name, lambda _self, *args, command=command, **kwargs: command(*args, **kwargs)
        )
    return queue


INSTANCE = Instance(Path("/etc/postfix"))


def test_queue_is_listed(queue):
    """As postqueue -j prints it, one object a line."""
    queue.add("4Q1", "deferred", "clerk@a.test")
    assert list(listed(INSTANCE)) == [Queued("4Q1", "deferred", "clerk@a.test", 1763700000, 2)]


def test_deferred_mail_of_a_corrected_connector_is_tried_at_once(town, queue):
    """One by one and in order, and no other connector's, held or active mail."""
    queue.add("4Q1", "deferred", "clerk@a.test")
    queue.add("4Q2", "deferred", "x@b.test")
    queue.add("4Q3", "deferred", "v=v.test@court.a.pm.invalid")
    queue.add("4Q4", "hold", "clerk@a.test")
    queue.add("4Q5", "active", "clerk@a.test")
    assert move_on(INSTANCE, town, ["a"]) == 2
    assert queue.calls == [("postqueue", "-i", "4Q1"), ("postqueue", "-i", "4Q3")]


def test_nothing_is_asked_where_nothing_was_corrected(town, queue):
    """An apply without a changed lane leaves the queue alone."""
    queue.add("4Q1", "deferred", "clerk@a.test")
    assert move_on(INSTANCE, town, []) == 0
    assert queue.calls == []


@pytest.mark.parametrize(
    ("where", "envelope", "token", "connector", "moved"),
    [
        ("hold", "", TOKEN, "a", True),
        ("deferred", "content_filter: pm-a:[old.test]:25", TOKEN, "a", True),
        ("deferred", "content_filter: retry:4.3.0 connector a is disabled", TOKEN, "a", True),
        ("deferred", "content_filter: pm-a:[h1.test]:587", TOKEN, "a", False),
        ("hold", "content_filter: pm-a:[old.test]:25", TOKEN, "a", False),
        ("deferred", "", TOKEN, "a", False),
        ("hold", "", "1" * 32, "a", False),
        ("hold", "", TOKEN, "off", False),
        ("hold", "", TOKEN, "gone", False),
    ],
)
def test_marked_mail_that_is_not_on_todays_way_is_requeued(
    town, queue, where, envelope, token, connector, moved
):
    """Its next hop stands in the queue file; what an admin holds stays held."""
    text = MARKED.format(envelope=envelope, token=token, connector=connector)
    queue.add("4Q1", where, "MAILER-DAEMON", text)
    assert move_on(INSTANCE, town, ["a"]) == int(moved)
    assert queue.calls == ([("postsuper", "-r", "-", "4Q1\n")] if moved else [])


def test_message_that_left_meanwhile_is_no_trouble(town, queue):
    """Between the list and the look it may have been delivered."""
    queue.add("4Q1", "hold", "MAILER-DAEMON")
    assert move_on(INSTANCE, town, ["a"]) == 0
