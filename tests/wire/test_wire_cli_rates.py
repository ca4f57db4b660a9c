"""Rates, pauses, usage and status on the command line: what is right, and what is told wrong."""

import json
from dataclasses import replace

import pytest

from tests.wire.cli_sentences import misused, refused, said
from tests.wire.policy_process import SNAPSHOT, Daemon

COURT = ("--agency", "court", "--connector", "smtp")
BAD_RATES = ["50", "x", "50/month", "0/minute", "5/minute; 6/60 seconds", "5/0 seconds", "-1/day"]
BAD_RATES += ["5/367 days", "1" * 13 + "/day", "10,000/day", "\udcff"]


@pytest.mark.parametrize("rate", BAD_RATES)
@pytest.mark.parametrize(
    "command",
    [
        ("agency", "add", "new", "--any-client"),
        ("agency", "set", "court"),
        ("connector", "add", "new", "--host", "h.test"),
        ("connector", "set", "smtp"),
        ("sender", "link", "new@b.test", *COURT),
    ],
)
def test_bad_rate(admin, command, rate):
    """Status 2, and what is wrong with it."""
    sentence = refused(admin, *command, "--rate", rate, status=2)
    assert "rate" in sentence or "limit" in sentence or "window" in sentence


@pytest.mark.parametrize(
    "arguments",
    [
        ("agency", "set", "court", "--held-max", "0"),
        ("agency", "set", "court", "--held-max", "-1"),
        ("agency", "set", "court", "--held-max", "x"),
        ("agency", "set", "court", "--held-max", "1000001"),
        ("agency", "set", "court", "--over-limit", "bounce"),
        ("agency", "set", "court", "--over-limit", ""),
        ("connector", "set", "smtp", "--backlog", "0"),
        ("connector", "set", "smtp", "--backlog", "1e3"),
        ("agency", "pause"),
        ("agency", "pause", "court", "--if-revision", "-1"),
        ("agency", "resume"),
        ("connector", "resume", "smtp", "--for", "2h"),
        ("usage", "court", "smtp"),
        ("status", "court"),
    ],
)
def test_misuse(admin, arguments):
    """Status 2, after the usage."""
    assert misused(admin, *arguments)


@pytest.mark.parametrize("noun", ["agency", "connector"])
@pytest.mark.parametrize(
    "length", ["2x", "", "0s", "367d", "-1h", "1.5h", "1h 30m", "9999999w" * 20, "soon"]
)
def test_bad_length_of_a_pause(admin, noun, length):
    """Status 2, and nothing is paused; an empty one is not for ever."""
    name = {"agency": "court", "connector": "smtp"}[noun]
    refused(admin, noun, "pause", name, "--for", length, status=2)


@pytest.mark.parametrize("reason", ["a\nb", "\x1b[31m", "\udcff"])
def test_bad_reason(admin, reason):
    """Status 2: it stands in logs and listings."""
    assert "printable" in refused(admin, "agency", "pause", "court", "--reason", reason, status=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("agency", "pause", "nobody"), "no agency 'nobody'"),
        (("agency", "resume", "nobody"), "no agency 'nobody'"),
        (("connector", "pause", "nothing"), "no connector 'nothing'"),
        (("connector", "resume", "nothing"), "no connector 'nothing'"),
        (("connector", "pause", "postfix"), "no connector 'postfix'"),
        (("agency", "resume", "court"), "agency court is not paused"),
        (("connector", "resume", "smtp"), "connector smtp is not paused"),
        (("usage", "nobody"), "no agency or connector 'nobody'"),
        (("usage", "agency court"), "no agency or connector 'agency court'"),
        (("agency", "pause", "court", "--if-revision", "0"), "revision"),
    ],
)
def test_what_is_not_there(admin, arguments, words):
    """Status 1, in words."""
    assert words in refused(admin, *arguments)


@pytest.mark.parametrize("since", ["2x", "0s", "400d", "yesterday"])
def test_bad_time_of_usage(admin, since):
    """Status 2."""
    refused(admin, "usage", "--since", since, status=2)


def test_rate_is_kept_in_normal_form(admin):
    """However it was spelled."""
    admin.do("agency", "set", "court", "--rate", "60 messages per 60 seconds, 9 Recipients/days")
    (shown,) = map(json.loads, admin.do("agency", "show", "court", "--json").splitlines())
    assert shown["rate"] == "60/minute; 9 recipients/day"
    assert "nothing to change" in admin.do(
        "agency", "set", "court", "--rate", "60/minute;9 recipients/day"
    )


def test_rate_of_a_sender_is_kept_when_it_moves(admin):
    """Until another is given; `unlimited` takes it away."""

    def rate():
        lines = admin.do("sender", "list", "--json").splitlines()
        return next(s["rate"] for s in map(json.loads, lines) if s["key"] == "clerk@a.test")

    admin.do("sender", "link", "clerk@a.test", *COURT, "--rate", "5/minute")
    admin.do("sender", "link", "clerk@a.test", "--agency", "empty", "--connector", "smtp")
    assert rate() == "5/minute"
    admin.do("sender", "link", "clerk@a.test", *COURT, "--rate", "unlimited")
    assert rate() == ""


@pytest.mark.parametrize(("noun", "name"), [("agency", "court"), ("connector", "fresh")])
def test_pause_and_resume(admin, noun, name):
    """A pause is shown with who, until when and why; a second one replaces it."""
    admin.do(noun, "pause", name)
    admin.do(noun, "pause", name, "--for", "2h", "--reason", "audit")
    shown = admin.do(noun, "show", name)
    assert "audit" in shown
    assert " until " in shown
    admin.do(noun, "resume", name)
    assert "audit" not in admin.do(noun, "show", name)
    assert "is not paused" in refused(admin, noun, "resume", name)


@pytest.mark.parametrize(("noun", "name"), [("agency", "empty"), ("connector", "fresh")])
def test_pause_goes_with_what_was_paused(admin, noun, name):
    """What is added later under the same name is not paused."""
    admin.do(noun, "pause", name)
    admin.do(noun, "remove", name)
    more = {"agency": ("--any-client",), "connector": ("--host", "h.test", "--tls", "none")}
    admin.do(noun, "add", name, *more[noun])
    assert "is not paused" in refused(admin, noun, "resume", name)


@pytest.mark.parametrize("command", [("usage",), ("usage", "court"), ("usage", "--json")])
def test_usage_without_a_daemon(admin, command):
    """What the database knows is shown, and one line says that the daemon is not there."""
    result = admin.run(*command)
    assert result.exit_code == 0, result.exception
    assert "court" in result.stdout
    assert result.stderr.count("\n") == 1
    assert "the policy daemon does not answer" in result.stderr


def test_status_without_anything(admin):
    """No Postfix, no daemon: told in words, with or without --json."""
    result = admin.run("status", "--json")
    if result.exit_code:
        said(result, 1)
    else:
        assert json.loads(result.stdout)["programs"]["policy"] == "DOWN"


def test_usage_shows_senders_with_a_rate_of_their_own(admin):
    """And no others; by name as well."""
    admin.do("sender", "link", "clerk@a.test", *COURT, "--rate", "2/hour")
    admin.do("sender", "link", "other@a.test", *COURT)
    daemon = Daemon(admin.folder)
    admin.configure(policy={"socket": f"unix:{daemon.socket}"})
    try:
        daemon.apply(replace(SNAPSHOT, rates={"clerk@a.test": "2/hour"})).start()
        daemon.ask("Q1", "court", counter="clerk@a.test")
        (row,) = map(json.loads, admin.do("usage", "clerk@a.test", "--json").splitlines())
        assert (row["kind"], row["sent"], row["windows"][0]["left"]) == ("sender", 1, 1)
        shown = admin.do("usage")
    finally:
        daemon.stop()
    assert "sender clerk@a.test" in shown
    assert "other@a.test" not in shown


def test_usage_asks_the_daemon(admin):
    """What may still go, and what was sent until this moment."""
    daemon = Daemon(admin.folder)
    admin.configure(policy={"socket": f"unix:{daemon.socket}"})
    try:
        daemon.apply().start()
        for number in range(3):
            daemon.ask(f"Q{number}", "court", recipient_count=2)
        lines = map(json.loads, admin.do("usage", "court", "--json").splitlines())
        (row,) = lines
        assert (row["sent"], row["recipients"], row["windows"][0]["left"]) == (3, 6, 2)
        assert sum(row["over_time"]) == 3
        assert "2 of 5/hour" in admin.do("usage", "court")
    finally:
        daemon.stop()
