"""What happens at the limit, what is exempt, and who else may ask."""

import json
import re

import pytest

from lab.instance import wait_until
from tests.postfix.town import held, released, send_many, town, wait_for


def send(city, subject, sender="clerk@a.test", from_="clerk@a.test", to="someone@example.net"):
    """Send as agency a's login."""
    return city.send(sender, from_, subject, to)


def test_defer_and_reject():
    """450 or 550 with the rate in words; nothing is held, and refused mail is not charged."""
    with town("3/1 hour", "--over-limit", "defer") as city:
        send_many(city, 3)
        reply = send(city, "over")
        assert reply.code == 450
        assert "agency a is over its rate of 3/hour" in reply.text
        city.cli("agency", "set", "a", "--over-limit", "reject")
        reply = send(city, "over")
        assert (reply.code, reply.text[:5]) == (550, "5.7.1")
        assert held(city) == []
        city.cli("agency", "set", "a", "--rate", "5/hour")
        send_many(city, 2)
        assert send(city, "over").code == 550


def test_held_max():
    """Beyond --held-max new mail gets 450: the client keeps it."""
    with town("1/1 hour", "--held-max", "3") as city:
        send_many(city, 4)
        reply = send(city, "too many")
        assert reply.code == 450
        assert "agency a has 3 messages held" in reply.text
        assert len(held(city)) == 3


def test_exempt_unless_asked():
    """Null sender, postmaster and hosted recipients cost nothing, until --no-exempt."""
    with town("1/1 hour", "--over-limit", "reject") as city:
        for _ in range(3):
            assert send(city, "bounce", "<>").code == 250
            assert send(city, "postmaster", "postmaster@a.test", "postmaster@a.test").code == 250
            assert send(city, "hosted", to="root@localhost").code == 250
        assert send(city, "one").code == 250
        assert send(city, "two").code == 550
        city.cli("agency", "set", "a", "--no-exempt")
        for sender, to in (
            ("<>", "someone@example.net"),
            ("postmaster@a.test", "someone@example.net"),
            ("clerk@a.test", "root@localhost"),
        ):
            assert send(city, "counted", sender, to=to).code == 550


def test_recipients_and_several_parts():
    """Every recipient counts; all windows are asked before any is charged."""
    rate = "2 messages/hour; 5 recipients/day"
    with town(rate, "--over-limit", "reject") as city:
        four = [f"r{n}@example.net" for n in range(4)]
        assert send(city, "six", to=[*four, "r5@example.net", "r6@example.net"]).code == 550
        assert send(city, "four", to=four).code == 250
        assert send(city, "three", to=four[:3]).code == 550
        assert send(city, "one", to=four[:1]).code == 250
        assert "2 messages/hour" not in send(city, "none left", to=four[:1]).text


def test_sender_and_connector_have_rates_of_their_own():
    """A link's rate is within its agency's; a connector's is shared by all agencies on it."""
    with town("100/hour", "--over-limit", "reject") as city:
        run = city.postfix.cli
        link = ["--agency", "a", "--connector", "a"]
        run("sender", "link", "slow@a.test", *link, "--rate", "1/hour")
        run("agency", "set", "b", "--over-limit", "reject")
        run("sender", "link", "@c.test", "--agency", "b", "--connector", "a")
        run("connector", "set", "a", "--rate", "4/hour", "--untested")
        city.settle()
        assert send(city, "1", "slow@a.test", "slow@a.test").code == 250
        reply = send(city, "2", "slow@a.test", "slow@a.test")
        assert reply.code == 550
        assert "sender slow@a.test is over its rate of 1/hour" in reply.text
        send_many(city, 2)
        assert city.send("x@c.test", "x@c.test", "c", login="b-app").code == 250
        reply = city.send("x@c.test", "x@c.test", "c", login="b-app")
        assert "connector a is over its rate of 4/hour" in reply.text
        assert "connector a is over" in send(city, "5").text


def test_new_mail_queues_behind_the_held():
    """While older mail of the agency waits, newer does not overtake it."""
    with town("3/3 seconds") as city:
        older = send_many(city, 7)
        wait_for(city, 4, 10)
        newer = send_many(city, 3, prefix="n")
        wait_for(city, 10, 20)
        assert released(city) == [*older[3:], *newer]


def test_warnings_come_once():
    """At 80% and at the limit: one log line each, and a record each for notices."""
    with town("10/hour", "--over-limit", "defer") as city:
        send_many(city, 10)
        for _ in range(3):
            send(city, "over")
        city.postfix.wait_for_log(r"agency a is at its limit: 10 of 10/hour \(rate-full\)")
        usage = json.loads(city.postfix.cli("usage", "a", "--json").splitlines()[0])
        assert (usage["sent"], usage["deferred"], usage["windows"][0]["left"]) == (10, 3, 0)
        assert sum(usage["over_time"]) == 10
        found = re.findall(r"agency a is (near|at) its limit", city.postfix.log())
        assert found == ["near", "at"]


@pytest.mark.parametrize("wish", ["send", "hold", "defer"])
def test_policy_daemon_away(wish):
    """`on_failure` says what happens to mail; it is logged once, and comes back by itself."""
    with town("100/hour") as city:
        path = city.postfix.config_file
        path.write_text(path.read_text().replace("policy:\n", f"policy:\n  on_failure: {wish}\n"))
        city.postfix.stop_daemon("milter")
        city.postfix.start_daemon("milter")
        city.postfix.stop_daemon("policy")
        replies = [send(city, f"away{n}") for n in range(3)]
        assert {r.code for r in replies} == {450 if wish == "defer" else 250}
        if wish == "hold":
            assert sorted(held(city)) == [r.queue_id for r in replies]
        assert len(re.findall(r"policy daemon is away, on_failure", city.postfix.log())) == 1
        city.postfix.start_daemon("policy")
        wait_until(lambda: asked(city), "it to be asked again")
        wait_for(city, 1 if wish == "defer" else 4, 20)


def asked(city):
    """Whether the policy daemon is asked again about a message."""
    reply = send(city, "back")
    return reply.code == 250 and "rate=go," in city.decision(reply.queue_id)


def test_wired_by_hand_without_the_milter():
    """As Postfix's own END-OF-MESSAGE service it enforces too, several recipients included."""
    with town("4 recipients/3 seconds") as city:
        socket = city.postfix.queue_directory / "pointsman" / "policy.sock"
        city.postfix.set(
            smtpd_milters="",
            non_smtpd_milters="",
            smtpd_end_of_data_restrictions=f"check_policy_service unix:{socket}",
        )
        two = ["r1@example.net", "r2@example.net"]
        wait_until(lambda: "way=" not in probe(city), "smtpd without the milter")
        ids = [send(city, f"m{n}", to=two).queue_id for n in range(4)]
        wait_for(city, 4, 30)
        assert released(city) == ids[2:]
        city.postfix.wait_for_log(rf"policy\[\d+\]: {ids[3]}: agency=a, connector=a, rate=hold")
        stranger = city.send("clerk@a.test", "clerk@a.test", "stranger", login="b-app")
        city.postfix.wait_for_log(rf"policy\[\d+\]: {stranger.queue_id}: .*rate=stranger")


def probe(city):
    """What the log says about one message of b's."""
    mark = city.postfix.log_size()
    reply = city.send("x@b.test", "x@b.test", "probe", login="b-app")
    city.postfix.wait_for_log(rf"{reply.queue_id}: .*status=sent", since=mark)
    return city.postfix.log(mark)
