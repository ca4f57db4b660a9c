"""`connector divert` on a real Postfix: a dead provider's mail takes another way, for a while."""

import json
import signal
import smtplib
import time
from collections import Counter

import pytest

from lab.city import PASSWORDS
from lab.client import begin, message, transaction
from lab.instance import wait_until
from lab.nexthop import NextHop

SENDERS = ("clerk@a.test", "v@vendor.test", "<>")  # by the table, carried, marked


@pytest.fixture
def city(city_of_a):
    """Besides a's own server there is connector b, on another one under its own login."""
    run = city_of_a.postfix.cli
    run("connector", "add", "b", *city_of_a.connector_options("shared", "police"))
    run("connector", "enable", "b")
    run("sender", "link", "@b.test", "--agency", "a", "--connector", "b")
    city_of_a.settle()
    return city_of_a


def die(city):
    """The server of connector a is down; where it was."""
    hop = city.hops.pop("own")
    hop.stop()
    return hop


def live_again(city, dead):
    """It is back at the same place."""
    logins = {"court": PASSWORDS["court"]}
    hop = NextHop("own", logins, certificate=dead.certificate, port=dead.port).start()
    city.hops["own"] = hop
    return hop


def send_many(city, count, prefix):
    """Messages from clerk@a.test, by each of the three ways in turn; their queue ids."""
    ids = []
    with smtplib.SMTP("127.0.0.1", city.postfix.port, local_hostname="client.lab") as smtp:
        begin(smtp)
        for number in range(count):
            content = message("clerk@a.test", f"{prefix} {number}")
            sender = SENDERS[number % 3]
            reply = transaction(smtp, sender, "someone@example.net", content)
            assert reply.code == 250, reply
            ids.append(reply.queue_id)
    return ids


def deferred(city):
    """What is in the deferred queue."""
    return {q["queue_id"] for q in city.postfix.queue() if q["queue_name"] == "deferred"}


def assert_each_once(received, prefix, count):
    """None lost, none twice."""
    found = Counter(r.subject for r in received if r.subject.startswith(prefix))
    assert found == Counter(f"{prefix} {number}" for number in range(count))


def test_thousand_queued_messages_take_the_other_way_and_new_mail_comes_back(city):
    """All of it arrives at b under b's login; after the end all arrives at a under a's."""
    dead = die(city)
    ids = send_many(city, 1000, "queued")
    wait_until(lambda: deferred(city) == set(ids), "all to be deferred", 60)
    city.cli("connector", "divert", "a", "--to", "b", "--for", "4h", "--reason", "provider down")
    send_many(city, 30, "meanwhile")
    shared = city.hops["shared"]
    shared.wait_for(1030, 120)
    city.postfix.wait_for_empty_queue()
    assert_each_once(shared.received, "queued", 1000)
    assert_each_once(shared.received, "meanwhile", 30)
    assert {r.login for r in shared.received} == {"police"}
    assert {r.sender for r in shared.received} == {"clerk@a.test", "v@vendor.test", ""}
    assert not any("X-Pointsman" in r.data.decode() for r in shared.received)
    city.clear()
    own = live_again(city, dead)
    city.cli("connector", "divert", "a", "--end")
    send_many(city, 30, "after")
    own.wait_for(30)
    assert_each_once(own.received, "after", 30)
    assert {r.login for r in own.received} == {"court"}
    assert not shared.received


def test_it_ends_by_itself_and_what_still_waits_goes_back(city):
    """`--for 5s`: mail that b did not take meanwhile leaves by a, whichever way it went."""
    shared, own = city.hops["shared"], city.hops["own"]
    shared.answer = lambda _envelope: "451 4.0.0 later"
    city.cli("connector", "divert", "a", "--to", "b", "--for", "5s")
    ids = send_many(city, 6, "back")
    wait_until(lambda: deferred(city) == set(ids), "all to be deferred")
    assert not own.received
    own.wait_for(6)
    city.postfix.wait_for_empty_queue()
    assert_each_once(own.received, "back", 6)
    assert {r.login for r in own.received} == {"court"}
    assert not shared.received


def test_it_ends_while_the_agent_is_away(city):
    """Until the agent is back all three ways lead on to b, and nothing is between; then to a."""
    city.cli("connector", "divert", "a", "--to", "b", "--for", "4s")
    city.postfix.stop_daemon("agent", signal.SIGKILL)
    end = json.loads((city.postfix.state_directory / "snapshot.json").read_text())
    until = end["diversions"]["a"]["until"]
    wait_until(lambda: time.time() > until, "the diversion to be over")
    send_many(city, 6, "late")
    shared, own = city.hops["shared"], city.hops["own"]
    shared.wait_for(6)
    assert_each_once(shared.received, "late", 6)
    assert {r.login for r in shared.received} == {"police"}
    mark = city.postfix.log_size()
    city.postfix.start_daemon("agent")
    city.postfix.wait_for_log(r"pointsman/milter\[\d+\]: snapshot revision=", since=mark)
    send_many(city, 6, "back")
    own.wait_for(6)
    assert_each_once(own.received, "back", 6)
    assert {r.login for r in own.received} == {"court"}


def test_everybody_can_see_it(city):
    """The log line, explain, show, list, status and history: who, until when and why."""
    cli = city.postfix.cli
    city.cli("connector", "divert", "a", "--to", "b", "--for", "4h", "--reason", "provider down")
    queue_id = city.send("v@vendor.test", "clerk@a.test", "seen").queue_id
    assert city.arrived("seen")[0].login == "police"
    line = city.decision(queue_id)
    assert "connector=a, by=from, key=@a.test, lane=pm-b, diverted=b, way=carrier" in line
    asked = ["--from", "v@vendor.test", "--header-from", "clerk@a.test"]
    explained = json.loads(cli("explain", *asked, "--json"))
    assert explained["decision"] == "leaves by pm-b"
    assert explained["diverted"].startswith("connector a is diverted to b by ")
    assert "differs" not in explained
    shown = json.loads(cli("connector", "show", "a", "--json"))["diverted"]
    status = json.loads(cli("status", "--json"))["lanes"][0]["diverted"]
    assert shown == status
    assert shown.startswith("to b by ")
    assert shown.endswith(": provider down")
    assert "live, diverted to b" in cli("connector", "list")
    last = json.loads(cli("history", "--json", "--limit", "1"))
    assert (last["action"], last["name"], last["new"]["to"]) == ("diversion add", "a", "b")


def test_what_takes_the_mail_stays(city):
    """B can't be taken away meanwhile, a may be; then its mail still flows."""
    cli = city.postfix.cli
    city.cli("connector", "divert", "a", "--to", "b")
    for command in ("disable", "remove"):
        output = cli("connector", command, "b", check=False)
        assert "takes the mail of a: end that with `pointsman connector divert a --end`" in output
    city.cli("connector", "disable", "a")
    assert city.send("clerk@a.test", "clerk@a.test", "though disabled").code == 250
    assert city.arrived("though disabled")[0].login == "police"
    city.cli("connector", "divert", "a", "--end")
    reply = city.send("clerk@a.test", "clerk@a.test", "disabled again")
    assert (reply.code, reply.text) == (450, "4.3.0 connector a is disabled")


def test_paused_connector_sends_by_the_other_one(city):
    """Paused because its server is down, then diverted: what was held leaves, and new mail too."""
    city.cli("connector", "pause", "a")
    send_many(city, 3, "held")
    wait_until(
        lambda: [q["queue_name"] for q in city.postfix.queue()] == ["hold"] * 3, "mail on hold"
    )
    city.cli("connector", "divert", "a", "--to", "b")
    send_many(city, 3, "new")
    shared = city.hops["shared"]
    shared.wait_for(6)
    assert {r.login for r in shared.received} == {"police"}
    assert not city.hops["own"].received
