"""A sender with several connectors: in turn, or the next while one is down."""

import json
from collections import Counter

import pytest

from lab.city import built
from lab.instance import free_port, wait_until
from lab.nexthop import NextHop

MANY = 300


@pytest.fixture
def city():
    """One agency, and three servers, each behind a connector of its own."""
    with built() as city:
        run = city.postfix.cli
        run("agency", "add", "a", "--any-client", "--rate", "unlimited")
        for name in ("one", "two", "three"):
            hop = city.hops[name] = NextHop(name).start()
            run("connector", "add", name, "--host", f"localhost:{hop.port}", "--tls", "none")
            run("connector", "enable", name)
        yield city


def link(city, turn, *names, key="@turns.test"):
    ways = [word for name in names for word in ("--connector", name)]
    city.cli("sender", "link", key, "--agency", "a", *ways, "--turn", turn)


def send(city, count, first=0, envelope="x@turns.test", author="x@turns.test"):
    """Send so many messages; subject to queue id."""
    replies = {}
    for number in range(first, first + count):
        subject = f"message {number}"
        reply = city.send(envelope, author, subject)
        assert reply.code == 250, reply
        replies[subject] = reply.queue_id
    return replies


def taken(city, *names):
    """How many messages each server has."""
    return [len(city.hops[name].received) for name in names]


def die(city, name):
    """The server goes away; what is left of it."""
    hop = city.hops.pop(name)
    hop.stop()
    return hop


def revive(city, name, dead):
    """The server is there again, with what it had received."""
    city.hops[name] = NextHop(name, port=dead.port, received=dead.received).start()


def arrived(city, sent):
    """Wait until each message is at some server; fail if one is there twice."""

    def subjects():
        return Counter(r.subject for hop in city.hops.values() for r in hop.received)

    wait_until(lambda: set(sent) <= set(subjects()), "all to arrive", 60)
    assert set(subjects().values()) == {1}


@pytest.mark.parametrize(
    ("envelope", "author"),
    [("x@turns.test", "x@turns.test"), ("v+1@vendor.test", "x@turns.test"), ("<>", "x@turns.test")],
)
def test_three_hundred_messages_are_a_hundred_each(city, envelope, author):
    """By the table where it is the turn of the table's lane, else carried; `<>` is marked."""
    link(city, "rotate", "one", "two", "three")
    sent = send(city, MANY, envelope=envelope, author=author)
    arrived(city, sent)
    assert all(99 <= number <= 101 for number in taken(city, "one", "two", "three"))
    senders = {r.sender for hop in city.hops.values() for r in hop.received}
    assert senders == {"" if envelope == "<>" else envelope}


def test_one_of_three_dies_and_comes_back(city):
    """The others take its share; nothing is lost or sent twice; then it has its turn again."""
    link(city, "rotate", "one", "two", "three")
    sent = send(city, 30)
    arrived(city, sent)
    mark = city.postfix.log_size()
    dead = die(city, "two")
    sent |= send(city, 30, 30)
    city.postfix.wait_for_log(
        r"pointsman/agent\[\d+\]: connector two is down after 3 failures, others take its mail: "
        r".*Connection refused",
        since=mark,
        timeout=30,
    )
    city.postfix.wait_for_log(r"milter\[\d+\]: down=two$", since=mark)
    city.clear()
    more = send(city, 30, 60)
    arrived(city, more)  # at the two that are left
    revive(city, "two", dead)
    city.postfix.wait_for_log(r"connector two is up again \(connector-up\)", since=mark, timeout=60)
    city.postfix.postfix("postqueue", "-f")
    before = len(city.hops["two"].received)
    last = send(city, 30, 90)
    wait_until(lambda: len(city.hops["two"].received) >= before + 9, "its turn to come", 30)
    city.postfix.wait_for_empty_queue()
    arrived_at = Counter(r.subject for hop in city.hops.values() for r in hop.received)
    assert set(arrived_at.values()) == {1}
    assert set(arrived_at) >= {*more, *last}


def test_failover_uses_the_next_only_while_the_first_is_down(city):
    """And what was queued for the first meanwhile leaves by it when it is back."""
    link(city, "failover", "one", "two")
    arrived(city, send(city, 5))
    assert taken(city, "one", "two") == [5, 0]
    mark = city.postfix.log_size()
    dead = die(city, "one")
    sent = send(city, 3, 5)
    city.postfix.wait_for_log(r"milter\[\d+\]: down=one$", since=mark, timeout=30)
    sent |= (after := send(city, 5, 8))
    city.hops["two"].wait_for(5)
    assert {r.subject for r in city.hops["two"].received} >= set(after)
    revive(city, "one", dead)
    city.postfix.wait_for_log(r"milter\[\d+\]: down=none$", since=mark, timeout=60)
    city.postfix.postfix("postqueue", "-f")
    sent |= (last := send(city, 5, 13))
    arrived(city, sent)
    assert {r.subject for r in city.hops["one"].received} >= set(last)


def test_disabled_connectors_are_skipped(city):
    """With all of them disabled, the client is told to come back."""
    link(city, "rotate", "one", "two", "three")
    city.cli("connector", "disable", "one")
    arrived(city, send(city, 10))
    assert taken(city, "one", "two", "three") == [0, 5, 5]
    city.cli("connector", "disable", "two")
    city.cli("connector", "disable", "three")
    reply = city.send("x@turns.test", "x@turns.test", "too late")
    assert reply.code == 450
    assert "4.3.0 connectors one, two, three are disabled" in reply.text


def test_new_connector_is_no_way_yet(city):
    """It is staged: nobody's turn before it is enabled."""
    options = ["--host", f"localhost:{free_port()}", "--tls", "none"]
    city.postfix.cli("connector", "add", "fresh", *options)
    link(city, "rotate", "fresh", "one", "two")
    arrived(city, send(city, 10))
    assert taken(city, "one", "two") == [5, 5]


def test_explain_names_those_that_may_take_it(city):
    """And agrees with the milter's line about who decides."""
    link(city, "failover", "one", "two")
    answer = json.loads(city.postfix.cli("explain", "--from", "x@turns.test", "--json"))
    assert answer["turn"] == "failover: the first that can takes the message: one, two"
    assert answer["decision"] == "leaves by pm-one"
    reply = city.send("x@turns.test", "x@turns.test", "as explained")
    line = city.decision(reply.queue_id)
    assert "connector=one, by=from, key=@turns.test, turn=failover, lane=pm-one" in line


def test_sender_that_is_switched_off_gets_450(city):
    """Neither a less precise link nor the default relay takes its mail meanwhile."""
    run = city.postfix.cli
    run("sender", "link", "@turns.test", "--agency", "a", "--connector", "one")
    run("sender", "link", "x@turns.test", "--agency", "a", "--connector", "two")
    city.cli("sender", "disable", "x@turns.test")
    reply = city.send("x@turns.test", "x@turns.test", "off")
    assert (reply.code, "4.3.0 sender x@turns.test is switched off" in reply.text) == (450, True)
    assert city.send("y@turns.test", "y@turns.test", "on").code == 250
    city.cli("sender", "enable", "x@turns.test")
    assert city.send("x@turns.test", "x@turns.test", "again").code == 250
    assert [r.server for r in city.arrived("again")] == ["two"]
