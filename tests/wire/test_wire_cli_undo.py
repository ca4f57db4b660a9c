"""`pointsman undo` on the command line: what is shown, tried, refused and kept."""

import json

import pytest

from pointsman.store.secrets import create_key_file
from tests.wire.cli_sentences import misused, refused


@pytest.fixture
def admin(either_admin):
    """On SQLite, and on PostgreSQL."""
    return either_admin


def revision(admin):
    """The newest."""
    return json.loads(admin.do("history", "--json", "--limit", "1"))["revision"]


def shown(admin, noun, name):
    """A record as it is now."""
    return json.loads(admin.do(noun, "show", name, "--json"))


def seen(admin):
    """All that people see of it."""
    lists = [admin.do(noun, "list", "--json") for noun in ("agency", "connector", "sender")]
    return [*lists, shown(admin, "connector", "smtp"), shown(admin, "agency", "court")]


COMMANDS = [
    ["agency", "add", "new", "--any-client"],
    ["agency", "set", "court", "--rate", "7/hour", "--login", "x"],
    ["agency", "remove", "empty"],
    ["agency", "pause", "court", "--reason", "audit"],
    ["connector", "add", "new", "--host", "h.test"],
    ["connector", "set", "fresh", "--host", "other.test:2525", "--description", "x"],
    ["connector", "remove", "fresh"],
    ["connector", "disable", "smtp"],
    ["connector", "enable", "fresh", "--untested"],
    ["connector", "default", "postfix"],
    ["connector", "default", "smtp", "--null-sender"],
    ["connector", "divert", "smtp", "--to", "relay", "--reason", "down"],
    ["sender", "link", "@a.test", "@new.test", "--agency", "empty", "--connector", "relay"],
    ["sender", "unlink", "clerk@a.test", "@a.test"],
    ["sender", "disable", "@a.test"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_is_undone_and_redone(admin, command):
    """What the lists show is as before, and then as after."""
    before = seen(admin)
    admin.do(*command)
    after = seen(admin)
    number = revision(admin)
    output = admin.do("undo", str(number), "--untested")
    assert f"revision {number + 1}, not applied yet: run pointsman apply" in output
    assert seen(admin) == before
    admin.do("undo", str(number + 1), "--untested")
    assert seen(admin) == after


def test_it_says_what_goes_back_and_no_secret(admin):
    """A line for the record, one for each field, a count."""
    new = ("--host", "h2.test", "--password-file", "-")
    admin.do("connector", "set", "fresh", *new, stdin="n3w pass")
    number = revision(admin)
    output = admin.do("undo", str(number))
    assert output == (
        "~ connector fresh\n"
        "    hosts: h2.test -> fresh.test\n"
        "    password: (secret changes)\n"
        "-- 0 added, 1 changed, 0 removed\n"
        f"revision {number + 1}, not applied yet: run pointsman apply\n"
    )
    newest = json.loads(admin.do("history", "--json", "--limit", "1"))
    assert newest["action"] == f"connector set (undo of {number})"
    assert admin.do("undo", str(number)) == "nothing to change\n"
    assert revision(admin) == number + 1


def test_live_connector_is_tried_with_what_comes_back(admin):
    """As with `connector set`: nothing changes if it does not work, unless --untested."""
    admin.do("connector", "set", "smtp", "--host", "127.0.0.1:9", "--untested", "--tls", "may")
    number = revision(admin)
    before = admin.dump()
    result = admin.run("undo", str(number))
    assert result.exit_code == 1
    assert admin.dump() == before  # there is no Postfix here to try it from
    admin.do("undo", str(number), "--untested")
    assert shown(admin, "connector", "smtp")["hosts"] == ["smtp.test"]
    newest = json.loads(admin.do("history", "--json", "--limit", "1"))
    assert newest["action"] == f"connector set (undo of {number}, untested)"


def test_live_connector_whose_description_goes_back_is_not_tried(admin):
    """It sends as before."""
    admin.do("connector", "set", "smtp", "--description", "x")
    assert "testing" not in admin.do("undo", str(revision(admin)))


def test_disabled_connector_that_is_live_again_is_tried(admin):
    """As with `connector enable`."""
    admin.do("connector", "disable", "smtp")
    result = admin.run("undo", str(revision(admin)))
    assert result.exit_code == 1
    assert shown(admin, "connector", "smtp")["state"] == "disabled"


def test_refused_undo_changes_nothing(admin):
    """Unknown, changed again, in use, no number."""
    assert refused(admin, "undo", "9999") == (
        "there is no revision 9999; `pointsman history` shows them"
    )
    admin.do("agency", "set", "court", "--rate", "7/hour")
    number = revision(admin)
    admin.do("agency", "set", "court", "--rate", "8/hour")
    assert "undo that first" in refused(admin, "undo", str(number))
    first = next(
        c["revision"]
        for c in map(json.loads, admin.do("history", "--json").splitlines())
        if (c["action"], c["name"]) == ("agency add", "court")
    )
    assert f"(revision {number + 1}); undo that first" in refused(admin, "undo", str(first))
    for wrong in ("0", "-1", "x", str(2**31)):
        assert "ID" in misused(admin, "undo", "--", wrong)


def test_secret_whose_key_is_lost_does_not_come_back(admin):
    """A connector must not get a password that nothing opens."""
    admin.do("connector", "set", "fresh", "--password-file", "-", stdin="n3w pass")
    number = revision(admin)
    key = admin.folder / "secret.key"
    lost = key.read_bytes()
    key.unlink()
    create_key_file(key)
    assert "no key in" in refused(admin, "undo", str(number))
    key.write_bytes(lost)
    admin.do("undo", str(number))


def test_two_operators_at_once(admin, monkeypatch):
    """`--if-revision`: who did not see the newest change is told of it."""
    admin.do("agency", "set", "court", "--rate", "7/hour")
    number = revision(admin)
    monkeypatch.setenv("SUDO_USER", "bob")
    admin.do("agency", "set", "empty", "--description", "x")
    sentence = refused(admin, "undo", str(number), "--if-revision", str(number))
    assert sentence.endswith(f"since then: agency set empty by bob (revision {number + 1})")
    admin.do("undo", str(number), "--if-revision", str(number + 1))
    assert shown(admin, "agency", "court")["rate"] == "50/minute"
