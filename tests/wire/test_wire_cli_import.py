"""`import mailcow` and `iredmail` on the command line: shown first, done in one revision, once."""

import json
import re

import pytest

from tests.unit.importing_dump import MAILCOW, dump_of
from tests.wire.cli_sentences import misused, refused

PASSWORDS = [row[3] for row in MAILCOW["relayhosts"][1] if row[3]]


@pytest.fixture
def admin(either_admin):
    """On SQLite, and on PostgreSQL."""
    return either_admin


@pytest.fixture
def dump(admin):
    """The dump's path."""
    return dump_of(MAILCOW, admin.folder / "mailcow.sql")


def revisions(admin):
    """The revision of each change."""
    lines = admin.do("history", "--json", "--limit", "1000").splitlines()
    return [json.loads(line)["revision"] for line in lines]


def test_it_is_shown_first(admin, dump):
    """Nothing changes without --yes, and no secret is shown."""
    before = admin.dump()
    shown = admin.do("import", "mailcow", dump)
    assert re.search(r"^@a\.test +a-test +smtp-one-test$", shown, re.MULTILINE) is None
    assert re.search(r"^@d\.test +d-test +smtp-one-test-five$", shown, re.MULTILINE)
    assert "note: @a.test: is linked to smtp already" in shown
    assert shown.endswith("\nnothing is changed yet: repeat it with --yes\n")
    assert admin.dump() == before
    assert not any(password in shown for password in PASSWORDS)


def test_it_is_done_once_and_in_one_revision(admin, dump):
    """With what to do next; a second time there is nothing to do."""
    known = len(revisions(admin))
    done = admin.do("import", "mailcow", dump, "--yes")
    new = revisions(admin)[:-known]
    assert len(new) > 10
    assert len(set(new)) == 1
    commands = re.findall(r"^  pointsman connector enable (.*)$", done, re.MULTILINE)
    listed = admin.do("connector", "list", "--state", "new", "--json").splitlines()
    assert sorted([*commands, "fresh"]) == sorted(json.loads(line)["name"] for line in listed)
    before = admin.dump()
    again = admin.do("import", "mailcow", dump, "--yes")
    assert "nothing to change" in again
    assert "linked so already" in again
    assert admin.dump() == before


def test_passwords_are_sealed(admin, dump):
    """In the database and its history."""
    admin.do("import", "mailcow", dump, "--yes")
    assert not any(password in admin.dump() for password in PASSWORDS)
    shown = json.loads(admin.do("connector", "show", "smtp-two-test", "--json"))
    assert (shown["username"], shown["auth"], shown["password"]) == ("two", "password", "(set)")


def test_a_stale_revision_is_refused(admin, dump):
    """Somebody else was faster."""
    sentence = refused(admin, "import", "mailcow", dump, "--yes", "--if-revision", "1")
    assert "look again" in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "has no table relayhosts"),
        ("hello", "has no table relayhosts"),
        ("INSERT INTO `relayhosts` VALUES (1);", "structure"),
        ("'", "no dump that can be read"),
        (b"\x00\xff", "has no table relayhosts"),
    ],
)
def test_what_is_no_dump(admin, content, words):
    """One sentence."""
    path = admin.write("x.sql", content)
    assert words in refused(admin, "import", "mailcow", path, status=2)


def test_a_file_has_to_be_named(admin):
    """And to be there."""
    assert "FILE" in misused(admin, "import", "mailcow")
    assert "No such file" in refused(admin, "import", "mailcow", "/no/such/file", status=2)
