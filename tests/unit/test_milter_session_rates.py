"""What the session does with the policy daemon's answer."""

from dataclasses import replace

import Milter
import pytest

from pointsman.milter.asking import Answer
from pointsman.milter.session import Session
from pointsman.routing.snapshot import Pause

TOKEN = "0" * 31 + "a"
CLERK = (("From", b"Clerk <clerk@a.test>"),)
OVER = "agency a is over its rate of 5/minute"


def send(connection, **more):
    """A message that is to be carried."""
    values = {"login": "a-app", "mailer": "smtp", "headers": CLERK, **more}
    return connection.send("<v@v.test>", "<x@ext.test>", **values)


CARRIED = ("from", "<v=v.test@a.a.pm.invalid>", None)


def test_daemon_is_asked_by_queue_id_and_charge(connection, policy):
    """Once for each message."""
    send(connection)
    ((queue_id, charge),) = policy.asked
    assert queue_id == "4Q1234"
    assert (charge.agency, charge.connector, charge.recipients) == ("a", "a", 1)


def test_nobody_is_asked_about_mail_without_limits(connection, policy, log):
    """Neither unmatched nor refused mail, and the log line has no rate."""
    connection.send("<x@vendor.test>", "<x@ext.test>", mailer="smtp")
    connection.send("<clerk@a.test>", "<x@ext.test>", mailer="pm-a", headers=CLERK)
    assert policy.asked == []
    assert not [line for line in log() if ", rate=" in line]


def test_hold_keeps_the_message_with_its_charge(connection, policy, log):
    """Our header names token, queue id and charge; and it is carried as well."""
    policy.answer = Answer("HOLD", OVER)
    header = ("add", "X-Pointsman-Held", f"{TOKEN} 4Q1234 a a 1 0", -1)
    assert send(connection) == (Milter.ACCEPT, [header, ("hold", OVER), CARRIED])
    (line,) = log()
    assert f', rate=hold, because="{OVER}", ' in line


@pytest.mark.parametrize(
    ("answer", "result", "reply"),
    [
        (Answer("450", OVER), Milter.TEMPFAIL, ("450", "4.7.1", OVER)),
        (Answer("550", OVER), Milter.REJECT, ("550", "5.7.1", OVER)),
        (Answer("550", "100%"), Milter.REJECT, ("550", "5.7.1", "100%%")),
    ],
)
def test_refusal_is_the_clients_reply(connection, policy, log, answer, result, reply):
    """And the log's, and nothing of the message is changed."""
    policy.answer = answer
    assert send(connection) == (result, [("reply", *reply)])
    (line,) = log()
    code, status, _ = reply
    way = "refused" if code == "550" else "deferred"
    assert f"way={way}, " in line
    assert f'reply="{code} {status} {answer.text}"' in line


@pytest.mark.parametrize(
    ("action", "rate"), [("DUNNO", "go-unasked"), ("HOLD", "hold-unasked"), ("450", "450-unasked")]
)
def test_log_says_when_nobody_was_asked(connection, policy, log, action, rate):
    """What happened is what the configuration wants then."""
    policy.answer = Answer(action, "the policy daemon is away", asked=False)
    send(connection)
    (line,) = log()
    assert f', rate={rate}, because="the policy daemon is away", ' in line


@pytest.mark.parametrize(("until", "held"), [(0.0, True), (1.0, False)])
def test_pause_holds_mail_even_without_the_daemon(connection, policy, town, until, held):
    """Until it is over."""
    pauses = {"agency a": Pause("me", "2026-01-01", until, "audit")}
    Session.current.snapshot = replace(town, pauses=pauses)
    policy.answer = Answer("DUNNO", "the policy daemon is away", asked=False)
    _, done = send(connection)
    assert (("hold", "agency a is paused by me at 2026-01-01: audit") in done) == held


def test_arriving_held_headers_are_removed(connection, policy):
    """Nobody but us says that we held something; ours is added all the same."""
    policy.answer = Answer("HOLD", OVER)
    headers = [("x-pointsman-HELD", b"1 2 3"), *CLERK, ("X-Pointsman-Held", b"4")]
    _, done = send(connection, headers=headers)
    assert [d for d in done if d[0] == "change"] == [
        ("change", "X-Pointsman-Held", number, None) for number in (2, 1)
    ]


def test_held_header_with_the_right_token_is_refused(connection):
    """It was copied from one of our messages."""
    header = ("X-Pointsman-Held", f"{TOKEN} 4Q1 a a 1 0".encode())
    answer, done = send(connection, headers=[header, *CLERK])
    assert answer == Milter.REJECT
    assert done[0][:3] == ("reply", "550", "5.7.1")
