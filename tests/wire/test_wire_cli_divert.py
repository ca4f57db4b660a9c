"""`connector divert` on the command line: what is refused, what is kept, how it ends."""

import json

import pytest

from lab.instance import wait_until
from tests.wire.cli_sentences import refused


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (["smtp"], "--to which connector? Or --end", 2),
        (["smtp", "--to", "smtp"], "another connector of yours only", 2),
        (["smtp", "--to", "postfix"], "another connector of yours only", 2),
        (["smtp", "--to", "none"], "another connector of yours only", 2),
        (["smtp", "--to", "relay", "--for", "soon"], "'soon' is not a length of time", 2),
        (["smtp", "--to", "relay", "--reason", "a\nb"], "printable", 2),
        (["smtp", "--end", "--to", "relay"], "--end goes with no other option", 2),
        (["nothing", "--to", "relay"], "no connector 'nothing'", 1),
        (["smtp", "--to", "nothing"], "no connector 'nothing'", 1),
        (["fresh", "--to", "relay"], "connector fresh is new and takes no mail yet", 1),
        (["smtp", "--to", "fresh"], "connector fresh is not live: enable it first", 1),
        (["smtp", "--to", "stopped"], "connector stopped is not live: enable it first", 1),
        (["smtp", "--end"], "connector smtp is not diverted", 1),
        (["nothing", "--end"], "no connector 'nothing'", 1),
    ],
)
def test_refused(admin, arguments, words, status):
    """One sentence, and nothing changed."""
    assert words in refused(admin, "connector", "divert", *arguments, status=status)


def shown(admin, name="smtp"):
    return json.loads(admin.do("connector", "show", name, "--json"))["diverted"]


def test_no_chains_and_no_cycles(admin):
    """One look must tell where mail goes."""
    admin.do("connector", "divert", "stopped", "--to", "smtp")
    sentence = refused(admin, "connector", "divert", "relay", "--to", "stopped")
    assert "connector stopped is not live" in sentence
    sentence = refused(admin, "connector", "divert", "smtp", "--to", "relay")
    assert sentence == (
        "connector smtp takes the mail of stopped: end that with `pointsman connector divert "
        "stopped --end`, then divert it"
    )
    admin.do("connector", "divert", "stopped", "--end")
    admin.do("connector", "divert", "smtp", "--to", "relay")
    sentence = refused(admin, "connector", "divert", "stopped", "--to", "smtp")
    assert sentence == "connector smtp is diverted to relay itself"


def test_another_word_replaces_the_first(admin):
    """Longer, elsewhere or for another reason."""
    admin.do("connector", "divert", "stopped", "--to", "relay", "--for", "1h", "--reason", "down")
    admin.do("connector", "divert", "stopped", "--to", "smtp")
    assert shown(admin, "stopped").startswith("to smtp by ")
    assert "until" not in shown(admin, "stopped")
    last = json.loads(admin.do("history", "--json", "--limit", "1"))
    assert last["action"] == "diversion set"
    assert (last["old"]["reason"], last["new"]["to"]) == ("down", "smtp")


def test_what_is_over_is_nobodys_business(admin):
    """Not shown any more, nothing to end, and the other connector is free again."""
    admin.do("connector", "default", "none")
    admin.do("connector", "divert", "smtp", "--to", "relay", "--for", "1s")
    wait_until(lambda: shown(admin) == "", "the diversion to be over")
    refused(admin, "connector", "divert", "smtp", "--end")
    admin.do("connector", "disable", "relay")
    admin.do("connector", "enable", "relay", "--untested")
    admin.do("connector", "divert", "relay", "--to", "smtp")
    assert shown(admin, "relay").startswith("to smtp by ")


def test_removed_connector_leaves_no_diversion(admin):
    """Or the next one of its name would be diverted."""
    admin.do("sender", "unlink", "@stopped.test")
    admin.do("connector", "divert", "stopped", "--to", "smtp")
    admin.do("connector", "remove", "stopped")
    admin.do("connector", "add", "stopped", "--host", "h.test")
    assert shown(admin, "stopped") == ""
