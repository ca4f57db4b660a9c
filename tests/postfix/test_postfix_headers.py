"""Case 10: whatever stands in From, the answer is the design's, at once, and never a crash."""

import time

import pytest

from lab.client import message, send

COURT, DEFAULT = "court", ""
DEEP = "(" * 1000 + ")" * 1000

# name: (raw From, or None), more fields, envelope, expected code, login at the server
HEADERS = {
    "comma in a display name": ('"Clerk, The" <clerk@a.test>', [], 250, COURT),
    "quoted local part": ('"clerk"@a.test', [], 250, COURT),
    "quoted with a blank": ('"c lerk"@a.test', [], 250, DEFAULT),
    "address in quotes": ('"clerk@a.test" <x@other.test>', [], 250, DEFAULT),
    "comments 1,000 deep": (f"{DEEP} Clerk {DEEP} <clerk{DEEP}@a.test>", [], 250, COURT),
    "address in a comment": ("x@other.test (clerk@a.test)", [], 250, DEFAULT),
    "group of one": ("Court: clerk@a.test;", [], 250, COURT),
    "group of two of one way": ("Court: clerk@a.test, user@a.test;", [], 250, COURT),
    "empty group": ("Nobody:;", [], 550, None),
    "encoded word like an address": (
        "=?utf-8?q?clerk=40a=2Etest?= <x@other.test>",
        [],
        250,
        DEFAULT,
    ),
    "encoded word with a comma": ("=?utf-8?q?Clerk,_The?= <clerk@a.test>", [], 250, COURT),
    "encoded word with brackets": ("=?utf-8?q?<clerk@a.test>?= <x@other.test>", [], 550, None),
    "encoded name": ("=?utf-8?b?w4TDtsO8?= <clerk@a.test>", [], 250, COURT),
    "folded": ("\r\n Clerk\r\n\t<clerk@a.test>", [], 250, COURT),
    "folded within": ('"The\r\n Clerk"\r\n <clerk\r\n @a.test>', [], 250, COURT),
    "bare address": ("clerk@a.test", [], 250, COURT),
    "obsolete route": ("<@relay.test:clerk@a.test>", [], 250, COURT),
    "several of one way": ("clerk@a.test, user@a.test", [], 250, COURT),
    "several of two ways": ("clerk@a.test, two@multi.test", [], 550, None),
    "several, Sender decides": (
        "clerk@a.test, two@multi.test",
        ["Sender: clerk@a.test"],
        250,
        COURT,
    ),
    "several, Sender unlinked": (
        "clerk@a.test, two@multi.test",
        ["Sender: x@other.test"],
        250,
        DEFAULT,
    ),
    "several, two Senders": (
        "clerk@a.test, user@a.test",
        ["Sender: clerk@a.test", "Sender: clerk@a.test"],
        550,
        None,
    ),
    "several, broken Sender": ("clerk@a.test, user@a.test", ["Sender: <<>"], 550, None),
    "one, Sender ignored": ("clerk@a.test", ["Sender: two@multi.test"], 250, COURT),
    "two From fields": ("clerk@a.test", ["From: clerk@a.test"], 550, None),
    "two From fields, odd case": ("clerk@a.test", ["FROM : x@other.test"], 550, None),
    "no From": (None, [], 250, DEFAULT),
    "empty": ("", [], 550, None),
    "blanks": ("   ", [], 550, None),
    "null address": ("<>", [], 550, None),
    "two addresses in one place": ("clerk@a.test x@other.test", [], 550, None),
    "address as a name": ("clerk@a.test <x@other.test>", [], 550, None),
    "same address as a name": ("clerk@a.test <Clerk@A.test>", [], 250, COURT),
    "unclosed quote": ('"Clerk <clerk@a.test>', [], 550, None),
    "unclosed comment": ("(Clerk <clerk@a.test>", [], 550, None),
    "unclosed angle": ("Clerk <clerk@a.test", [], 550, None),
    "8-bit name": ("Gr\udcfc\udcdfe <clerk@a.test>", [], 250, COURT),
    "8-bit address": ("cl\udce4rk@a.test", [], 550, None),
    "SMTPUTF8 address": ("clérk@a.test", [], 250, DEFAULT),
    "SMTPUTF8 domain": ("q@bücher.test", [], 250, COURT),
    "full-width dot": ("q@bücher\N{FULLWIDTH FULL STOP}test", [], 250, COURT),
    "dots in the name": ("Dr. A. Clerk <clerk@a.test>", [], 250, COURT),
    "name alone": ("Clerk", [], 250, DEFAULT),
    "two words alone": ("The Clerk", [], 550, None),
    "trailing comma": ("clerk@a.test,", [], 250, COURT),
    "50 kB of name": (f'"{"x" * 50_000}" <clerk@a.test>', [], 250, COURT),
    "100 kB": (f'"{"x" * 100_000}" <clerk@a.test>', [], 550, None),
    "50 kB of quotes": ('"' * 50_001, [], 550, None),
    "50 kB of commas": ("," * 50_000 + "clerk@a.test", [], 250, COURT),
    "50 kB of open comments": ("(" * 50_000, [], 550, None),
    "50 kB of angles": ("<" * 50_000, [], 550, None),
    "encoded line break": ("=?utf-8?q?x=0d=0aBcc:_y@z.test?= <clerk@a.test>", [], 250, COURT),
}


def fold(value):
    """Long fields are folded by every mailer: Postfix cuts lines at 2,048 characters."""
    return (
        value
        if len(value) < 900 or "\r\n" in value
        else "\r\n ".join(value[i : i + 900] for i in range(0, len(value), 900))
    )


@pytest.mark.parametrize("name", HEADERS)
def test_from(city, name):
    """Each From field gets the answer that the design gives it, in no time."""
    from_, extra, code, login = HEADERS[name]
    content = message(fold(from_) if from_ is not None else None, name, extra=extra)
    start = time.monotonic()
    reply = send(city.postfix, "v@vendor.test", "x@ext.test", content, login="a-app")
    assert time.monotonic() - start < 5
    assert reply.code == code, reply
    if code == 250:
        (received,) = city.arrived(name)
        assert received.login == login
    else:
        assert reply.text.startswith("5.7.1 ")
        city.postfix.wait_for_log(r"way=refused.*reply=\"550 5.7.1")


def test_no_from_envelope_decides(city):
    """Without a From field, the envelope sender is all there is."""
    city.send("clerk@a.test", None, "no From, A's envelope")
    assert city.arrived("no From, A's envelope")[0].login == COURT


def test_refused_from_does_not_touch_inbound_mail(city):
    """Mail for hosted recipients passes, whatever stands in its From."""
    content = message("a@b, <<", "odd inbound", extra=["From: again"])
    assert send(city.postfix, "v@vendor.test", "root@localhost", content, login="x").code == 250
