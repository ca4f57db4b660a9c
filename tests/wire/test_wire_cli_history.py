"""Who changed what, in the history and in the log; and two operators at once."""

import json
import re

import pytest

from tests.wire.cli_sentences import refused


@pytest.fixture
def admin(either_admin):
    """On SQLite, and on PostgreSQL."""
    return either_admin


def test_command_is_logged_with_its_revision(admin, password, monkeypatch):
    """The line that `docs/log.md` shows, in the same file as the daemons' lines."""
    monkeypatch.setenv("SUDO_USER", "anna")
    log = admin.folder / "log"
    log.touch()
    admin.do("connector", "set", "fresh", "--password-file", "-", stdin="n3w pass")
    newest = json.loads(admin.do("history", "--json", "--limit", "1"))
    (line,) = log.read_text().splitlines()
    assert re.fullmatch(
        rf"\w+ +\d+ [\d:]+ \S+ pointsman/cli\[\d+\]: change revision={newest['revision']}, "
        rf'who=anna, host=\S+, what="connector set", name=fresh, fields=password',
        line,
    )
    assert newest["who"] == "anna"
    assert "n3w pass" not in log.read_text()
    assert password not in log.read_text()


def test_log_that_is_not_there_is_left_to_the_daemons(admin):
    """A file of root's would be closed to them."""
    admin.do("agency", "set", "court", "--description", "x")
    assert not (admin.folder / "log").exists()


def test_log_that_can_not_be_written_stops_no_change(admin):
    """Said on standard error; the change is kept."""
    (admin.folder / "log").mkdir()
    result = admin.run("agency", "set", "court", "--description", "x")
    assert result.exit_code == 0
    assert result.stderr == f"Warning: the log {admin.folder}/log: Is a directory\n"
    assert json.loads(admin.do("agency", "show", "court", "--json"))["description"] == "x"


def test_second_of_two_operators_is_told_what_the_first_did(admin, monkeypatch):
    """`--if-revision`: both looked at the same revision."""
    seen = json.loads(admin.do("history", "--json", "--limit", "1"))["revision"]
    condition = ("--if-revision", str(seen))
    monkeypatch.setenv("SUDO_USER", "anna")
    admin.do("agency", "set", "court", "--rate", "10/minute", *condition)
    monkeypatch.setenv("SUDO_USER", "bob")
    sentence = refused(admin, "agency", "set", "court", "--rate", "90/minute", *condition)
    assert sentence == (
        f"the database is at revision {seen + 1}, not {seen}: look again with `pointsman history`, "
        f"then repeat; since then: agency set court by anna (revision {seen + 1})"
    )
