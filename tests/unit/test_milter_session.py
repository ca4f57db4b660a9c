"""The milter's session, fed callback by callback as libmilter does it."""

from dataclasses import replace
from socket import AF_INET, AF_UNIX

import Milter
import pytest

from pointsman.milter import session as module
from pointsman.milter.session import Session
from tests.unit.smtp_session import Connection

TOKEN = "0" * 31 + "a"


FROM_CLERK = (("From", b"Clerk <clerk@a.test>"),)


def test_message_that_the_table_serves_is_left(connection):
    """Nothing is asked for."""
    sent = connection.send(
        "<clerk@a.test>", "<x@ext.test>", login="a-app", mailer="pm-a", headers=FROM_CLERK
    )
    assert sent == (Milter.ACCEPT, [])


def test_message_is_carried(connection):
    """The envelope sender becomes the carrier, in angle brackets."""
    sent = connection.send(
        "<v+1@v.test>", "<x@ext.test>", login="a-app", mailer="smtp", headers=FROM_CLERK
    )
    assert sent == (Milter.ACCEPT, [("from", "<v+1=v.test@a.a.pm.invalid>", None)])


def test_null_sender_is_marked(connection):
    """The marker is added, with token and connector."""
    sent = connection.send("<>", "<x@ext.test>", login="a-app", mailer="smtp", headers=FROM_CLERK)
    assert sent == (Milter.ACCEPT, [("add", "X-Pointsman-Lane", f"{TOKEN} a", -1)])


def test_arriving_markers_are_removed_from_last_to_first(connection):
    """Whatever the case of their name, and before one of our own is added."""
    headers = [("x-POINTSMAN-lane", b"1 a"), *FROM_CLERK, ("X-Pointsman-Lane", b"2 b")]
    sent = connection.send("<>", "<x@ext.test>", login="a-app", mailer="smtp", headers=headers)
    removed = [("change", "X-Pointsman-Lane", n, None) for n in (2, 1)]
    assert sent == (Milter.ACCEPT, [*removed, ("add", "X-Pointsman-Lane", f"{TOKEN} a", -1)])


def test_marker_with_the_right_token_is_refused(connection):
    """550, and nothing changed."""
    answer, done = connection.send(
        "<clerk@a.test>", "<x@town.test>", headers=[("X-Pointsman-Lane", f"{TOKEN} a".encode())]
    )
    assert answer == Milter.REJECT
    assert done == [("reply", "550", "5.7.1", "X-Pointsman-Lane is not for you to write")]


@pytest.mark.parametrize(
    ("kind", "login", "address", "answer"),
    [
        (AF_INET, None, ("192.0.2.5", 25), Milter.ACCEPT),
        (AF_INET, None, ("192.0.3.5", 25), Milter.REJECT),
        (AF_INET, "a-app", ("192.0.3.5", 25), Milter.ACCEPT),
        (AF_INET, "b-app", ("192.0.3.5", 25), Milter.REJECT),
        (AF_UNIX, None, "/run/x", Milter.REJECT),
        (AF_INET, None, None, Milter.REJECT),
    ],
)
def test_login_and_client_address_reach_the_decision(connection, kind, login, address, answer):
    """The address from the connection, the login from each message's macros."""
    other = Connection().open(kind, address)
    assert connection.session is not other.session
    sent = other.send(
        "<clerk@a.test>", "<x@ext.test>", login=login, mailer="pm-a", headers=FROM_CLERK
    )
    assert answer == sent[0]


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (b"J\xc3\xbcrgen <clerk@a.test>", Milter.ACCEPT),
        (b"J\xfcrgen <clerk@a.test>", Milter.ACCEPT),
        (b"clerk@b\xc3\xbccher.test", Milter.ACCEPT),
        (b"cl\xfcrk@a.test", Milter.REJECT),
        (b"clerk@a.test <x@b.test>", Milter.REJECT),
        (b"x" * 60_000, Milter.REJECT),
        (b"", Milter.REJECT),
    ],
)
def test_bytes_of_the_from_field_are_read_safely(connection, value, answer):
    """8-bit names do no harm; an address that is not UTF-8 is no address."""
    sent = connection.send(
        "<clerk@a.test>", "<x@ext.test>", login="a-app", mailer="pm-a", headers=[("From", value)]
    )
    assert answer == sent[0]


def test_sender_field_is_read(connection):
    """It decides between several mailboxes."""
    headers = [("from", b"clerk@a.test, x@b.test"), ("SENDER", b"x@b.test")]
    sent = connection.send(
        "<v@v.test>", "<x@ext.test>", login="shared-app", mailer="smtp", headers=headers
    )
    assert sent == (Milter.ACCEPT, [("from", "<v=v.test@b.b.pm.invalid>", None)])


@pytest.mark.parametrize("how", ["after a message", "after RSET"])
def test_nothing_of_one_message_reaches_the_next(connection, how):
    """Neither sender, login, recipients nor fields: the second is judged by its own."""
    connection.start(
        "<clerk@a.test>",
        "<x@ext.test>",
        "<boss@ext.test>",
        login="shared-app",
        mailer="smtp",
        headers=[*FROM_CLERK, ("Sender", b"x@b.test"), ("X-Pointsman-Lane", b"1 a")],
    )
    if how == "after RSET":
        connection.session.abort()
    else:
        connection.end()
    answer, done = connection.send("<>", "<x@ext.test>", mailer="smtp", headers=FROM_CLERK)
    assert answer == Milter.REJECT
    assert done[0][:3] == ("reply", "550", "5.7.1")
    sent = connection.send("<v@v.test>", "<x@ext.test>", mailer="smtp")
    assert sent == (Milter.ACCEPT, [])


@pytest.mark.usefixtures("connection")
def test_client_address_lasts_for_the_connection():
    """RSET and new messages come from the same client."""
    other = Connection().open(address=("192.0.2.5", 25))
    for _ in range(2):
        other.session.abort()
        sent = other.send("<clerk@a.test>", "<x@ext.test>", mailer="pm-a", headers=FROM_CLERK)
        assert sent == (Milter.ACCEPT, [])


def test_sessions_side_by_side_share_nothing(connection):
    """Two connections with messages interleaved are told apart."""
    other = Connection().open()
    connection.start("<clerk@a.test>", "<x@ext.test>", login="a-app", mailer="pm-a")
    other.start("<x@b.test>", "<x@ext.test>", login="b-app", mailer="smtp")
    assert connection.end() == (Milter.ACCEPT, [])
    assert other.end() == (Milter.ACCEPT, [("from", "<x=b.test@b.b.pm.invalid>", None)])


def test_snapshot_is_taken_anew_for_each_message(town, connection):
    """A new revision counts for the next message of an open session."""
    send = ("<x@vendor.test>", "<x@ext.test>")
    assert connection.send(*send, mailer="smtp")[0] == Milter.ACCEPT
    Session.current.snapshot = replace(town, default="none")
    assert connection.send(*send, mailer="pm-none")[0] == Milter.REJECT


def test_without_a_snapshot_mail_is_deferred(connection):
    """Before the first apply nothing may leave unseen."""
    Session.current.snapshot = None
    answer, done = connection.send("<clerk@a.test>", "<x@ext.test>", mailer="pm-a")
    assert answer == Milter.TEMPFAIL
    assert done == [("reply", "451", "4.3.0", "not configured yet, try again later")]


def test_fault_of_ours_defers_and_is_logged(connection, monkeypatch, log):
    """451 and one line with the traceback; the next message is served."""

    def broken(*_):
        raise RuntimeError("a bug\nwith lines")

    with monkeypatch.context() as patch:
        patch.setattr(module, "decide", broken)
        answer, done = connection.send("<clerk@a.test>", "<x@ext.test>", mailer="pm-a")
    assert answer == Milter.TEMPFAIL
    assert done == [("reply", "451", "4.3.0", "internal error, try again later")]
    (line,) = log()
    assert line.startswith("4Q1234: error=internal, ")
    assert "RuntimeError: a bug" in line
    assert "\n" not in line
    sent = connection.send("<clerk@a.test>", "<x@ext.test>", login="a-app", mailer="pm-a")
    assert sent == (Milter.ACCEPT, [])


def test_decision_is_one_line_of_the_log(connection, log):
    """Queue id first, then sender, owner, lane, way and revision, as the design says."""
    connection.send(
        "<v+1@v.test>", "<x@ext.test>", login="a-app", mailer="smtp", headers=FROM_CLERK
    )
    (line,) = log()
    assert line.startswith("4Q1234: from=<v+1@v.test>, ")
    for pair in (
        'header_from="Clerk <clerk@a.test>"',
        "client=203.0.113.1",
        "login=a-app",
        "nrcpt=1",
        "outbound=1",
        "agency=a",
        "connector=a",
        "by=from",
        "lane=pm-a",
        "way=carrier",
        "rate=go",
        "revision=7",
    ):
        assert f", {pair}" in line


def test_refusal_says_its_reply_in_the_log(connection, log):
    """Postmaster sees what the client was told."""
    connection.send("<clerk@a.test>", "<x@ext.test>", mailer="pm-a")
    (line,) = log()
    assert 'reply="550 5.7.1 <clerk@a.test>: client 203.0.113.1 may not send for it"' in line


@pytest.mark.parametrize(
    "value",
    [
        b"clerk\n4Q9999: from=<x>\n",
        b"clerk\r\n\t@a.test\x1b[31m",
        b"\xff\xfe\x00",
        "\u2028\u0085\u202e".encode(),
        b'", agency=b, x="',
    ],
)
def test_nobody_writes_a_log_line_through_ours(connection, log, value):
    """Line breaks, terminal codes and foreign bytes don't reach the log."""
    connection.send("<x@vendor.test>", "<x@ext.test>", mailer="smtp", headers=[("From", value)])
    (line,) = log()
    assert line.isprintable()
    assert "agency=b" not in "".join(line.replace('\\"', "").split('"')[::2])


def test_percent_sign_in_a_reply_is_doubled(connection):
    """A lone % would be an error to libmilter, which formats the text."""
    _, done = connection.send('<"100%s"@a.test>', "<x@ext.test>", mailer="pm-a")
    assert "100%%s@a.test" in done[0][3]


@pytest.mark.parametrize("local", ["z\u00fcrich", "x" * 5000, '"a\tb"'])
def test_reply_is_short_ascii_text(connection, local):
    """Nothing that the client wrote makes the reply one that libmilter refuses."""
    answer, done = connection.send(f"<{local}@a.test>", "<x@ext.test>", mailer="pm-a")
    assert answer == Milter.REJECT
    assert done[0][3].isascii()
    assert done[0][3].isprintable()
    assert len(done[0][3]) < 512


def test_only_what_is_needed_is_asked_of_postfix(connection):
    """The body never travels, and no callback before the end is waited for."""
    unneeded = Milter.P_NOHELO | Milter.P_NODATA | Milter.P_NOEOH | Milter.P_NOBODY
    no_reply = Milter.P_NR_CONN | Milter.P_NR_MAIL | Milter.P_NR_RCPT | Milter.P_NR_HDR
    asked = connection.session._protocol
    assert asked & unneeded == unneeded
    assert asked & no_reply == no_reply
