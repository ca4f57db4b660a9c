"""Leave, carry, mark, refuse or defer: every branch of the one decision."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.routing.address import carried_by, is_carrier, parse_path
from pointsman.routing.decide import (
    MARKER,
    Carry,
    Leave,
    Mark,
    Message,
    Refuse,
    decide,
    lane_taken,
)
from pointsman.routing.lanes import Client
from pointsman.routing.recipients import Recipient
from pointsman.routing.snapshot import Link

NOW = 1_800_000_000.0
A = Client("a-app", "203.0.113.1")
B = Client("b-app", "203.0.113.2")
BOTH = Client("shared-app", "203.0.113.3")
NOBODY = Client("", "203.0.113.4")


def to(mailer="smtp", *more):
    """Outbound recipients, with the transport that Postfix gave each at RCPT."""
    return tuple(
        Recipient(f"<x{n}@ext{n}.test>", mailer, f"ext{n}.test" if mailer == "smtp" else "")
        for n, mailer in enumerate([mailer, *more])
    )


OUT = to()
HOSTED = Recipient("<x@town.test>", "virtual", "town.test")


def message(envelope="clerk@a.test", *froms, client=A, rcpt=OUT, senders=(), markers=()):
    """A message from these addresses."""
    return Message(f"<{envelope}>", rcpt, client, froms, senders, markers)


def step_of(snapshot, *args, **kwargs):
    """What becomes of such a message."""
    return decide(snapshot, message(*args, **kwargs), NOW).step


def reply(step):
    """The reply of a refusal; fails on any other step."""
    assert isinstance(step, Refuse)
    return f"{step.code} {step.status} {step.text}"


# The table, the default relay, hosted mail: nothing to change.


@pytest.mark.parametrize(
    ("envelope", "froms", "rcpt", "client", "way"),
    [
        ("clerk@a.test", ["clerk@a.test"], to("pm-a"), A, "table"),
        ("clerk@a.test", ["boss@a.test"], to("pm-a"), A, "table"),
        ("clerk@a.test", [], to("pm-a"), A, "table"),
        ("clerk@a.test", ["x@vendor.test"], to("pm-a", "pm-a"), A, "table"),
        ("", ["clerk@a.test"], to("pm-a"), A, "table"),
        ("x@vendor.test", ["y@vendor.test"], to(), NOBODY, "default"),
        ("x@vendor.test", [], to("smtp", "smtp"), NOBODY, "default"),
        ("x@vendor.test", [], to(None), NOBODY, "default"),
        ("", [], to(), NOBODY, "default"),
        ("", ["x@vendor.test"], to(), NOBODY, "default"),
        ("clerk@a.test", ["clerk@a.test"], (HOSTED,), NOBODY, "hosted"),
        ("clerk@a.test", ["a@a.test, b@b.test"], (HOSTED,), NOBODY, "hosted"),
        ("clerk@a.test", ["clerk@a.test", "clerk@a.test"], (HOSTED,), NOBODY, "hosted"),
        ("clerk@a.test", ["<<<"], (HOSTED,), NOBODY, "hosted"),
        ("x@off.test", ["x@off.test"], (HOSTED,), NOBODY, "hosted"),
        ("x@vendor.test", [], (), NOBODY, "hosted"),
    ],
)
def test_what_postfix_does_anyway_is_left(town, envelope, froms, rcpt, client, way):
    """Where Postfix's own answer is the decision, or all is hosted, nothing is changed."""
    assert Leave(way) == step_of(town, envelope, *froms, rcpt=rcpt, client=client)


@pytest.mark.parametrize("default", ["none", "a", "off"])
def test_hosted_mail_is_left_whatever_the_default_relay(town, default):
    """Refusals concern outbound recipients only."""
    assert Leave("hosted") == step_of(
        replace(town, default=default), "x@vendor.test", rcpt=(HOSTED,), client=NOBODY
    )


# The carrier.


@pytest.mark.parametrize(
    ("envelope", "froms", "rcpt", "client", "sender"),
    [
        ("v+1@v.test", ["clerk@a.test"], to(), A, "v+1=v.test@a.a.pm.invalid"),
        ("v@v.test", ["clerk+vip@a.test"], to(), A, "v=v.test@a.tax.pm.invalid"),
        ("clerk@a.test", ["clerk+vip@a.test"], to("pm-a"), A, "clerk=a.test@a.tax.pm.invalid"),
        ("x@b.test", ["clerk@a.test"], to("pm-b"), BOTH, "x=b.test@a.a.pm.invalid"),
        ("clerk@a.test", ["x@b.test"], to("pm-a"), BOTH, "clerk=a.test@b.b.pm.invalid"),
        ("x@sub.a.test", [], to(), A, "x=sub.a.test@a.tax.pm.invalid"),
        ("clerk@a.test", [], to(None), A, "clerk=a.test@a.a.pm.invalid"),
        ("clerk@a.test", [], to("pm-a", None), A, "clerk=a.test@a.a.pm.invalid"),
        ("clerk@a.test", [], to("pm-a", "smtp"), A, "clerk=a.test@a.a.pm.invalid"),
        ("clerk@a.test", [], to("pm-newer"), A, "clerk=a.test@a.a.pm.invalid"),
        ("x@vendor.test", [], to("pm-b"), NOBODY, "x=vendor.test@default.postfix.pm.invalid"),
        ('"a b"@v.test', ["clerk@a.test"], to(), A, '"a b=v.test"@a.a.pm.invalid'),
        ("@r.test:v@v.test", ["clerk@a.test"], to(), A, "v=v.test@a.a.pm.invalid"),
        ("root", ["clerk@a.test"], to(), A, "root=mx.test@a.a.pm.invalid"),
    ],
)
def test_what_the_table_can_not_say_is_carried(town, envelope, froms, rcpt, client, sender):
    """The envelope sender then tells agency and lane."""
    assert Carry(sender) == step_of(town, envelope, *froms, rcpt=rcpt, client=client)


def test_hosted_recipients_of_a_carried_message_stay(town):
    """A mixed message is carried all the same: the table acts for each recipient."""
    rcpt = (*to(), HOSTED)
    decision = decide(town, message("v@v.test", "clerk@a.test", rcpt=rcpt), NOW)
    assert isinstance(decision.step, Carry)
    assert list(to()) == list(decision.outbound)


@pytest.mark.parametrize("envelope", ['"a\tb"@v.test', "clerk\x01@v.test", '"a"@"v test"'])
def test_sender_that_can_not_be_carried_exactly_is_deferred(town, envelope):
    """It is deferred by name, not mangled."""
    answer = reply(step_of(town, envelope, "clerk@a.test"))
    assert answer.startswith("451 4.3.0 <")
    assert answer.endswith("can't be carried exactly")


@pytest.mark.parametrize(
    ("envelope", "froms", "rcpt", "expected"),
    [
        ("x@own.test", ["x@own.test"], to("pm-own"), Leave("table")),
        ("X@OWN.test", ["x@own.test"], to("pm-own"), Leave("table")),
        ("y@own.test", ["x@own.test"], to("pm-own"), Carry("x=own.test@open.own.pm.invalid")),
        ("v@v.test", ["x@own.test"], to(), Carry("x=own.test@open.own.pm.invalid")),
        ("x@own.test", ["v@v.test"], to("pm-own"), Leave("table")),
        ("", ["x@own.test"], to("pm-own"), Leave("table")),
    ],
)
def test_aligned_connector_gets_the_from_address(town, envelope, froms, rcpt, expected):
    """`envelope: align` shows the deciding address outside, but never replaces `<>`."""
    assert expected == step_of(town, envelope, *froms, rcpt=rcpt)


@pytest.mark.parametrize(
    ("changed", "left", "carried"),
    [
        ("clerk@a.test", 35, True),
        ("clerk@a.test", 0.1, True),
        ("clerk@a.test", 0, False),
        ("clerk@a.test", -1, False),
        ("@a.test", 1, True),
        ("@.test", 1, True),
        ("clerk+vip@a.test", 1, False),
        ("@b.test", 1, False),
    ],
)
def test_sender_whose_row_changed_just_now_is_carried(town, changed, left, carried):
    """Postfix's qmgr may go on with the old row for as long as it remembers it."""
    snapshot = replace(town, changed={changed: NOW + left})
    step = step_of(snapshot, "clerk@a.test", rcpt=to("pm-a"))
    assert carried is isinstance(step, Carry)


def test_sender_unlinked_just_now_is_carried_to_the_default_relay(town):
    """Or qmgr would send it by the lane it was unlinked from."""
    snapshot = replace(town, changed={"x@vendor.test": NOW + 1})
    assert Carry("x=vendor.test@default.postfix.pm.invalid") == step_of(snapshot, "x@vendor.test")


@pytest.mark.parametrize(
    ("varies", "mailer", "changed", "step"),
    [
        (False, "pm-new", 0, Carry),
        (True, "pm-new", 0, Refuse),
        (True, "pm-a", NOW + 1, Refuse),
        (True, "smtp", NOW + 1, Refuse),
        (True, "smtp", NOW - 1, Leave),
    ],
)
def test_sender_whose_link_comes_or_goes(town, varies, mailer, changed, step):
    """Postfix's row, or its memory of one, is not what we know: mail that a map leads waits.

    The default relay was never its way.
    """
    around = replace(town.around, relayhost_varies=varies)
    snapshot = replace(town, around=around, changed={"x@vendor.test": changed})
    assert isinstance(step_of(snapshot, "x@vendor.test", rcpt=to(mailer)), step)


def test_from_that_is_linked_to_postfix_itself_is_carried_from_a_lane(town):
    """That is nobody's doubt: the From decides, whatever lane the envelope sender has."""
    around = replace(town.around, relayhost_varies=True)
    links = {**town.links, "own@vendor.test": Link("open", "postfix")}
    snapshot = replace(town, around=around, links=links)
    step = step_of(snapshot, "x@open.test", "own@vendor.test", rcpt=to("pm-a"))
    assert isinstance(step, Carry)


def test_null_sender_is_not_carried_for_a_recent_change(town):
    """Nothing can carry `<>`; a change elsewhere does not keep the table from serving it."""
    snapshot = replace(town, changed={"clerk@a.test": NOW + 1})
    assert Leave("table") == step_of(snapshot, "", "clerk@a.test", rcpt=to("pm-a"))


@pytest.mark.parametrize(
    ("default", "envelope", "rcpt", "expected"),
    [
        ("postfix", "clerk@a.test", to("pm-a"), Carry("clerk=a.test@a.a.pm.invalid")),
        ("postfix", "", to("pm-a"), Mark("0000000000000000000000000000000a a")),
        ("b", "x@vendor.test", to("pm-b"), Carry("x=vendor.test@default.b.pm.invalid")),
    ],
)
def test_where_postfix_rewrites_senders_the_table_proves_nothing(
    town, default, envelope, rcpt, expected
):
    """With canonical or SRS maps on envelope senders every outbound message is carried."""
    snapshot = replace(town, default=default, around=replace(town.around, rewrites=True))
    froms = ["clerk@a.test"] if envelope != "x@vendor.test" else []
    assert expected == step_of(snapshot, envelope, *froms, rcpt=rcpt)


# May they?


@pytest.mark.parametrize(
    ("envelope", "froms", "client", "address"),
    [
        ("v@v.test", ["clerk@a.test"], NOBODY, "clerk@a.test"),
        ("v@v.test", ["clerk@a.test"], B, "clerk@a.test"),
        ("clerk@a.test", ["x@b.test"], B, "clerk@a.test"),
        ("clerk@a.test", ["x@b.test"], A, "x@b.test"),
        ("clerk@a.test", [], B, "clerk@a.test"),
        ("clerk@a.test", ["v@v.test"], NOBODY, "clerk@a.test"),
        ("", ["clerk@a.test"], NOBODY, "clerk@a.test"),
        ("v@v.test", ["x@sub.a.test"], B, "x@sub.a.test"),
        ("v@v.test", ["x@b\u00fccher.test"], B, "x@b\u00fccher.test"),
        ("v@v.test", ["c@a.test, x@b.test"], A, "x@b.test"),
        ("v@v.test", ["c@a.test, x@a.test"], B, "c@a.test"),
    ],
)
def test_stranger_may_not_send_for_an_agency(town, envelope, froms, client, address):
    """Neither in the From, any of its mailboxes, nor as the envelope sender."""
    answer = reply(step_of(town, envelope, *froms, client=client, senders=["x@b.test"]))
    assert answer.startswith(f"550 5.7.1 <{address}>: ")
    assert str(client) in answer


@pytest.mark.parametrize(
    "client", [A, BOTH, Client("", "192.0.2.7"), Client("", "::ffff:192.0.2.7")]
)
def test_listed_client_may_send(town, client):
    """A login of the agency or a client in its networks."""
    assert Leave("table") == step_of(town, rcpt=to("pm-a"), client=client)


def test_sender_field_must_be_permitted_too(town):
    """A From with several mailboxes is decided by Sender, so the client must own that as well."""
    step = step_of(town, "v@v.test", "c@a.test, d@a.test", senders=["x@b.test"], client=A)
    assert reply(step).startswith("550 5.7.1 <x@b.test>: ")


@pytest.mark.parametrize(
    "envelope",
    ["a.test!clerk", "clerk%a.test", "a.a.pm.invalid!v=v.test", "v=v.test%a.a.pm.invalid"],
)
def test_no_way_of_writing_the_sender_gets_past_may_they(town, envelope):
    """Postfix makes these clerk@a.test or a carrier, which its table gives to agency a's lane."""
    step = step_of(town, envelope, "x@vendor.test", client=NOBODY)
    assert reply(step).startswith("550 5.7.1 <")


# Header fields.


@pytest.mark.parametrize(
    ("froms", "senders", "words"),
    [
        (["a@v.test", "a@v.test"], [], "More than one From field"),
        (["clerk@a.test", "clerk@a.test"], [], "More than one From field"),
        ([""], [], "The From field has no address"),
        ([" \r\n "], [], "The From field has no address"),
        (["Undisclosed:;"], [], "The From field has no address"),
        (["clerk@a.test <x@b.test>"], [], "The From field can't be read: "),
        (["<clerk@a.test"], [], "The From field can't be read: "),
        (["x" * 59_001], [], "The From field can't be read: longer than 59,000"),
        (["c@a.test, x@b.test"], [], "The From field names several agencies or ways"),
        (["c@a.test, x@v.test"], [], "The From field names several agencies or ways"),
        (["clerk@a.test, clerk+vip@a.test"], [], "The From field names several agencies or ways"),
        (["c@a.test, d@a.test"], ["a@a.test", "b@a.test"], "More than one Sender field"),
        (["c@a.test, d@a.test"], ["a@a.test, b@a.test"], "The Sender field has several"),
        (["c@a.test, d@a.test"], [""], "The Sender field has no address"),
        (["c@a.test, d@a.test"], ["<<"], "The Sender field can't be read: "),
    ],
)
def test_field_that_does_not_decide_clearly_is_refused(town, froms, senders, words):
    """5xx, never a guess, and for no client."""
    step = step_of(town, "v@v.test", *froms, senders=senders, client=BOTH)
    assert reply(step).startswith(f"550 5.7.1 {words}")


@pytest.mark.parametrize(
    ("field", "senders", "sender"),
    [
        ("c@a.test, d@a.test", [], "v=v.test@a.a.pm.invalid"),
        ("Clerks: c@a.test, d@a.test;", [], "v=v.test@a.a.pm.invalid"),
        ("c@a.test, x@b.test", ["x@b.test"], "v=v.test@b.b.pm.invalid"),
        ("x@b.test, c@a.test", ["S <c@a.test>"], "v=v.test@a.a.pm.invalid"),
        ("c@a.test, d@a.test", ["clerk+vip@a.test"], "v=v.test@a.tax.pm.invalid"),
        ("c@a.test", ["x@b.test"], "v=v.test@a.a.pm.invalid"),
        ("c@a.test", ["", "<<"], "v=v.test@a.a.pm.invalid"),
    ],
)
def test_several_mailboxes_are_decided_by_sender_or_by_agreement(town, field, senders, sender):
    """With one mailbox, Sender is nobody's business."""
    assert Carry(sender) == step_of(town, "v@v.test", field, senders=senders, client=BOTH)


def test_decision_by_sender_is_called_so(town):
    """The log says what decided."""
    decided = decide(
        town, message("v@v.test", "c@a.test, x@b.test", senders=["x@b.test"], client=BOTH), NOW
    )
    assert decided.route.by == "sender"


def test_several_unlinked_mailboxes_leave_it_to_the_envelope(town):
    """Where all of them are linked to nothing, the envelope's link counts."""
    step = step_of(town, "clerk@a.test", "x@v.test, y@w.test", rcpt=to("pm-a"))
    assert Leave("table") == step


# Connector states and the default relay.


@pytest.mark.parametrize(
    ("envelope", "froms"),
    [("x@off.test", []), ("v@v.test", ["x@off.test"]), ("", ["x@off.test"])],
)
def test_disabled_connector_defers(town, envelope, froms):
    """New mail for it gets 450 4.3.0 with the connector's name."""
    step = step_of(town, envelope, *froms, rcpt=to("pm-off"))
    assert reply(step) == "450 4.3.0 connector off is disabled"
    assert step.way == "deferred"


def test_disabled_lane_of_the_envelope_does_not_stop_another_from(town):
    """From comes first: its lane is live."""
    step = step_of(town, "x@off.test", "clerk@a.test", rcpt=to("pm-off"))
    assert Carry("x=off.test@a.a.pm.invalid") == step


@pytest.mark.parametrize(
    ("envelope", "froms", "named"),
    [
        ("x@vendor.test", [], "x@vendor.test"),
        ("v@v.test", ["x@vendor.test"], "x@vendor.test"),
        ("", ["x@vendor.test"], "x@vendor.test"),
        ("", [], ""),
    ],
)
def test_no_match_and_no_default_relay_is_refused(town, envelope, froms, named):
    """550 5.7.1 names the sender that has no connector."""
    step = step_of(replace(town, default="none"), envelope, *froms, rcpt=to("pm-none"))
    assert reply(step).startswith(f"550 5.7.1 <{named}> has no connector")


def test_linked_mail_needs_no_default_relay(town):
    """Default `none` concerns what no link matches."""
    snapshot = replace(town, default="none")
    assert Leave("table") == step_of(snapshot, rcpt=to("pm-a"))
    assert isinstance(step_of(snapshot, "v@v.test", "c@a.test", rcpt=to("pm-none")), Carry)


@pytest.mark.parametrize(
    ("rcpt", "expected"),
    [
        (to("pm-b"), Leave("default")),
        (to(None), Leave("default")),
        (to("pm-a"), Carry("x=vendor.test@default.b.pm.invalid")),
    ],
)
def test_lane_as_default_relay(town, rcpt, expected):
    """A connector may be the default relay, and is reached like any other."""
    assert expected == step_of(replace(town, default="b"), "x@vendor.test", rcpt=rcpt)


# Carriers and markers that others write.


@pytest.mark.parametrize(
    "envelope",
    [
        "v=v.test@a.a.pm.invalid",
        "v=v.test@A.A.PM.Invalid",
        "v=v.test@a.a.pm.invalid.",
        '"v=v.test"@a.a.pm.invalid',
        "@r.test:v=v.test@a.a.pm.invalid",
        "x@pm.invalid",
        "x@other.pm.invalid",
    ],
)
@pytest.mark.parametrize("rcpt", [to("pm-a"), (HOSTED,)])
@pytest.mark.parametrize("client", [A, NOBODY])
def test_carrier_that_a_client_writes_is_refused(town, envelope, rcpt, client):
    """Only Pointsman writes carriers, whoever asks and wherever the mail goes."""
    step = step_of(town, envelope, "clerk@a.test", rcpt=rcpt, client=client)
    assert reply(step).startswith("550 5.7.1 <")
    assert reply(step).endswith("sender domain is reserved")


@pytest.mark.parametrize("token", ["0" * 31 + "a", "0" * 31 + "b"])
@pytest.mark.parametrize("form", ["{} a", " {} a", "{}", "\t{}  b", "\r\n {} a", "{} a b c"])
@pytest.mark.parametrize("rcpt", [to("pm-a"), (HOSTED,)])
def test_marker_with_a_right_token_is_refused(town, token, form, rcpt):
    """The token of today and a retired one, whoever the recipient is."""
    step = step_of(town, rcpt=rcpt, markers=["x", form.format(token)])
    assert reply(step) == f"550 5.7.1 {MARKER} is not for you to write"


def test_marker_with_the_token_in_capitals_is_refused(town):
    """Postfix's pcre tables ignore case, so requeue.pcre would obey it."""
    step = step_of(town, rcpt=to("pm-a"), markers=["0" * 31 + "A a"])
    assert reply(step) == f"550 5.7.1 {MARKER} is not for you to write"


@pytest.mark.parametrize("marker", ["", " ", "a", "1" * 32 + " a", "0" * 31, "x " + "0" * 31 + "a"])
def test_marker_with_a_wrong_token_is_nothing(town, marker):
    """It is removed by the milter, and decides nothing."""
    assert Leave("table") == step_of(town, rcpt=to("pm-a"), markers=[marker])


@pytest.mark.parametrize("envelope", ['"clerk@a.test', "clerk@a.test\\"])
def test_sender_that_can_not_be_read_is_refused(town, envelope):
    """Unbalanced quotes: 553, never a guess."""
    assert reply(step_of(town, envelope, "clerk@a.test")).startswith("553 5.1.7 ")


# The null sender.


@pytest.mark.parametrize("rcpt", [to(), to("pm-b"), to(None), to("smtp", "pm-b")])
def test_null_sender_is_marked(town, rcpt):
    """With the newest token and the connector's name."""
    step = step_of(town, "", "clerk@a.test", rcpt=rcpt)
    assert Mark(f"{town.tokens[0]} a") == step


@pytest.mark.parametrize(
    ("surroundings", "rcpt", "hazard"),
    [
        ({}, (*to(), HOSTED), "mixed"),
        ({"copies": True}, to(), "bcc"),
        ({"unlisted": ("alias:pcre:/x",)}, to(), "aliases-unknown"),
        ({}, (Recipient("<boss@ext.test>", "smtp", "ext.test"),), "aliased"),
        ({}, (Recipient("<boss+vip@ext.test>", "smtp", "ext.test"),), "aliased"),
        ({}, (*to(), Recipient("<x@aliased.test>", "smtp", "aliased.test")), "aliased"),
        ({"unlisted": ("domains:pcre:/x",)}, to(None), "domains-unknown"),
        ({"unlisted": ("domains:pcre:/x",)}, to("smtp", None), "domains-unknown"),
    ],
)
def test_null_sender_that_filter_would_misdirect_is_not_marked(town, surroundings, rcpt, hazard):
    """FILTER moves every recipient, so never with one that may be hosted."""
    snapshot = replace(town, around=replace(town.around, **surroundings))
    step = step_of(snapshot, "", "clerk@a.test", rcpt=rcpt)
    assert Leave(f"null-sender-{hazard}") == step


def test_unlisted_domains_do_no_harm_where_postfix_answers(town):
    """At RCPT Postfix has told each recipient's transport."""
    snapshot = replace(town, around=replace(town.around, unlisted=("domains:pcre:/x",)))
    assert isinstance(step_of(snapshot, "", "clerk@a.test", rcpt=to()), Mark)


@pytest.mark.parametrize("default", ["postfix", "none", "b"])
def test_unmatched_null_sender_takes_the_lane_named_for_bounces(town, default):
    """No rule fits: the `<>` key of the table serves, and only then the default relay."""
    snapshot = replace(town, default=default, null_sender="tax")
    decision = decide(snapshot, message("", "x@vendor.test", rcpt=to("pm-tax")), NOW)
    assert isinstance(decision.step, Leave)
    assert lane_taken(snapshot, decision) == "pm-tax"


# What the log and `explain` say of it.


@pytest.mark.parametrize(
    ("envelope", "froms", "rcpt", "lane"),
    [
        ("clerk@a.test", [], to("pm-a"), "pm-a"),
        ("v@v.test", ["clerk+vip@a.test"], to(), "pm-tax"),
        ("", ["clerk@a.test"], to(), "pm-a"),
        ("", ["clerk@a.test"], (*to(), HOSTED), "smtp"),
        ("v@v.test", [], to(), "smtp"),
        ("x@off.test", [], to(), ""),
        ("clerk@a.test", [], (HOSTED,), ""),
    ],
)
def test_lane_taken_is_the_transport(town, envelope, froms, rcpt, lane):
    """It names what the outbound recipients will get, and nothing where nothing leaves."""
    assert lane == lane_taken(town, decide(town, message(envelope, *froms, rcpt=rcpt), NOW))


def test_refusal_keeps_the_route_where_it_came_that_far(town):
    """The log can say whose mail was refused."""
    decision = decide(town, message(client=NOBODY), NOW)
    assert (decision.route.agency, decision.route.connector) == ("a", "a")
    assert list(decision.outbound) == list(to())


# Properties.

ADDRESSES = st.sampled_from(
    [
        "",
        "clerk@a.test",
        "clerk+vip@a.test",
        "x@sub.a.test",
        "x@b.test",
        "x@off.test",
        "v@v.test",
        "x@own.test",
        "x@open.test",
        "root",
        "z=z@a.a.pm.invalid",
        '"a b"@v.test',
        "x@town.test",
    ]
)
RECIPIENTS = st.builds(
    Recipient,
    st.sampled_from(["<x@ext.test>", "<boss@ext.test>", "<x@town.test>", "<root>"]),
    st.sampled_from([None, "smtp", "pm-a", "pm-b", "pm-tax", "pm-fax", "local", "error"]),
    st.sampled_from([None, "ext.test", "town.test"]),
)
MESSAGES = st.builds(
    Message,
    ADDRESSES.map("<{}>".format),
    st.lists(RECIPIENTS, max_size=4).map(tuple),
    st.sampled_from([A, B, BOTH, NOBODY]),
    st.lists(st.lists(ADDRESSES, max_size=2).map(", ".join), max_size=2).map(tuple),
    st.lists(ADDRESSES, max_size=2).map(tuple),
    st.lists(st.sampled_from(["x", "0" * 31 + "b a"]), max_size=1).map(tuple),
)
DEFAULTS = st.sampled_from(["postfix", "none", "a", "b"])


@given(MESSAGES, DEFAULTS)
def test_every_message_is_decided_and_none_leaves_by_a_strangers_lane(town, sent, default):
    """A message that leaves by an agency's lane was permitted by that agency."""
    snapshot = replace(town, default=default)
    decision = decide(snapshot, sent, NOW)
    assert decision == decide(snapshot, sent, NOW)
    if isinstance(decision.step, Refuse) or decision.route is None:
        return
    agency = snapshot.agencies[decision.route.agency]
    assert agency.any_client or sent.client.login in agency.logins
    lane = snapshot.lanes.get(decision.route.connector)
    assert lane.live if lane else decision.route.connector == default == "postfix"


@given(MESSAGES, DEFAULTS)
def test_message_that_is_left_already_goes_where_it_should(town, sent, default):
    """Left to the table means that Postfix named the decided lane for every recipient."""
    snapshot = replace(town, default=default)
    decision = decide(snapshot, sent, NOW)
    if decision.step == Leave("table"):
        transport = snapshot.transport_of(decision.route.connector)
        assert {transport} == {r.mailer for r in decision.outbound}
    if decision.step == Leave("default") and sent.envelope != "<>":
        transport = snapshot.transport_of(default)
        assert {transport, None} >= {r.mailer for r in decision.outbound}


@given(MESSAGES, DEFAULTS)
def test_carrier_names_the_decided_agency_and_connector(town, sent, default):
    """A queue file says whose it is, in a form that Postfix's table and `lane_of` both read."""
    decision = decide(replace(town, default=default), sent, NOW)
    if isinstance(decision.step, Carry):
        route = decision.route
        assert carried_by(parse_path(decision.step.sender)) == (route.agency, route.connector)
        assert not is_carrier(parse_path(sent.envelope, town.around.myorigin))
    if isinstance(decision.step, (Carry, Mark)):
        assert decision.outbound
