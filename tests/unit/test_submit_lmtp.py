"""LMTP's bytes: however they arrive in parts, the commands and the text are the same."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pointsman.submit import lmtp


def fed(data, cuts):
    """The same bytes in parts."""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


def stuffed(lines):
    """As lmtp(8) sends a text."""
    text = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines)
    return text + b".\r\n"


lines = st.lists(st.binary(max_size=20).map(lambda b: re.sub(rb"[\r\n]", b"", b)), max_size=8)


@given(lines, st.lists(st.integers(0, 500)))
@example([], [])
@example([b"."], [1, 2, 3, 4, 5, 6])
@example([b"", b".", b".."], [])
def test_text_ends_at_the_last_dot_and_passes_unchanged(text, cuts):
    """What comes behind it is the next command, wherever the parts were cut."""
    incoming = lmtp.Incoming()
    incoming.begin_text()
    found, ended, ends = b"", False, 0
    for part in fed(stuffed(text) + b"QUIT\r\n", cuts):
        incoming.feed(part)
        if not ended:
            piece, ended = incoming.text()
            found += piece
            ends += ended
    assert (found, ends) == (stuffed(text), 1)
    assert incoming.command() == b"QUIT"
    assert incoming.command() is None


@pytest.mark.parametrize(
    "text", [b".\n", b"\n.\n", b"x\n.\r\n", b"x\r.\r\n", b"x\r\n.\n", b"x.\r\n"]
)
def test_only_crlf_dot_crlf_ends_a_text(text):
    """Nobody smuggles a second message in behind a bare line feed."""
    incoming = lmtp.Incoming()
    incoming.begin_text()
    incoming.feed(text)
    assert incoming.text() == (text, False)


def test_a_second_text_is_no_continuation_of_the_first():
    """Its beginning counts as that of a line."""
    incoming = lmtp.Incoming()
    for _ in range(2):
        incoming.begin_text()
        incoming.feed(b".\r\n")
        assert incoming.text() == (b".\r\n", True)


@given(st.lists(st.integers(0, 100)))
def test_commands_are_cut_at_line_ends(cuts):
    """In the order in which they came."""
    incoming, found = lmtp.Incoming(), []
    for part in fed(b"LHLO x\r\nMAIL FROM:<a@x.test>\r\nNOOP\n", cuts):
        incoming.feed(part)
        while (line := incoming.command()) is not None:
            found.append(line)
    assert found == [b"LHLO x", b"MAIL FROM:<a@x.test>", b"NOOP"]


def test_a_line_without_end_is_given_up():
    """Memory is bounded, with a line end at last or without."""
    for end in (b"", b"\r\n"):
        incoming = lmtp.Incoming()
        incoming.feed(b"x" * (lmtp.LONGEST_COMMAND + 1) + end)
        with pytest.raises(lmtp.LongLineError):
            incoming.command()


@pytest.mark.parametrize(
    ("line", "verb"),
    [
        (b"MAIL FROM:<>", "MAIL"),
        (b"quit", "QUIT"),
        (b"rcpt to:<x>", "RCPT"),
        (b"", ""),
        (b"\xff", "�"),
    ],
)
def test_verb(line, verb):
    """In capitals."""
    assert lmtp.verb(line) == verb


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("2.0.0 ok", b"250 2.0.0 ok\r\n"),
        ("one\ntwo\nthree", b"250-one\r\n250-two\r\n250 three\r\n"),
        ("", b"250 \r\n"),
        ("a\rb\udcff", b"250 a b\xff\r\n"),
    ],
)
def test_reply(text, bytes_):
    """Each line of the server's is one of ours."""
    assert lmtp.reply(250, text) == bytes_


def test_greeting_offers_what_passes_through_and_the_server_takes():
    """Neither what is between the server and us, nor what it lacks."""
    offered = {"starttls": "", "auth": "XOAUTH2", "dsn": "", "size": "1000", "chunking": ""}
    assert lmtp.greeting("a", offered) == "a\nDSN\nSIZE 1000"
