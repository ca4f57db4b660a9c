"""`pointsman export` and `import` on the command line: what is shown, asked, refused and kept."""

import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman import config
from pointsman.store.book import read
from pointsman.store.database import Store
from pointsman.store.secrets import create_key_file
from tests.wire.cli_sentences import misused, refused, said
from tests.wire.conftest import Admin

PASSPHRASE = "correct horse"


@pytest.fixture
def admin(either_admin):
    """On SQLite, and on PostgreSQL."""
    return either_admin


@pytest.fixture
def other(tmp_path):
    """Another installation, where nobody has done anything yet, with a key of its own."""
    other = Admin(tmp_path / "other")
    other.folder.mkdir()
    other.configure()
    create_key_file(other.folder / "secret.key")
    Store(config.load(other.config_file)).create()
    return other


def exported(admin, *options):
    """The path of a fresh export."""
    path = str(admin.folder / "export.yaml")
    admin.do("export", path, *options)
    return path


def locked(admin):
    """The path of an export with secrets, and the options that open it."""
    file = ("--passphrase-file", admin.write("passphrase", f"{PASSPHRASE}\n"))
    return exported(admin, "--with-secrets", *file), *file


def opened(admin):
    """Everything in the database, secrets open."""
    store = Store(config.load(admin.config_file))
    book = read(store)
    passwords = {
        name: store.secrets.unseal(c.password) if c.password else ""
        for name, c in book.connectors.items()
    }
    records = {n: {**vars(c), "password": ""} for n, c in book.connectors.items()}
    return (
        dict(book.agencies),
        records,
        passwords,
        dict(book.senders),
        dict(book.pauses),
        dict(book.diversions),
        {n: v for n, v in book.settings.items() if n != "tokens"},
    )


def edited(admin, old, new, path=None):
    """The path of the export with some text replaced."""
    text = Path(path or exported(admin)).read_text()
    assert old in text
    return admin.write("edited.yaml", text.replace(old, new, 1))


def test_export_with_secrets_makes_the_same_again(admin, other):
    """Into an empty database: each record, each password; the carriers are reserved, too."""
    admin.do("agency", "pause", "court", "--reason", "audit")
    admin.do("connector", "divert", "stopped", "--to", "smtp")
    admin.do("connector", "default", "smtp", "--null-sender")
    path, *file = locked(admin)
    output = other.do("import", path, *file, "--yes", "--untested")
    assert "-- 13 added, 0 changed, 0 removed\nrevision 1, " in output
    assert opened(other) == opened(admin)
    assert read(Store(config.load(other.config_file))).carriers == {
        ("court", "smtp"),
        ("court", "stopped"),
        ("default", "relay"),
    }
    assert other.do("import", path, *file, "--yes") == "nothing to change\n"
    actions = {json.loads(x)["action"] for x in other.do("history", "--json").splitlines()}
    assert "connector add (import, untested)" in actions


def test_export_tells_nothing_secret(admin, password):
    """Neither in the clear nor sealed; with secrets the file is its owner's alone."""
    path = exported(admin)
    text = Path(path).read_text()
    assert password not in text
    assert "gAAAA" not in text
    assert text == admin.run("export").stdout == admin.run("export", "-").stdout
    path, *_ = locked(admin)
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert "left out" in admin.run("export").stderr


def test_without_secrets_new_connectors_wait_for_them(admin, other):
    """They take no mail, are not the default relay, and it is said what to do."""
    output = other.do("import", exported(admin), "--yes")
    assert "note: connector smtp is new, as its secrets are not known here" in output
    assert "note: setting default stays as it is, as connector relay is new" in output
    states = {
        c["state"] for c in map(json.loads, other.do("connector", "list", "--json").splitlines())
    }
    assert states == {"new"}
    assert "needs --username and --password-file" in refused(
        other, "connector", "enable", "smtp", "--untested", status=2
    )
    other.do("connector", "set", "smtp", "--password-file", "-", stdin="pw")
    other.do("connector", "enable", "smtp", "--untested")


def test_without_secrets_known_ones_are_kept(admin):
    """Importing one's own export changes nothing."""
    assert admin.do("import", exported(admin), "--yes") == "nothing to change\n"


def test_difference_is_shown_and_only_then_made(admin):
    """By record and field, in one revision; what the file has not stays."""
    path = edited(admin, "hosts: [fresh.test]", "hosts: [new.test]\n    rate: 9/hour")
    path = edited(admin, "  empty:\n    any_client: true\n", "", path)
    before = admin.dump()
    result = admin.run("import", path)
    shown = (
        "~ connector fresh\n"
        "    hosts: fresh.test -> new.test\n"
        "    rate: unlimited -> 9/hour\n"
        "-- 0 added, 1 changed, 0 removed\n"
    )
    assert result.stdout == shown
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: nothing was changed: there is no terminal to ask at, so say --yes\n"
    )
    assert admin.dump() == before
    assert admin.do("import", path, "--yes").startswith(shown)
    assert json.loads(admin.do("agency", "show", "empty", "--json"))


@pytest.mark.parametrize(("answer", "changes"), [("n", False), ("y", True), ("", False)])
def test_it_asks_at_a_terminal(admin, answer, changes):
    """No is the default."""
    path = edited(admin, "hosts: [fresh.test]", "hosts: [new.test]")
    leader, follower = pty.openpty()
    os.write(leader, f"{answer}\n".encode())
    command = [sys.executable, "-m", "pointsman.cli.main", "--config", str(admin.config_file)]
    result = subprocess.run(
        [*command, "import", path], stdin=follower, capture_output=True, text=True, check=False
    )
    os.close(leader)
    os.close(follower)
    assert "Make these changes? [y/N]" in result.stdout
    assert result.returncode == (0 if changes else 1)
    hosts = json.loads(admin.do("connector", "show", "fresh", "--json"))["hosts"]
    assert hosts == (["new.test"] if changes else ["fresh.test"])


def test_replace_removes_what_the_file_has_not(admin):
    """With what belongs to it; and undo brings all of it back."""
    admin.do("agency", "pause", "empty")
    path = edited(admin, "  empty:\n    any_client: true\n", "")
    path = edited(
        admin,
        "  fresh:\n    hosts: [fresh.test]\n    auth: password\n"
        "    username: court\n    secrets: [password]\n",
        "",
        path,
    )
    before = opened(admin)
    output = admin.do("import", path, "--yes", "--replace")
    assert "- agency empty\n- connector fresh\n- pause agency empty\n" in output
    revision = json.loads(admin.do("history", "--json", "--limit", "1"))["revision"]
    admin.do("undo", str(revision))
    assert opened(admin) == before


def test_replace_refuses_what_remove_refuses(admin):
    """A connector that is the default relay, and an agency with senders."""
    path = edited(admin, "  default: relay\n", "  default: smtp\n")
    path = edited(
        admin, "  court:\n    logins: [court-app]\n    networks: [192.0.2.0/24]\n", "", path
    )
    sentence = refused(admin, "import", path, "--yes", "--replace")
    assert "sender @a.test would belong to agency court, which there is not" in sentence
    path = edited(
        admin,
        "  relay:\n    hosts: [relay.test]\n    auth: password\n"
        "    username: court\n    state: live\n    secrets: [password]\n",
        "",
    )
    sentence = refused(admin, "import", path, "--yes", "--replace")
    assert sentence.startswith(path)
    assert "the default relay would be connector relay, which is not live" in sentence


def test_stale_file_is_refused_by_name(admin, other, monkeypatch):
    """What came since would be taken back; in another installation it is not stale."""
    path = exported(admin)
    revision = json.loads(admin.do("history", "--json", "--limit", "1"))["revision"]
    monkeypatch.setenv("SUDO_USER", "bob")
    admin.do("agency", "set", "court", "--rate", "7/hour")
    assert refused(admin, "import", path, "--yes") == (
        f"{path} was exported at revision {revision}, and would take back what came since: agency "
        f"set court by bob (revision {revision + 1}); export again, or say --despite-changes"
    )
    for _ in range(revision + 1):
        other.do("agency", "add", f"a{other.folder.name}", "--any-client")
        other.do("agency", "remove", f"a{other.folder.name}")
    other.do("import", path, "--yes")
    assert "rate: 7/hour -> 50/minute" in admin.do("import", path, "--yes", "--despite-changes")
    sentence = refused(admin, "import", path, "--yes", "--if-revision", str(revision))
    assert f"not {revision}: look again" in sentence


def test_live_connector_with_other_settings_is_tried(admin):
    """There is no Postfix here to try it from: nothing changes."""
    path = edited(admin, "hosts: [smtp.test]", "hosts: [new.test]")
    before = admin.dump()
    assert admin.run("import", path, "--yes").exit_code == 1
    assert admin.dump() == before
    admin.do("import", path, "--yes", "--untested")
    path = edited(admin, "username: court", "username: court\n    description: x")
    admin.do("import", path, "--yes")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "agency: court",
            "agency: nobody",
            "line 40: sender @a.test would belong to",
        ),
        ("connectors: smtp", "connectors: smtp relay", "line 40: several connectors"),
        ("default: relay", "default: stopped", "connector stopped, which is not live"),
        ("hosts: [fresh.test]", "hosts: []", "line 16: connector fresh needs --host"),
        ("auth: password", "auth: none", "line 16: --username is only for --auth password"),
        ("any_client: true", "any_client: maybe", "expected true or false, not 'maybe'"),
        ("agencies:", "agencees:", "line 5: unknown key 'agencees'; did you mean 'agencies'?"),
    ],
)
def test_bad_file_changes_nothing(admin, old, new, words):
    """One sentence with file and line."""
    path = edited(admin, old, new)
    leads_nowhere = "belong" in words or "not live" in words
    sentence = refused(admin, "import", path, "--yes", status=1 if leads_nowhere else 2)
    assert sentence.startswith(path)
    assert words in sentence


def test_file_that_is_none_is_refused(admin):
    """Missing, a folder, endless, no YAML, secrets that don't open."""
    assert refused(admin, "import", "/nonexistent", status=2) == (
        "/nonexistent: No such file or directory"
    )
    assert "Is a directory" in refused(admin, "import", str(admin.folder), status=2)
    assert refused(admin, "import", "/dev/zero", status=2) == "/dev/zero is larger than 64 MiB"
    assert "is not valid YAML" in refused(admin, "import", "-", stdin="a: [", status=2)
    path, *_ = locked(admin)
    assert "give --passphrase-file FILE" in refused(admin, "import", path, status=2)
    wrong = admin.write("wrong", "incorrect horse")
    sentence = refused(admin, "import", path, "--passphrase-file", wrong, status=2)
    assert "the passphrase does not open its secrets" in sentence


def test_export_that_can_not_be_written_is_a_sentence(admin):
    """And leaves what was there."""
    assert said(admin.run("export", "/nonexistent/x.yaml"), 1) == (
        "/nonexistent/x.yaml: No such file or directory"
    )
    assert "needs --with-secrets" in said(admin.run("export", "--passphrase-file", "x"), 2)
    assert "no terminal to ask at" in said(admin.run("export", "--with-secrets"), 2)


def test_import_brings_secrets_back_whose_key_is_lost(admin):
    """The key file is gone, the passphrase is not: all of them are sealed anew."""
    before = opened(admin)
    path, *file = locked(admin)
    (admin.folder / "secret.key").unlink()
    create_key_file(admin.folder / "secret.key")
    output = admin.do("import", path, *file, "--yes", "--untested")
    assert output.count("password: (secret changes)") == 4
    assert opened(admin) == before


def test_words_of_the_group(admin):
    """Short and long form are one; options come before or after the file; a group has help."""
    path = exported(admin)
    for words in (["import", path, "--yes"], ["import", "--yes", path], ["import", "file", path]):
        assert admin.do(*words) == "nothing to change\n"
    assert "pointsman import FILE" in admin.do("import", "--help")
    assert "Missing argument 'FILE'" in misused(admin, "import", "--yes")
