"""Case 5: forged markers and carriers have no effect, and real ones are never seen."""

import json
import re

import pytest

from lab.client import message, send, sendmail
from lab.instance import wait_until

WRONG = "0123456789abcdef0123456789abcdef"


def token_of(city):
    """The marker's token, as somebody who got hold of it knows it."""
    data = json.loads((city.postfix.state_directory / "snapshot.json").read_text())
    return data["tokens"][0]


def forged(where, token):
    """A message with the marker at one of the places that Postfix looks at."""
    line = f"X-Pointsman-Lane: {token} a"
    multipart = "Content-Type: multipart/mixed; boundary=xx"
    if where == "top":
        return message("x@b.test", where, extra=[line])
    if where == "odd case":
        return message("x@b.test", where, extra=[f"x-POINTSMAN-lane: {token} a"])
    if where == "folded":
        return message("x@b.test", where, extra=[f"X-Pointsman-Lane:\r\n {token}\r\n a"])
    if where == "thrice":
        return message("x@b.test", where, extra=[line, "X-Other: 1", line, line])
    if where == "after the rest":
        return message("x@b.test", where).replace(b"\r\n\r\n", f"\r\n{line}\r\n\r\n".encode(), 1)
    if where == "attached message":
        inner = (
            f"--xx\r\nContent-Type: message/rfc822\r\n\r\n{line}\r\nSubject: in\r\n\r\nhi\r\n--xx--"
        )
    else:
        inner = f"--xx\r\n{line}\r\nContent-Type: text/plain\r\n\r\nhi\r\n--xx--"
    return message("x@b.test", where, inner, extra=["MIME-Version: 1.0", multipart])


TOP = ["top", "odd case", "folded", "thrice", "after the rest"]
NESTED = ["attached message", "MIME part"]


def assert_no_marker(city):
    """Nothing that any next hop got has a marker in it."""
    for hop in city.hops.values():
        for received in hop.received:
            assert b"pointsman-lane" not in received.data.lower()


@pytest.mark.parametrize("where", TOP + NESTED)
def test_forged_marker_with_a_wrong_token(city, where):
    """B's mail goes B's way, and the marker is taken out."""
    content = forged(where, WRONG)
    assert send(city.postfix, "x@b.test", "x@ext.test", content, login="b-app").code == 250
    assert city.arrived(where)[0].login == "police"
    assert_no_marker(city)


@pytest.mark.parametrize("where", TOP)
def test_forged_marker_with_the_right_token_is_refused(city, where):
    """Whoever knows the token gets 550, for outbound and for local recipients."""
    content = forged(where, token_of(city))
    for recipient in ("x@ext.test", "root@localhost"):
        reply = send(city.postfix, "x@b.test", recipient, content, login="b-app")
        assert reply.code == 550
    assert not any(hop.received for hop in city.hops.values())


@pytest.mark.parametrize("where", NESTED)
def test_nested_marker_with_the_right_token(city, where):
    """Nested ones are not looked at for the lane, and do not leave."""
    content = forged(where, token_of(city))
    assert send(city.postfix, "x@b.test", "x@ext.test", content, login="b-app").code == 250
    assert city.arrived(where)[0].login == "police"
    assert_no_marker(city)


@pytest.mark.parametrize("where", [*NESTED, "top"])
def test_forged_marker_to_a_local_user(city, where):
    """An outsider's mail for a local user is delivered here, and by no lane."""
    token = WRONG if where == "top" else token_of(city)
    reply = send(city.postfix, "o@evil.test", "root@localhost", forged(where, token), login="x")
    city.postfix.wait_for_log(rf"postfix/local\[\d+\]: {reply.queue_id}: .*status=sent")
    assert not any(hop.received for hop in city.hops.values())


def test_sendmail_with_the_right_token(city):
    """sendmail(1) passes the requeue checks first, and is refused all the same."""
    content = message(
        "nobody@other.test", "from inside", extra=[f"X-Pointsman-Lane: {token_of(city)} a"]
    )
    sendmail(city.postfix, ["x@ext.test"], content)
    city.postfix.wait_for_log(r"reply=\"550 5.7.1 X-Pointsman-Lane is not for you to write\"")
    city.postfix.wait_for_empty_queue()
    assert not any(r.subject == "from inside" for hop in city.hops.values() for r in hop.received)


@pytest.mark.parametrize(
    "carrier",
    [
        "v=vendor.test@a.a.pm.invalid",
        "v=vendor.test@A.A.PM.Invalid",
        "v=vendor.test@a.a.pm.invalid.",
        "clerk=a.test@a.tax.pm.invalid",
        '"v w=vendor.test"@a.a.pm.invalid',
        "@relay.test:v=vendor.test@a.a.pm.invalid",
        "x@pm.invalid",
    ],
)
def test_forged_carrier_is_refused(city, carrier):
    """A client that writes a carrier itself gets 550, even one who may send for A."""
    for login in ("a-app", "b-app"):
        reply = city.send(carrier, "x@other.test", "forged carrier", login=login)
        assert reply.code in (550, 553), reply
        assert "sender domain is reserved" in reply.text


def test_marker_is_not_in_what_the_server_gets(city):
    """Null-sender mail is marked here and clean out there."""
    reply = city.send("<>", "clerk@a.test", "marked")
    assert "way=marker" in city.decision(reply.queue_id)
    assert city.arrived("marked")[0].login == "court"
    assert_no_marker(city)


@pytest.mark.parametrize("size", [100, 150_000], ids=["small", "over 100 kB"])
def test_marker_is_not_in_a_postmasters_notice(own_city, size):
    """Undeliverable null-sender mail makes no bounce; a notice about it has no marker."""
    city = own_city
    city.postfix.set(
        notify_classes="2bounce, bounce, delay",
        error_notice_recipient="pm@ext.test",
        **{"2bounce_notice_recipient": "pm@ext.test", "bounce_notice_recipient": "pm@ext.test"},
    )
    city.hops["shared"].answer = lambda _envelope: "550 5.1.1 no such user"
    city.send("<>", "clerk@a.test", "unwanted", body="line of text\r\n" * (size // 14))
    (notice,) = city.arrived("Postmaster Copy: Undelivered Mail")
    assert b"unwanted" in notice.data
    assert_no_marker(city)


@pytest.mark.parametrize("size", [100, 150_000], ids=["small", "over 100 kB"])
@pytest.mark.parametrize("sender", ["v+1=x@vendor.test", '"a b"@vendor.test', "zürich@vendor.test"])
def test_bounce_of_carried_mail_comes_home(city, sender, size):
    """The sender gets the bounce at the address it wrote; no marker, no carrier address in it."""
    city.hops["shared"].answer = lambda _envelope: "550 5.1.1 no such user"
    try:
        city.send(sender, "clerk@a.test", "bouncing", body="line of text\r\n" * (size // 14))
        (bounce,) = city.arrived("Undelivered Mail Returned to Sender")
    finally:
        city.hops["shared"].answer = None
    assert (bounce.server, bounce.sender, bounce.recipients) == ("default", "", (sender,))
    assert_no_marker(city)
    assert re.findall(rb"(?m)^.*pm\.invalid.*$", bounce.data) == []


def test_answer_to_a_return_path_comes_home(city):
    """A local user's Return-Path shows the carrier, and a bounce to it is decoded."""
    reply = city.send("v@vendor.test", "clerk@a.test", "mixed", ["root@localhost", "x@ext.test"])
    city.postfix.wait_for_log(rf"local\[\d+\]: {reply.queue_id}: .*status=sent")
    answer = send(
        city.postfix, "<>", "v=vendor.test@a.a.pm.invalid", message("md@local.test", "answer")
    )
    assert answer.code == 250
    (received,) = city.arrived("answer")
    assert (received.server, received.recipients) == ("default", ("v@vendor.test",))


def test_marker_survives_no_hop_of_its_own(city):
    """Marked mail that is deferred and tried again is still clean."""
    city.hops["shared"].answer = lambda _envelope: "451 4.0.0 later"
    reply = city.send("<>", "clerk@a.test", "again")
    city.postfix.wait_for_log(rf"{reply.queue_id}: .*status=deferred")
    city.hops["shared"].answer = None
    wait_until(lambda: city.postfix.postfix("postqueue", "-i", reply.queue_id) == "", "a retry")
    city.arrived("again")
    assert_no_marker(city)
