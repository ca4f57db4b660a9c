"""From the database to everything that Postfix and the daemons read."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.postfix.lane import Tables
from pointsman.postfix.render import CLEANUP, render, table_keys
from pointsman.routing.address import parse_path, split_address
from pointsman.routing.lanes import find_link
from pointsman.routing.snapshot import Lane, Surroundings, dump, parse
from pointsman.store.book import Book
from pointsman.store.checks import checked_sender
from pointsman.store.records import Agency, Connector, Sender

TABLES = Tables(Path("/etc/postfix/pointsman"))
CHECKS = {
    "header_checks": "regexp:/etc/postfix/own",
    "nested_header_checks": "regexp:/etc/postfix/nested",
    "mime_header_checks": "",
}
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TOKENS = ("0" * 31 + "a", "0" * 31 + "b")
CONNECTORS = (
    Connector("a", hosts=("h1.test",), auth="password", username="court", password="sealed-a"),
    Connector("b", hosts=("h2.test:25",), tls="may", ca=""),
    Connector("pinned", hosts=("h3.test",), ca="PEM", envelope="align"),
    Connector("off", hosts=("h4.test",), auth="password", username="x", password="sealed-off"),
    Connector("fresh", hosts=("h5.test",), auth="password", username="y", password="sealed-fresh"),
)
STATES = {"off": "disabled", "fresh": "new"}
SENDERS = (
    Sender("clerk@a.test", "court", "a"),
    Sender("@a.test", "court", "a"),
    Sender("@.a.test", "court", "a"),
    Sender("@xn--bcher-kva.test", "court", "b"),
    Sender("x@xn--bcher-kva.test", "court", "a"),
    Sender("@off.test", "court", "off"),
    Sender("@fresh.test", "court", "fresh"),
    Sender("a b@v.test", "court", "a"),
    Sender("#x@v.test", "court", "a"),
)
BOOK = Book(
    revision=12,
    agencies={
        "default": Agency("default", any_client=True),
        "court": Agency("court", ("court-app",), ("192.0.2.0/24", "2001:db8::/32")),
    },
    connectors={c.name: replace(c, state=STATES.get(c.name, "live")) for c in CONNECTORS},
    senders={s.key: s for s in SENDERS},
    carriers=frozenset({("court", "a"), ("court", "off"), ("court", "gone"), ("default", "b")}),
    settings={"tokens": [f"sealed-{token}" for token in TOKENS]},
)


def rendered(book=BOOK, **original):
    """One revision, with secrets that are sealed by a prefix."""
    return render(
        book,
        Surroundings(myorigin="mx.test"),
        TABLES,
        lambda sealed: (
            sealed.removeprefix("sealed-").replace("a", "p$1 ", 1)
            if len(sealed) < 30
            else sealed.removeprefix("sealed-")
        ),
        "n",
        CHECKS,
        {"default_transport": None, **original},
        NOW,
    )


def rows(book=BOOK):
    """The table of senders."""
    return dict(line.split(" ", 1) for line in rendered(book).senders.splitlines())


def with_settings(**settings):
    """The book with other settings."""
    return replace(BOOK, settings={**BOOK.settings, **settings})


def looked_up(table, text):
    """What Postfix gets from a pcre table for a text (pcre_table(5)); None if nothing."""
    skipping = False
    for line in table.splitlines():
        if line == "endif":
            skipping = False
        elif line.startswith("if "):
            skipping = not re.search(line[4:-1], text, re.IGNORECASE | re.DOTALL)
        elif not skipping:
            pattern, action = re.fullmatch(r"/(.*?[^\\])/ (.*)", line).groups()
            match = re.search(pattern, text, re.IGNORECASE | re.DOTALL)
            if match:
                return match.expand(re.sub(r"\$\{?(\d)\}?", r"\\g<\1>", action))
    return None


# The table of senders.


def test_table_of_senders():
    """Links with A- and U-labels, carriers, a tombstone; nothing of a new connector."""
    assert rows() == {
        "clerk@a.test": "pm-a:[h1.test]:587",
        "@a.test": "pm-a:[h1.test]:587",
        "@xn--bcher-kva.test": "pm-b:[h2.test]:25",
        "@b\u00fccher.test": "pm-b:[h2.test]:25",
        "x@xn--bcher-kva.test": "pm-a:[h1.test]:587",
        "x@b\u00fccher.test": "pm-a:[h1.test]:587",
        "@off.test": "pm-off:[h4.test]:587",
        "@court.a.pm.invalid": "pm-a:[h1.test]:587",
        "@court.off.pm.invalid": "pm-off:[h4.test]:587",
        "@court.gone.pm.invalid": "retry:4.3.0 connector gone is gone",
        "@default.b.pm.invalid": "pm-b:[h2.test]:25",
    }


def test_table_is_in_order_and_complete():
    """Sorted, so that it is the same each time, a row a line and none twice."""
    lines = rendered().senders.splitlines()
    assert lines == sorted(lines)
    assert len({line.split(" ", 1)[0] for line in lines}) == len(lines)


def test_null_sender_row_names_the_lane_for_bounces():
    """The `<>` key stands only where the admin named a connector."""
    assert "<>" not in rows()
    assert rows(with_settings(null_sender="b"))["<>"] == "pm-b:[h2.test]:25"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("clerk@a.test", ["clerk@a.test"]),
        ("@a.test", ["@a.test"]),
        ("@xn--bcher-kva.test", ["@xn--bcher-kva.test", "@b\u00fccher.test"]),
        ("x@a.xn--bcher-kva.test", ["x@a.xn--bcher-kva.test", "x@a.b\u00fccher.test"]),
        ("z\u00fcrich@a.test", ["z\u00fcrich@a.test"]),
        ("v+1=x@a.test", ["v+1=x@a.test"]),
        ("@.a.test", []),
        ("a b@a.test", []),
        ("a@b@a.test", []),
        ("#x@a.test", []),
    ],
)
def test_keys_of_a_link_in_the_table(key, expected):
    """What the table can't say, or its source would read otherwise, is carried instead."""
    assert expected == list(table_keys(key))


def test_removed_connector_that_comes_back_takes_its_carriers():
    """A tombstone ends with the name's return."""
    book = replace(BOOK, carriers=frozenset({("court", "b")}))
    assert rows(book)["@court.b.pm.invalid"] == "pm-b:[h2.test]:25"
    connectors = {name: c for name, c in BOOK.connectors.items() if name != "b"}
    senders = {key: s for key, s in BOOK.senders.items() if s.connectors != "b"}
    book = replace(book, connectors=connectors, senders=senders)
    assert rows(book)["@court.b.pm.invalid"] == "retry:4.3.0 connector b is gone"


# The services and files of the lanes.


def test_only_live_connectors_have_a_lane():
    """A disabled one's is out of master.cf, a new one's not yet in."""
    services = rendered().services
    assert set(services) == {"pm-a/unix", "pm-b/unix", "pm-pinned/unix", f"{CLEANUP}/unix"}
    assert services["pm-a/unix"].startswith("pm-a unix - - n - 5 smtp -o ")


def test_credentials_are_for_root_alone():
    """One line for each lane with a login, every `$` doubled; a disabled one keeps its own."""
    secret = rendered().secret_files.items()
    files = {name.split(".")[0]: text for name, text in secret if "login" in name}
    assert files == {"login/a": "/^()/ court:p$$1 $1\n", "login/off": "/^()/ x:off$1\n"}


def test_no_secret_is_in_what_others_may_read():
    """Neither password nor ciphertext is in a table, a service, main.cf or the snapshot."""
    result = rendered()
    readable = [
        result.senders,
        *result.files.values(),
        *result.services.values(),
        *map(str, result.parameters.values()),
    ]
    for text in readable:
        assert "sealed" not in text
        assert "p$" not in text
        assert not any(token in text for token in TOKENS)
    assert "sealed" not in dump(result.snapshot)
    assert "p$1" not in dump(result.snapshot)


def test_authority_file_is_written_where_one_was_given():
    """One PEM file for each connector that has its own."""
    files = {n.split(".")[0]: text for n, text in rendered().files.items() if n.startswith("ca/")}
    assert files == {"ca/pinned": "PEM"}


@pytest.mark.parametrize(
    ("settings", "original", "expected"),
    [
        ({}, None, None),
        ({}, "slow:[way.test]", "slow:[way.test]"),
        ({"default": "postfix"}, "smtp", "smtp"),
        ({"default": "none"}, "smtp", "pm-none:none"),
        ({"default": "b"}, "smtp", "pm-b:[h2.test]:25"),
    ],
)
def test_default_transport(settings, original, expected):
    """What main.cf said before us, a service that does not exist, or a lane."""
    result = rendered(with_settings(**settings), default_transport=original)
    assert result.parameters == {"default_transport": expected}


# The snapshot.


def test_snapshot_holds_what_was_applied():
    """Revision, tokens, who may send, lanes with their state."""
    snapshot = rendered(with_settings(default="b", null_sender="a")).snapshot
    assert snapshot.revision == 12
    assert snapshot.tokens == TOKENS
    assert (snapshot.default, snapshot.null_sender) == ("b", "a")
    assert snapshot.agencies["court"].logins == {"court-app"}
    assert [str(n) for n in snapshot.agencies["court"].networks] == [
        "192.0.2.0/24",
        "2001:db8::/32",
    ]
    assert snapshot.agencies["default"].any_client
    assert snapshot.lanes == {
        "a": Lane("a", "[h1.test]:587"),
        "b": Lane("b", "[h2.test]:25"),
        "pinned": Lane("pinned", "[h3.test]:587", align=True),
        "off": Lane("off", "[h4.test]:587", live=False),
    }
    assert snapshot.around.myorigin == "mx.test"


def test_links_of_a_new_connector_are_staged():
    """Its mail goes on as before until it is enabled."""
    links = rendered().snapshot.links
    assert set(links) == {s.key for s in SENDERS} - {"@fresh.test"}
    assert "fresh" not in rendered().senders
    enabled = {**BOOK.connectors, "fresh": replace(BOOK.connectors["fresh"], state="live")}
    assert "@fresh.test" in rendered(replace(BOOK, connectors=enabled)).snapshot.links


LOCALS = st.text('ab.+=_-"@ #\u00fc', max_size=6)
HOSTS = st.sampled_from(["a.test", "b\u00fccher.test", "xn--strae-oqa.at", "sub.a.test"])
KEYS = st.builds("{}@{}".format, LOCALS.map(lambda text: text.replace('"', "")), HOSTS)
LINKS = st.dictionaries(KEYS, st.sampled_from(["a", "b", "off", "fresh"]), max_size=8)


@given(LINKS)
def test_table_and_snapshot_agree_on_every_sender(links):
    """The connector linked by the CLI is the one that milter and Postfix's table find."""
    senders = {}
    for text, connector in links.items():
        local, _, domain = text.rpartition("@")
        if local.strip() == local:
            key = checked_sender(f'"{local}"@{domain}' if local else text)
            senders[key] = Sender(key, "court", connector)
    book = replace(BOOK, senders=senders, carriers=frozenset())
    snapshot = parse(dump(rendered(book).snapshot))
    for key, sender in senders.items():
        local, _, domain = key.rpartition("@")
        found = snapshot.links.get(key)
        assert (found and found.connector) == (
            None if sender.connectors == "fresh" else sender.connectors
        )
    for key, destination in rows(book).items():
        _, link = find_link(snapshot, split_address(key))
        assert snapshot.lanes[link.connector].destination == destination


# What cleanup and the lanes look for in a message.


@pytest.mark.parametrize(
    ("header", "action"),
    [
        (f"X-Pointsman-Lane: {'0' * 32} a", "FILTER pm-a:[h1.test]:587"),
        (f"X-Pointsman-Lane: {'0' * 32} off", "FILTER retry:4.3.0 connector off is disabled"),
        (f"X-Pointsman-Lane: {'0' * 32} fresh", "HOLD lane not applied yet"),
        (f"X-Pointsman-Lane: {'0' * 32} gone", "HOLD lane not applied yet"),
        (f"X-Pointsman-Lane: {'0' * 32} a b", "HOLD lane not applied yet"),
        ("X-Pointsman-Lane: a", "HOLD lane not applied yet"),
        ("X-Pointsman-Lane:", "HOLD lane not applied yet"),
        ("Subject: X-Pointsman-Lane: a", None),
    ],
)
def test_marker_of_the_milter(header, action):
    """A marker without a rule must not fall through to the default relay."""
    assert action == looked_up(rendered().files["marker.pcre"], header)


@pytest.mark.parametrize(
    ("header", "action"),
    [
        (f"X-Pointsman-Lane: {TOKENS[0]} a", "FILTER pm-a:[h1.test]:587"),
        (f"X-Pointsman-Lane: {TOKENS[1]} a", "FILTER pm-a:[h1.test]:587"),
        (f"X-Pointsman-Lane: {TOKENS[0]} off", "FILTER retry:4.3.0 connector off is disabled"),
        (f"X-Pointsman-Lane: {TOKENS[0]} gone", "HOLD connector is gone"),
        (f"X-Pointsman-Lane: {TOKENS[0]} fresh", "HOLD connector is gone"),
        (f"X-Pointsman-Lane: {'1' * 32} a", None),
        ("X-Pointsman-Lane: a", None),
        ("X-Pointsman-Lane:  a", None),
    ],
)
def test_marker_of_requeued_mail(header, action):
    """Only a known token, retired ones included, is obeyed."""
    assert action == looked_up(rendered().secret_files["requeue.pcre"], header)


@pytest.mark.parametrize("header", ["X-Pointsman-Lane:  a", "X-Pointsman-Lane:  ", "X-Y:  a"])
def test_without_a_token_no_marker_is_obeyed(header):
    """An empty list of tokens must not become a pattern that matches nothing as a token."""
    table = rendered(with_settings(tokens=[])).secret_files["requeue.pcre"]
    assert looked_up(table, header) is None


def test_tokens_are_not_for_everybody():
    """The table that knows them is among the secret files, and named by cleanup alone."""
    result = rendered()
    assert "requeue.pcre" not in result.files
    assert [n for n, e in result.services.items() if "requeue" in e] == [f"{CLEANUP}/unix"]


def test_requeued_mail_passes_the_admins_checks_too():
    """Ours come first; nested and MIME headers keep what they had."""
    entry = rendered().services[f"{CLEANUP}/unix"]
    assert entry.startswith(f"{CLEANUP} unix n - n - 0 cleanup -o ")
    assert (
        f"-o {{header_checks=pcre:{TABLES.folder}/requeue.pcre, regexp:/etc/postfix/own}}" in entry
    )
    assert "-o nested_header_checks=regexp:/etc/postfix/nested" in entry
    assert entry.endswith("-o mime_header_checks=")


CARRIER = "v+1=v.test@court.a.pm.invalid"


@pytest.mark.parametrize("table", ["strip.pcre", "strip_body.pcre"])
@pytest.mark.parametrize(
    ("line", "action"),
    [
        (f"X-Pointsman-Lane: {'0' * 32} a", "IGNORE"),
        (f"x-pointsman-lane: {TOKENS[0]} a", "IGNORE"),
        (f"Return-Path: <{CARRIER}>", "IGNORE"),
        (f"X-Postfix-Sender: rfc822; {CARRIER}", "REPLACE X-Postfix-Sender: rfc822; v+1@v.test"),
        (
            'X-Postfix-Sender: rfc822; "a b=v.test"@court.a.pm.invalid',
            'REPLACE X-Postfix-Sender: rfc822; "a b"@v.test',
        ),
        ("Return-Path: <v@v.test>", None),
        ("X-Postfix-Sender: rfc822; v@v.test", None),
        ("X-Postfix-Queue-ID: 4Q1", None),
        ("Subject: pm.invalid", None),
        ("From: v@v.test", None),
    ],
)
def test_nothing_of_ours_leaves(table, line, action):
    """Lanes take the marker and the traces of a carrier out, headers and bodies alike."""
    assert action == looked_up(rendered().files[table], line)


def test_body_that_speaks_of_markers_is_left_alone():
    """Only what could be a real marker is taken out of a body."""
    files = rendered().files
    assert looked_up(files["strip_body.pcre"], "X-Pointsman-Lane: see the manual") is None
    assert looked_up(files["strip.pcre"], "X-Pointsman-Lane: see the manual") == "IGNORE"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("530 5.7.0 Authentication required", "430 4.7.0 Authentication required"),
        ("530-5.7.0 Authentication required", "430-4.7.0 Authentication required"),
        ("535 5.7.8 Bad credentials", "435 4.7.8 Bad credentials"),
        ("530 Must issue STARTTLS", "430 Must issue STARTTLS"),
        ("535 no", "435 no"),
        ("550 5.7.57 Client not authenticated", "450 4.7.57 Client not authenticated"),
        ("550 5.7.60 SMTP; Client does not", "450 4.7.60 SMTP; Client does not"),
        ("554 5.7.3 Authentication unsuccessful", "454 4.7.3 Authentication unsuccessful"),
        ("550 5.7.30 Basic authentication", "450 4.7.30 Basic authentication"),
        ("550 5.7.1 <x@h.test>... Relaying denied", "450 4.7.1 <x@h.test>... Relaying denied"),
        ("554 5.7.1 <x@h.test>: Relay access denied", "454 4.7.1 <x@h.test>: Relay access denied"),
        ("550 5.7.54 SMTP; Unable to relay", "450 4.7.54 SMTP; Unable to relay"),
        ("550 relay not permitted", "450 relay not permitted"),
        ("550 5.7.1 Message rejected as spam", None),
        ("554 5.7.1 <x@h.test>: Recipient address rejected: Access denied", None),
        ("550 5.1.1 User unknown", None),
        ("550 5.7.509 DMARC", None),
        ("250 2.0.0 Ok", None),
        ("450 4.2.0 Greylisted", None),
    ],
)
def test_word_about_our_login_is_deferred(reply, expected):
    """It is the connector's fault; what concerns the message stays as it is."""
    assert expected == looked_up(rendered().files["replies.pcre"], reply)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            "554 5.7.1 <x@h.test>: Recipient address rejected: Access denied",
            "454 4.7.1 <x@h.test>: Recipient address rejected: Access denied",
        ),
        (
            "554 5.7.1 <h.test[192.0.2.1]>: Client host rejected: Access denied",
            "454 4.7.1 <h.test[192.0.2.1]>: Client host rejected: Access denied",
        ),
        ("554 5.7.1 <x@h.test>: Recipient address rejected: gone", None),
        ("550 5.1.1 <x@h.test>: Recipient address rejected: User unknown", None),
    ],
)
def test_access_denied_to_a_client_without_a_login_is_deferred(reply, expected):
    """Postfix's submission says it to a connector whose login was forgotten."""
    assert expected == looked_up(rendered().files["stranger.pcre"], reply)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            "5.4.4 unable to look up host h1.test: Name",
            "4.4.4 unable to look up host h1.test: Name",
        ),
        ("5.4.4 Host or domain name not found. x", "4.4.4 Host or domain name not found. x"),
        (
            "5.4.6 mail for h1.test loops back to myself",
            "4.4.6 mail for h1.test loops back to myself",
        ),
        (
            "4.7.5 client TLS configuration problem",
            "4.3.5 not a host of this connector, or not yet",
        ),
        ("4.7.5 Server certificate not verified", None),
        ("5.1.1 User unknown", None),
        ("4.4.4 unable to look up host", None),
    ],
)
def test_trouble_with_the_next_hop_is_deferred_and_called_by_its_name(status, expected):
    """A connector whose name fails must not bounce its agency's mail."""
    assert expected == looked_up(rendered().files["statuses.pcre"], status)


def test_decoding_table_decodes():
    """The lanes and the way home of bounces share it."""
    assert looked_up(rendered().files["decode.pcre"], CARRIER) == "v+1@v.test"
    assert parse_path(CARRIER).domain == "court.a.pm.invalid"
