"""Case 1, 2 and 7: each message leaves by its own lane, under its own login."""

import smtplib
import time

import pytest

from lab.client import begin, message, sendmail, transaction

# name: From, envelope, client's login, lane, login at the server, way
ROUTES = {
    "both of A": ("clerk@a.test", "clerk@a.test", "a-app", "pm-a", "court", "table"),
    "only From, VERP": ("clerk@a.test", "v+x=y@vendor.test", "a-app", "pm-a", "court", "carrier"),
    "only From, null sender": ("clerk@a.test", "<>", "a-app", "pm-a", "court", "marker"),
    "only the envelope": ("boss@other.test", "clerk@a.test", "a-app", "pm-a", "court", "table"),
    "From of C, envelope of A": ("x@c.test", "clerk@a.test", "a-app", "pm-a", "court", "table"),
    "From of A, envelope of C": ("two@multi.test", "x@c.test", "a-app", "pm-tax", "tax", "carrier"),
    "neither": ("x@other.test", "y@vendor.test", "a-app", "smtp", "", "default"),
    "neither, null sender": ("x@other.test", "<>", "a-app", "smtp", "", "default"),
    "two agencies, one connector": ("x@c.test", "x@c.test", "c-app", "pm-a", "court", "table"),
    "address before domain": (
        "one@multi.test",
        "one@multi.test",
        "a-app",
        "pm-a",
        "court",
        "table",
    ),
    "another address": ("two@multi.test", "two@multi.test", "a-app", "pm-tax", "tax", "table"),
    "the domain": ("three@multi.test", "three@multi.test", "b-app", "pm-b", "police", "table"),
    "a subdomain": ("x@deep.q.sub.test", "x@q.sub.test", "a-app", "pm-a", "court", "carrier"),
    "the parent of subdomains": ("x@sub.test", "x@sub.test", "a-app", "smtp", "", "default"),
    "user+ext by user": ("user+x@a.test", "user+x@a.test", "a-app", "pm-a", "court", "table"),
    "user+ext itself": ("user+vip@a.test", "user+vip@a.test", "a-app", "pm-tax", "tax", "table"),
    "upper case": ("CLERK@A.Test", "Clerk@A.TEST", "a-app", "pm-a", "court", "table"),
    "U-label": ("q@bücher.test", "q@bücher.test", "a-app", "pm-a", "court", "table"),
    "A-label": ("q@xn--bcher-kva.test", "q@XN--bcher-kva.test", "a-app", "pm-a", "court", "table"),
    "U-label of an A-label link": (
        "q@straße.test",
        "q@straße.test",
        "a-app",
        "pm-a",
        "court",
        "table",
    ),
    "U-label From, other envelope": (
        "q@BÜCHER.test",
        "v@vendor.test",
        "a-app",
        "pm-a",
        "court",
        "carrier",
    ),
    "trailing dot": ("clerk@a.test", "clerk@a.test.", "a-app", "pm-a", "court", "table"),
}


@pytest.mark.parametrize("name", ROUTES)
def test_lane(city, name):
    """From, else envelope, else the default relay decides; the server sees the right login."""
    from_, envelope, login, lane, server_login, way = ROUTES[name]
    reply = city.send(envelope, from_, name, login=login)
    assert reply.code == 250, reply
    (received,) = city.arrived(name)
    assert received.login == server_login
    assert received.sender == envelope.strip("<>").removesuffix(".")
    assert city.lanes(reply.queue_id) == {
        "someone@example.net": f"postfix/{lane}" if login and lane != "smtp" else "postfix"
    }
    assert f"lane={lane}, way={way}," in city.decision(reply.queue_id)


@pytest.mark.parametrize(
    ("options", "way", "sender"),
    [
        ((), "carrier", "www-data@mx.lab.test"),
        (("-f", "clerk@a.test"), "carrier", "clerk@a.test"),
        (("-f", "<>"), "marker", ""),
    ],
)
def test_sendmail_as_www_data(city, options, way, sender):
    """Mail from sendmail(1), of which Postfix tells the milter no transport, takes its lane."""
    subject = f"sendmail {options}"
    sendmail(city.postfix, ["x@ext.test"], message("Clerk <clerk@a.test>", subject), *options)
    (received,) = city.arrived(subject)
    assert (received.server, received.login, received.sender) == ("shared", "court", sender)
    assert city.postfix.wait_for_log(rf"lane=pm-a, way={way}.*revision")


def test_sendmail_of_nobody_in_particular(city):
    """A cron job's mail takes the default relay and is not rewritten."""
    sendmail(city.postfix, ["x@ext.test"], message(None, "cron"))
    (received,) = city.arrived("cron")
    assert (received.server, received.sender) == ("default", "www-data@mx.lab.test")


def test_two_logins_on_one_server(city):
    """500 messages for one host and port, interleaved: each goes under its own login."""
    expected = {}
    with smtplib.SMTP("127.0.0.1", city.postfix.port) as smtp:
        begin(smtp)
        for number in range(500):
            login, address = [("court", "clerk@a.test"), ("police", "x@b.test")][number % 2]
            smtp.docmd(f"XCLIENT LOGIN={'a-app' if login == 'court' else 'b-app'}")
            smtp.ehlo()
            subject = f"interleaved {number}"
            expected[subject] = login
            assert transaction(smtp, address, "x@ext.test", message(address, subject)).code == 250
    received = city.hops["shared"].wait_for(500, 120)
    assert {r.subject: r.login for r in received} == expected


def test_sender_moves(own_city):
    """Within 2 s of `sender link`, the next message takes the other connector."""
    city = own_city
    for turn, (connector, login) in enumerate([("tax", "tax"), ("a", "court"), ("tax", "tax")]):
        # The same sender and recipient just before: qmgr remembers where they went.
        city.send("clerk@a.test", "clerk@a.test", f"before {turn}")
        city.arrived(f"before {turn}")
        start = time.monotonic()
        city.cli("sender", "link", "clerk@a.test", "--agency", "a", "--connector", connector)
        assert time.monotonic() - start < 2.0
        city.send("clerk@a.test", "clerk@a.test", f"after {turn}")
        (received,) = city.arrived(f"after {turn}")
        assert received.login == login
