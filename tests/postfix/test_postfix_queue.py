"""Case 6: queued mail keeps its lane, whatever the admin does meanwhile."""

import smtplib

import pytest

from lab.client import begin, message
from lab.instance import free_port, wait_until

SENDERS = {"table": "clerk@a.test", "carrier": "v+1=x@vendor.test", "marker": "<>"}


@pytest.fixture
def city(own_city):
    own_city.outlast_memory()
    return own_city


def later(_envelope):
    """What a server says that is not in the mood."""
    return "451 4.0.0 later"


def queue_three(city, prefix):
    """One message of each way, deferred by the server; their queue ids by way."""
    city.hops["shared"].answer = later
    ids = {}
    for way, sender in SENDERS.items():
        reply = city.send(sender, "clerk@a.test", f"{prefix} {way}")
        assert f"way={way}" in city.decision(reply.queue_id)
        ids[way] = reply.queue_id
    for queue_id in ids.values():
        city.postfix.wait_for_log(rf"{queue_id}: .*status=deferred")
    return ids


def assert_left_by_court(city, prefix):
    """All three arrived at the server under A's login, and nowhere else."""
    for way, sender in SENDERS.items():
        (received,) = city.arrived(f"{prefix} {way}")
        assert (received.server, received.login) == ("shared", "court")
        assert received.sender == sender.strip("<>")
    city.postfix.wait_for_empty_queue()
    assert not city.hops["tax"].received
    assert not city.hops["default"].received


def test_corrected_host_takes_what_was_queued(city):
    """Mail for a dead host leaves by itself, by the same lane, once the host is right."""
    run = city.postfix.cli
    good = city.hops["shared"].port
    run("connector", "set", "a", "--host", f"localhost:{free_port()}", "--untested")
    city.settle()
    city.outlast_memory()
    for way, sender in SENDERS.items():
        reply = city.send(sender, "clerk@a.test", f"dead {way}")
        city.postfix.wait_for_log(rf"{reply.queue_id}: .*status=deferred .*Connection refused")
    run("connector", "set", "a", "--host", f"localhost:{good}")
    assert_left_by_court(city, "dead")


def test_requeue_all_keeps_each_lane(city):
    """`postsuper -r ALL` on deferred mail: table, carrier and marker stay on their lane."""
    queue_three(city, "requeued")
    city.hops["shared"].answer = None
    city.postfix.postfix("postsuper", "-r", "ALL")
    assert_left_by_court(city, "requeued")


def test_requeue_of_held_mail_keeps_each_lane(city):
    """The same for mail that an admin held, twice over."""
    queue_three(city, "held")
    city.postfix.postfix("postsuper", "-h", "ALL")
    for _ in range(2):
        city.postfix.postfix("postsuper", "-r", "ALL")
        # Requeued while it is being delivered, a message would leave twice.
        wait_until(lambda: queues(city) == ["deferred"] * 3, "all to be deferred again")
    city.hops["shared"].answer = None
    wait_until(lambda: flushed(city), "the queue to empty")
    assert_left_by_court(city, "held")


def queues(city):
    """Where each message is."""
    return [q["queue_name"] for q in city.postfix.queue()]


def flushed(city):
    """Try everything now; whether nothing is left."""
    city.postfix.postfix("postqueue", "-f")
    return not city.postfix.queue()


def test_requeue_after_the_token_was_rotated(city):
    """Mail marked with a retired token still knows its lane."""
    queue_three(city, "rotated")
    city.postfix.cli("apply", "--rotate-token")
    city.settle()
    city.hops["shared"].answer = None
    city.postfix.postfix("postsuper", "-r", "ALL")
    assert_left_by_court(city, "rotated")
    reply = city.send("<>", "clerk@a.test", "new token")
    assert "way=marker" in city.decision(reply.queue_id)
    assert city.arrived("new token")[0].login == "court"


def test_removed_connector(city):
    """Mail of a connector that is gone waits or is held, requeued or not; no lane takes it."""
    ids = queue_three(city, "orphan")
    run = city.postfix.cli
    for key in ("clerk@a.test", "user@a.test", "one@multi.test"):
        run("sender", "unlink", key)
    run("sender", "unlink", "@.sub.test", "@bücher.test", "@xn--strae-oqa.test", "@c.test")
    run("connector", "disable", "a")
    city.settle()
    refused = run("connector", "remove", "a", check=False)
    assert "connector a still has 2 messages in the queue, " in refused
    run("connector", "remove", "a", "--despite-queue")
    city.settle()
    city.hops["shared"].answer = None
    city.postfix.postfix("postqueue", "-f")
    city.postfix.wait_for_log(rf"{ids['carrier']}: .*status=deferred \(connector a is gone\)")
    city.postfix.postfix("postsuper", "-r", ids["carrier"], "-r", ids["marker"])
    city.postfix.wait_for_log(r"connector is gone")
    city.postfix.wait_for_log(
        r"status=deferred \(connector a is gone\)", city.postfix.log_size() - 2000
    )
    assert not city.hops["shared"].received
    assert not city.hops["tax"].received
    # A sender that is no longer linked is nobody's: its mail takes the default relay.
    assert [r.subject for r in city.hops["default"].received] == ["orphan table"]
    queues = {q["queue_name"] for q in city.postfix.queue() if q["sender"] == "MAILER-DAEMON"}
    assert queues == {"hold"}


def test_long_upload_across_an_apply(city):
    """DATA begins, a connector comes into being, DATA ends: held, then by the right lane."""
    run = city.postfix.cli
    with smtplib.SMTP("127.0.0.1", city.postfix.port) as smtp:
        begin(smtp, login="a-app")
        for command in ("MAIL FROM:<>", "RCPT TO:<x@ext.test>", "DATA"):
            code, _ = smtp.docmd(command)
            assert code < 400
        smtp.send(message("late@a.test", "long upload")[:-2] + b"more\r\n")
        run("connector", "add", "late", *city.connector_options("tax", "tax"))
        run("sender", "link", "late@a.test", "--agency", "a", "--connector", "late")
        run("connector", "enable", "late")
        city.settle()
        smtp.send(b"end\r\n.\r\n")
        code, text = smtp.getreply()
    assert code == 250, text
    queue_id = text.split()[-1].decode()
    city.postfix.wait_for_log(rf"{queue_id}: milter-header-hold: .*lane not applied yet")
    assert [q["queue_name"] for q in city.postfix.queue()] == ["hold"]
    # The next apply of anything sends it on.
    run("connector", "set", "late", "--envelope", "align", "--untested")
    (received,) = city.arrived("long upload")
    assert received.login == "tax"


def test_reload_and_restart_lose_nothing(city):
    """Postfix reloads and restarts with mail of all three ways in the queue."""
    queue_three(city, "restart")
    city.postfix.reload()
    city.postfix.postfix("postfix", "stop")
    city.hops["shared"].answer = None
    city.postfix.start()
    wait_until(lambda: flushed(city), "the queue to empty")
    assert_left_by_court(city, "restart")
