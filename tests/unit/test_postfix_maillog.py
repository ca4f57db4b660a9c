"""The mail log: what a lane's line says, and following a file across its rotation."""

import pytest

from pointsman.postfix.maillog import Delivery, Follower, parse

HEAD = "Nov 21 10:05:28 mx postfix/pm-court-smtp/smtp[26591]: 4jWndb1ND5zJB3M: to=<x@ext.test>, "
REST = "relay=h[192.0.2.1]:587, delay=0.1, delays=0/0/0/0.1, "


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            f"{HEAD}{REST}dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 1)",
            ("court-smtp", "sent", "2.0.0", False),
        ),
        (
            f"{HEAD}relay=none, dsn=4.4.1, status=deferred (connect to h: Connection refused)",
            ("court-smtp", "deferred", "4.4.1", True),
        ),
        (
            f"{HEAD}{REST}dsn=4.7.8, status=deferred (SASL authentication failed: no)",
            ("court-smtp", "deferred", "4.7.8", True),
        ),
        (
            f"{HEAD}{REST}dsn=4.2.2, status=deferred (host h said: 452 mailbox full)",
            ("court-smtp", "deferred", "4.2.2", False),
        ),
        (
            f"{HEAD}orig_to=<y@z>, {REST}dsn=5.1.1, status=bounced (host said: 550 (no) user)",
            ("court-smtp", "bounced", "5.1.1", False),
        ),
        (
            f"{HEAD}{REST}dsn=2.0.0, status=sent (250 ok)".replace("/smtp[", "/lmtp["),
            ("court-smtp", "sent", "2.0.0", False),
        ),
    ],
)
def test_line_of_a_lane_is_read(line, expected):
    """Whose it was, what came of it, and whether the way is to blame."""
    found = parse(line)
    shown = (found.connector, found.status, found.dsn, found.blames_connector)
    assert shown == expected
    assert found.queue_id == "4jWndb1ND5zJB3M"


@pytest.mark.parametrize(
    "line",
    [
        "",
        HEAD,
        f"{HEAD}{REST}dsn=2.0.0, status=sent (250 ok)".replace("pm-court-smtp/", ""),
        f"{HEAD}{REST}dsn=2.0.0, status=sent (250 ok)".replace("/smtp[", "/error["),
        "Nov 21 10:05:28 mx postfix/pm-a/smtp[1]: 4jW: host h said: 450 later (in reply to DATA)",
        "Nov 21 10:05:28 mx postfix/pm-a/smtp[1]: connect to h[::1]:25: Connection refused",
        "Nov 21 10:05:28 mx pointsman/milter[1]: 4jW: from=<x>, lane=pm-a",
    ],
)
def test_other_lines_say_nothing(line):
    """Of other services, and of anything but an outcome."""
    assert parse(line) is None


def test_queue_id_and_text_are_kept():
    """For the log line about a connector that is down."""
    line = f"{HEAD}relay=none, dsn=4.4.1, status=deferred (connect to h: refused)"
    assert parse(line) == Delivery(
        "court-smtp", "4jWndb1ND5zJB3M", "4.4.1", "deferred", "connect to h: refused"
    )


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def test_follower_reads_what_is_new(tmp_path):
    """Not what was there before; whole lines only; nothing twice."""
    path = tmp_path / "mail.log"
    append(path, "old\n")
    follower = Follower(path)
    assert list(follower.lines()) == []
    append(path, "one\ntw")
    assert list(follower.lines()) == ["one"]
    append(path, "o\n")
    assert list(follower.lines()) == ["two"]
    assert list(follower.lines()) == []


def test_follower_survives_rotation(tmp_path):
    """By rename, by truncation, and with no file for a while."""
    path = tmp_path / "mail.log"
    append(path, "old\n")
    follower = Follower(path)
    path.rename(tmp_path / "mail.log.1")
    assert list(follower.lines()) == []
    append(path, "new\n")
    assert list(follower.lines()) == ["new"]
    path.write_text("")
    assert list(follower.lines()) == []
    append(path, "after\n")
    assert list(follower.lines()) == ["after"]
