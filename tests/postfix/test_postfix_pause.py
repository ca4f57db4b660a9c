"""Pause and resume: at once, what is queued included, and back at the rate."""

import json
import time

import pytest

from lab.instance import wait_until
from tests.postfix.town import (
    held,
    let_go,
    most_in_any,
    received,
    released,
    send_many,
    town,
    wait_for,
)


@pytest.fixture
def city():
    """Agency a at 5 in 2 seconds."""
    with town("5/2 seconds") as built:
        yield built


@pytest.mark.parametrize("noun", ["agency", "connector"])
def test_paused_mail_waits(city, noun):
    """New and deferred mail is held while paused; resumed, it leaves at the rate, in order."""
    city.hops["shared"].answer = lambda e: "451 4.0.0 later" if "a.test" in e.mail_from else None
    deferred = city.send("clerk@a.test", "clerk@a.test", "deferred").queue_id
    city.postfix.wait_for_log(rf"{deferred}: .*status=deferred")
    city.hops["shared"].answer = lambda _envelope: "451 4.0.0 later"
    report = city.send("<>", "clerk@a.test", "report").queue_id
    city.postfix.wait_for_log(rf"{report}: .*status=deferred")
    city.hops["shared"].answer = None
    city.cli(noun, "pause", "a", "--reason", "audit")
    wait_until(lambda: set(held(city)) == {deferred, report}, "deferred mail to be held")
    ids = send_many(city, 8)
    wait_until(lambda: set(held(city)) == {deferred, report, *ids}, "all of it to be held")
    # The null sender too: what is paused does not send.
    bounce = city.send("<>", "clerk@a.test", "bounce").queue_id
    wait_until(lambda: bounce in held(city), "the bounce to be held")
    assert city.send("x@b.test", "x@b.test", "other", login="b-app").code == 250
    city.arrived("other")
    assert received(city) == []
    city.cli(noun, "resume", "a")
    wait_for(city, 11, 30)
    # Null-sender mail is not counted, so it does not wait for those before it.
    assert [i for i in released(city) if i not in (report, bounce)] == [deferred, *ids]
    times = [at for i, at in let_go(city).items() if i not in (report, bounce)]
    assert most_in_any(times, 2) <= 5


def test_pause_ends_by_itself(city):
    """`--for 3s`: no resume is needed."""
    city.cli("agency", "pause", "a", "--for", "3s")
    begun = time.monotonic()
    send_many(city, 1)
    wait_for(city, 1, 15)
    assert time.monotonic() - begun > 1


def test_everybody_can_see_the_pause(city):
    """Agency show, status and explain name who, why and until when."""
    cli = city.postfix.cli
    city.cli("agency", "pause", "a", "--for", "2h", "--reason", "audit")
    asked = ["--from", "clerk@a.test", "--login", "a-app"]
    shown = [
        cli("agency", "show", "a"),
        cli("explain", *asked),
        cli("status"),
        json.loads(cli("status", "--json"))["agencies"][0]["paused"],
    ]
    assert all("audit" in text and "root" in text and "until" in text for text in shown), shown
    assert "agency a resume" not in cli("history")
    city.cli("agency", "resume", "a")
    assert "audit" not in cli("agency", "show", "a") + cli("status") + cli("explain", *asked)
    assert "agency a is not paused" in cli("agency", "resume", "a", check=False)


def test_pause_holds_without_the_policy_daemon(city):
    """The milter knows it too: an audit must not depend on one more program."""
    city.cli("agency", "pause", "a", "--reason", "audit")
    city.postfix.stop_daemon("policy")
    ids = send_many(city, 3)
    assert sorted(held(city)) == ids
    city.postfix.start_daemon("policy")
    city.cli("agency", "resume", "a")
    wait_for(city, 3, 20)
    assert released(city) == ids
