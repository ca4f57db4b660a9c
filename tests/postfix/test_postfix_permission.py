"""Case 4: nobody sends as another agency; inbound mail is nobody's business."""

import pytest

from lab.client import message, send, sendmail

FORGERIES = {
    "From of A": ("x@b.test", "clerk@a.test"),
    "envelope of A": ("clerk@a.test", "x@b.test"),
    "both of A": ("clerk@a.test", "clerk@a.test"),
    "From of A, null sender": ("<>", "clerk@a.test"),
    "Sender of A": ("x@b.test", "x@b.test, y@b.test\r\nSender: clerk@a.test"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgery_is_refused(city, name):
    """B's client writes A's addresses: 550, one log line, nothing sent."""
    envelope, from_ = FORGERIES[name]
    reply = city.send(envelope, from_, name, login="b-app")
    assert (reply.code, reply.text[:6]) == (550, "5.7.1 ")
    assert "<clerk@a.test>: login b-app may not send for it" in reply.text
    line = city.postfix.wait_for_log(r"(\S+): .*way=refused.*reply=\"550 5.7.1 <clerk@a.test>")
    assert line
    assert city.postfix.queue() == []
    assert not any(hop.received for hop in city.hops.values())


def test_mailboxes_of_two_agencies_without_a_sender(city):
    """A From that names A's address beside B's own: there is no one way, so 550."""
    reply = city.send("x@b.test", "x@b.test, clerk@a.test", "several", login="b-app")
    assert (reply.code, "names several agencies" in reply.text) == (550, True)


@pytest.mark.parametrize(
    ("address", "login", "code"),
    [
        ("192.0.2.1", "", 250),
        ("192.0.2.2", "", 550),
        ("192.0.2.2", "a-app", 250),
        ("192.0.2.1", "b-app", 250),  # the network alone permits
        ("IPV6:2001:db8::1", "a-app", 250),
    ],
)
def test_login_or_network_permits(city, address, login, code):
    """Either is enough; a login permits but does not decide."""
    content = message("clerk@a.test", f"from {address} {login}")
    reply = send(city.postfix, "clerk@a.test", "x@ext.test", content, login=login, address=address)
    assert reply.code == code


def test_inbound_from_our_own_users_passes(city):
    """A's user writes from elsewhere to a hosted recipient: not ours to refuse."""
    content = message("clerk@a.test", "from home")
    reply = send(city.postfix, "clerk@a.test", "root@localhost", content, address="203.0.113.5")
    assert reply.code == 250
    assert "way=hosted" in city.decision(reply.queue_id)


def test_sendmail_needs_permission_too(own_city):
    """A local user whose address no agency lists gets the message back."""
    city = own_city
    city.cli("agency", "set", "a", "--network", "192.0.2.1")
    sendmail(city.postfix, ["x@ext.test"], message("clerk@a.test", "local forgery"))
    city.postfix.wait_for_log(r"way=refused.*client 127.0.0.1 may not send")
    (notice,) = city.arrived("Undelivered Mail Returned to Sender", 0) or [None]
    city.postfix.wait_for_empty_queue()
    assert not any(r.subject == "local forgery" for h in city.hops.values() for r in h.received)
    assert notice is None or notice.server == "default"


def test_login_serves_two_agencies(city):
    """a-app is listed by A and by C."""
    assert city.send("x@c.test", "x@c.test", "of C", login="a-app").code == 250
    assert city.send("clerk@a.test", "clerk@a.test", "of A", login="a-app").code == 250


def test_no_default_relay_refuses_after_the_from_was_seen(own_city):
    """With `connector default none`, only mail that no link matches gets 550."""
    city = own_city
    city.cli("connector", "default", "none")
    reply = city.send("y@vendor.test", "x@other.test", "nobody's")
    assert (reply.code, "there is no default relay" in reply.text) == (550, True)
    assert city.send("y@vendor.test", "clerk@a.test", "carried").code == 250
    assert city.send("<>", "clerk@a.test", "marked").code == 250
    assert {r.login for r in city.arrived("carried") + city.arrived("marked")} == {"court"}
    assert city.send("y@vendor.test", "x@other.test", "inbound", "root@localhost").code == 250


def test_default_relay_is_a_connector(own_city):
    """A named default relay takes what no link matches, and `postfix` gives it back."""
    city = own_city
    city.cli("connector", "default", "tax")
    assert city.send("y@vendor.test", "x@other.test", "by tax").code == 250
    assert city.arrived("by tax")[0].login == "tax"
    city.cli("connector", "default", "postfix")
    assert city.send("y@vendor.test", "x@other.test", "by postfix").code == 250
    assert city.arrived("by postfix")[0].server == "default"


def test_null_sender_lane(own_city):
    """The lane that the admin names for bounces takes null-sender mail that no rule moves."""
    city = own_city
    city.cli("connector", "default", "tax", "--null-sender")
    assert city.send("<>", "x@other.test", "a bounce").code == 250
    assert city.arrived("a bounce")[0].login == "tax"
    assert city.send("<>", "clerk@a.test", "mixed", ["x@ext.test", "root@localhost"]).code == 250
    assert city.arrived("mixed")[0].login == "tax"


def test_disabled_connector_defers_new_mail_and_keeps_queued(own_city):
    """450 for new mail of its senders; what is queued waits for it to come back."""
    city = own_city
    city.hops["shared"].answer = lambda _envelope: "451 4.0.0 later"
    reply = city.send("clerk@a.test", "clerk@a.test", "queued")
    city.postfix.wait_for_log(rf"{reply.queue_id}: .*status=deferred")
    city.cli("connector", "disable", "a")
    for sender in ("clerk@a.test", "v@vendor.test", "<>"):
        refused = city.send(sender, "clerk@a.test", "new")
        assert (refused.code, refused.text) == (450, "4.3.0 connector a is disabled")
    # The envelope is A's, but the From decides: B's mail must not suffer.
    assert city.send("clerk@a.test", "two@multi.test", "other lane").code == 250
    city.arrived("other lane")
    city.hops["shared"].answer = None
    city.postfix.postfix("postqueue", "-f")
    city.postfix.wait_for_log(rf"{reply.queue_id}: .*mail transport unavailable")
    assert [q["queue_id"] for q in city.postfix.queue()] == [reply.queue_id]
    city.cli("connector", "enable", "a")
    assert city.arrived("queued")[0].login == "court"


@pytest.mark.parametrize(
    "path", ["a.test!clerk", "clerk%a.test", "Clerk%A.Test", '"@x:clerk"@a.test']
)
def test_old_spellings_of_an_address(city, path):
    """Postfix reads these as clerk@a.test, so that they need the same permission."""
    reply = city.send(path, "x@b.test", f"{path} as B", login="b-app")
    assert (reply.code, "<clerk@" in reply.text.lower()) == (550, True), reply
    assert city.send(path, "clerk@a.test", f"{path} as A").code == 250
    (received,) = city.arrived(f"{path} as A")
    assert (received.login, received.sender.lower()) == ("court", "clerk@a.test")


def test_carrier_in_an_old_spelling(city):
    """A carrier that only Postfix's rewriting would complete is refused too."""
    for path in ("a.a.pm.invalid!v=v.test", "v=v.test%a.a.pm.invalid"):
        assert city.send(path, "x@b.test", "old carrier", login="b-app").code == 550
