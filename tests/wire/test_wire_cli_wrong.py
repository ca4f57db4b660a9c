"""Whatever the command line is told wrong: one sentence, a status, and nothing changed."""

import json
import os
import pickle
import pwd
import re
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import click
import pytest

from pointsman.cli import fields
from pointsman.cli.main import COMMANDS, cli
from pointsman.postfix.conf import Instance
from pointsman.store import database
from tests.wire.cli_sentences import misused, refused, said

HOST = ("--host", "h.test")
LOGIN = (*HOST, "--auth", "password", "--username", "x", "--password-file", "-")
COURT = ("--agency", "court", "--connector", "smtp")


def as_nobody(work):
    """The result of `work` in a process that has given up root, whom file modes don't bind."""
    if os.geteuid() != 0:
        return work()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            account = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            os.environ["USER"] = os.environ["LOGNAME"] = "nobody"
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump(work(), pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pickle.load(pipe)
    os.waitpid(child, 0)
    return answer


def as_nobody_refused(admin, *arguments, stdin=""):
    """What `refused` does, by an account that may not."""

    def work():
        result = admin.run(*arguments, stdin=stdin)
        kind = type(result.exception).__name__
        return kind, result.exit_code, result.stdout, result.stderr

    admin.run("agency", "list")  # loads what the child may not be able to read
    before = admin.dump()
    kind, status, stdout, stderr = as_nobody(work)
    assert (kind, status, stdout) == ("SystemExit", 1, ""), stderr
    found = re.fullmatch(r"Error: ([^\n]+)\n", stderr)
    assert found, stderr
    assert admin.dump() == before
    return found[1]


# Names.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["agency", "show", "nobody"], "no agency 'nobody'"),
        (["agency", "set", "nobody", "--login", "x"], "no agency 'nobody'"),
        (["agency", "remove", "nobody"], "no agency 'nobody'"),
        (["connector", "show", "nothing"], "no connector 'nothing'"),
        (["connector", "set", "nothing", *HOST], "no connector 'nothing'"),
        (["connector", "enable", "nothing"], "no connector 'nothing'"),
        (["connector", "disable", "nothing"], "no connector 'nothing'"),
        (["connector", "remove", "nothing"], "no connector 'nothing'"),
        (["connector", "test", "nothing"], "no connector 'nothing'"),
        (["connector", "default", "nothing"], "no connector 'nothing'"),
        (["connector", "default", "nothing", "--null-sender"], "no connector 'nothing'"),
        (["connector", "show", "postfix"], "no connector 'postfix'"),
        (["connector", "show", "\udcff"], "no connector "),
        (["connector", "list", "--agency", "nobody"], "no agency 'nobody'"),
        (["sender", "link", "x@b.test", "--agency", "nobody", "--connector", "smtp"], "no agency"),
        (["sender", "link", "x@b.test", "--agency", "court", "--connector", "no"], "no connector"),
        (["sender", "unlink", "x@b.test"], "x@b.test is not linked"),
        (["sender", "unlink", "clerk@a.test", "x@b.test"], "x@b.test is not linked"),
        (["sender", "list", "--agency", "nobody"], "no agency 'nobody'"),
        (["sender", "list", "--connector", "nothing"], "no connector 'nothing'"),
    ],
)
def test_unknown_name(admin, arguments, words):
    """Status 1, and where to look."""
    assert words in refused(admin, *arguments)


BAD_NAMES = ["Court", "a_b", "-a", "", "x" * 31, "\u00fc", "a b", "a\nb", "../x", "\udcff"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize(
    "command", [("agency", "add", "--any-client"), ("connector", "add", *HOST)]
)
def test_malformed_name(admin, command, name):
    """Status 2, and what a name looks like."""
    noun, verb, *options = command
    assert "is not a name" in refused(admin, noun, verb, *options, "--", name, status=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["agency", "add", "default", "--any-client"],
        ["agency", "remove", "default"],
        ["connector", "add", "postfix", *HOST],
        ["connector", "add", "none", *HOST],
    ],
)
def test_built_in_name(admin, arguments):
    """Status 2: it can be neither added nor removed."""
    assert "built in" in refused(admin, *arguments, status=2)


# Values.


@pytest.mark.parametrize(
    "host",
    [
        *("", "a b", "a.test:0", "a.test:65536", "a.test:x", "smtp://a.test", "a..test", "$x"),
        *("192.0.2.300", "[2001:db8::1", "user@a.test", "b\u00fccher.test", "a\nb", "\udcff"),
    ],
)
@pytest.mark.parametrize("command", [("add", "new"), ("set", "fresh")])
def test_bad_host(admin, command, host):
    """Status 2, for a new connector and for an old one."""
    refused(admin, "connector", *command, "--host", host, stdin="x", status=2)


@pytest.mark.parametrize(
    "network",
    ["192.0.2.1/24", "192.0.2.0/33", "192.0.2", "a.test", "2001:db8::1/32", "x", "\udcff"],
)
@pytest.mark.parametrize("command", [("add", "new"), ("set", "court")])
def test_bad_network(admin, command, network):
    """Status 2, and nothing of a list that holds one bad network."""
    options = ("--network", "198.51.100.0/24", "--network", network)
    assert "is not a network" in refused(admin, "agency", *command, *options, status=2)


BAD_SENDERS = ["clerk", "@", "clerk@", "@.", "@*.a.test", "clerk@a b.test", "<clerk@a.test>"]
BAD_SENDERS += ["clerk@a..test", '"clerk@a.test', "cl\terk@a.test", "\udcff@a.test", "", "a@\udcff"]
BAD_SENDERS += ["clerk@a.test, boss@a.test", "x@court.smtp.pm.invalid", "@pm.invalid"]


@pytest.mark.parametrize("sender", BAD_SENDERS)
def test_bad_sender(admin, sender):
    """Status 2, and the good ones beside it are not linked either."""
    refused(admin, "sender", "link", "good@b.test", *COURT, "--", sender, status=2)
    refused(admin, "sender", "unlink", "--", "clerk@a.test", sender, status=2)


@pytest.mark.parametrize("sender", [s for s in BAD_SENDERS if s and "\udcff" not in s])
def test_bad_sender_in_a_file(admin, sender):
    """One bad line, and none of the file is taken."""
    file = admin.write("senders", f"good@b.test\n{sender}\nother@b.test\n")
    refused(admin, "sender", "link", "--from-file", file, *COURT, status=2)


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "name a sender"), ("# nothing\n\n", "name a sender"), (b"\xff\n", "not UTF-8 text")],
)
def test_file_without_a_sender(admin, content, words):
    """Status 2: nothing to do is a mistake."""
    file = admin.write("senders", content)
    assert words in refused(admin, "sender", "link", "--from-file", file, *COURT, status=2)


def test_no_sender_at_all(admin):
    """Status 2, and what a sender looks like."""
    sentence = refused(admin, "sender", "link", *COURT, status=2)
    assert sentence == "name a sender: user@domain, @domain or @.domain"
    assert refused(admin, "sender", "unlink", status=2) == sentence


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "a\tb", "\udcff", "\u2028"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("agency", "set", "court", "--description"),
        ("agency", "set", "court", "--login"),
        ("connector", "set", "fresh", "--description"),
    ],
)
def test_text_that_would_break_a_listing(admin, arguments, text):
    """Status 2 for line breaks, terminal codes and foreign bytes."""
    assert "printable" in refused(admin, *arguments, text, status=2)


@pytest.mark.parametrize("username", ["a:b", "", "a\nb", "a\tb", "\udcff", " leading"])
def test_bad_username(admin, username):
    """Status 2: Postfix could not hold it, or the server would get another."""
    refused(admin, "connector", "set", "fresh", "--username", username, status=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["agency", "add", "new"], "who may send for agency new?"),
        (["agency", "add", "new", "--no-any-client"], "who may send for agency new?"),
        (["agency", "add", "new", "--login", ""], "who may send for agency new?"),
        (["agency", "set", "court", "--login", "", "--network", ""], "who may send for"),
        (["agency", "set", "empty", "--no-any-client"], "who may send for"),
        (["connector", "add", "new"], "needs --host"),
        (["connector", "add", "new", *HOST, "--username", "x"], "only for --auth password"),
        (["connector", "add", "new", *HOST, "--auth", "password"], "needs --password-file FILE"),
        (["connector", "set", "fresh", "--username", ""], "needs --username and --password-file"),
        (["connector", "set", "fresh", "--password-file", ""], "needs --password-file"),
        (["connector", "set", "fresh", "--auth", "none", "--username", "x"], "only for --auth"),
    ],
)
def test_combination_that_makes_no_sense(admin, arguments, words):
    """Status 2, and what is missing."""
    assert words in refused(admin, *arguments, status=2)


@pytest.mark.parametrize("tls", ["none", "may"])
def test_authority_without_tls(admin, tls):
    """Status 2: it would have no effect."""
    admin.do("connector", "set", "fresh", "--ca-file", admin.write("ca.pem", AUTHORITY))
    options = ("--tls", tls)
    assert "has no effect" in refused(admin, "connector", "set", "fresh", *options, status=2)


AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBBjCBraADAgECAgEBMAoGCCqGSM49BAMCMAwxCjAIBgNVBAMMAXQwIBcNMjYw
MTAxMDAwMDAwWhgPMjA5OTAxMDEwMDAwMDBaMAwxCjAIBgNVBAMMAXQwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAARQJxJEhc2f98gf7ZFtKleQsYaNcg238H8oweDW
66JTIjM3gCfRrrYUMVFstg3/wl4FgbCrTd090ZznMcX7/VwzMAoGCCqGSM49BAMC
A0gAMEUCIQCkB7yN4V0gM+ggmNZMze7hfe/5PDvGwNIxVk4KYolVpgIgaR1NmIkF
jL4pMBWkGSV+wlvH7nXggGWC226y4NuUCXY=
-----END CERTIFICATE-----
"""
CUT = """\
-----BEGIN CERTIFICATE-----
MIIBdDCCARugAwIBAgIUKaqKIcbyBzu9Pjc4FPO+3GBMTAgwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
"""


@pytest.mark.parametrize("content", ["", "\n", "x", CUT, b"\xff\xfe"])
def test_authority_file_without_a_certificate(admin, content):
    """Status 2; least of all does it take away the one that is there."""
    admin.do("connector", "set", "fresh", "--ca-file", admin.write("ca.pem", AUTHORITY))
    file = admin.write("ca.pem", content)
    refused(admin, "connector", "set", "fresh", "--ca-file", file, status=2)


# Passwords.


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is empty"),
        ("\n", "it is empty"),
        ("\r\n", "it is empty"),
        ("hunter3\nhunter4", "more than one line"),
        ("hunter3\n\n", "more than one line"),
        ("hunter3\x00", "can't be empty or hold NUL"),
        ("hunter3\rx", "can't be empty or hold NUL or a line break"),
        ("hunter3" + "x" * 1018, "at most 1,024 bytes, this one has 1,025"),
        ("\u00fc" * 513, "at most 1,024 bytes, this one has 1,026"),
        (b"hunter3\xff", "not UTF-8 text"),
    ],
)
@pytest.mark.parametrize("command", [("add", "new", *LOGIN[:-2]), ("set", "fresh")])
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_bad_password(admin, command, content, words, source):
    """Status 2, from a file or from standard input, and never a word of it."""
    file = admin.write("pw", content) if source == "file" else "-"
    stdin = content if source == "stdin" else ""
    sentence = refused(admin, "connector", *command, "--password-file", file, stdin=stdin, status=2)
    assert words in sentence
    assert "hunter" not in sentence


@pytest.mark.parametrize("option", ["--password-file", "--ca-file"])
def test_file_that_can_not_be_read(admin, option):
    """Status 2, with the system's reason."""
    for path, reason in ((admin.folder / "gone", "No such file"), (admin.folder, "Is a directory")):
        sentence = refused(admin, "connector", "set", "fresh", option, str(path), status=2)
        assert sentence.startswith(f"{option} {path}: {reason}")


def test_file_of_senders_that_can_not_be_read(admin):
    """Status 2, with the system's reason."""
    path = str(admin.folder / "gone")
    sentence = refused(admin, "sender", "link", "--from-file", path, *COURT, status=2)
    assert sentence == f"--from-file {path}: No such file or directory"


@pytest.mark.parametrize(
    "arguments",
    [
        ["connector", "add", "new", *HOST, "--password", "hunter3"],
        ["connector", "add", "new", *HOST, "--password=hunter3"],
        ["connector", "add", "new", *HOST, "--pass=hunter3"],
        ["connector", "set", "fresh", "--password", "hunter3"],
        ["connector", "set", "fresh", "--password=hunter3"],
    ],
)
def test_password_is_no_argument(admin, arguments):
    """There is no such option, and the value is not repeated."""
    assert "hunter3" not in misused(admin, *arguments)


def commands(group, path=()):
    """Every command of the CLI."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_every_command_can_be_loaded():
    """`pointsman --help` lists nothing that is not there."""
    loaded = {name.split()[0] for name, _ in commands(cli)}
    assert loaded == set(COMMANDS)


def test_no_command_takes_a_secret_as_an_argument():
    """Only the name of a file that holds it, or the address that gives it."""
    for name, command in commands(cli):
        for parameter in command.params:
            for option in parameter.opts if not getattr(parameter, "is_flag", False) else ():
                secret = re.search(r"password|secret|key|token", option)
                assert not secret or option.endswith(("-file", "-url")), (name, option)


@pytest.fixture
def terminal(monkeypatch):
    """Somebody sits there and types."""
    here = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(fields, "sys", here)


@pytest.mark.usefixtures("terminal")
def test_password_is_typed_twice_and_unseen(admin):
    """Both times the same, it is sealed."""
    printed = admin.do("connector", "add", "new", *LOGIN[:-2], stdin="hunter3 x\nhunter3 x\n")
    assert "hunter" not in printed
    assert "hunter" not in admin.dump()
    assert json.loads(admin.do("connector", "show", "new", "--json"))["password"] == "(set)"


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("typed", ["hunter3\nhunter4\n", "hunter3\n", "\n\n", ""])
def test_password_that_is_not_confirmed(admin, typed):
    """Status 1 when the admin gives up, and nothing changed."""
    before = admin.dump()
    result = admin.run("connector", "add", "new", *LOGIN[:-2], stdin=typed)
    assert (type(result.exception), result.exit_code) == (SystemExit, 1)
    assert "hunter" not in result.output
    assert admin.dump() == before


@pytest.mark.usefixtures("terminal")
def test_password_that_is_typed_is_checked_as_well(admin):
    """Status 2 for one that could not be kept, wherever it comes from."""
    before = admin.dump()
    typed = f"{'hunter3' * 150}\n" * 2
    result = admin.run("connector", "add", "new", *LOGIN[:-2], stdin=typed)
    assert (type(result.exception), result.exit_code) == (SystemExit, 2)
    assert "at most 1,024 bytes, this one has 1,050" in result.stderr
    assert "hunter" not in result.output
    assert admin.dump() == before


# What stands in the way.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["agency", "add", "court", "--any-client"], "already: use `agency set`"),
        (["connector", "add", "smtp", *HOST], "already: use `connector set`"),
        (["agency", "remove", "court"], "still has 3 senders"),
        (["connector", "remove", "smtp"], "still has 2 senders"),
        (["connector", "disable", "fresh"], "is new and takes no mail yet"),
        (["connector", "default", "fresh"], "is not live: enable it first"),
        (["connector", "default", "stopped"], "is not live: enable it first"),
        (["connector", "default", "stopped", "--null-sender"], "is not live: enable it first"),
        (["connector", "disable", "relay"], "is the default relay"),
        (["connector", "remove", "relay"], "is the default relay"),
    ],
)
def test_what_is_in_use_stays(admin, arguments, words):
    """Status 1, and what to do first."""
    assert words in refused(admin, *arguments)


@pytest.mark.parametrize("verb", ["disable", "remove"])
def test_lane_for_bounces_stays(admin, verb):
    """Status 1: null-sender mail would lose its way."""
    admin.do("connector", "default", "smtp", "--null-sender")
    admin.do("sender", "unlink", "clerk@a.test", "@a.test")
    assert "carries null-sender mail" in refused(admin, "connector", verb, "smtp")


@pytest.mark.parametrize(
    "arguments",
    [
        ["agency", "add", "new", "--any-client"],
        ["agency", "set", "court", "--description", "x"],
        ["agency", "remove", "empty"],
        ["connector", "add", "new", *HOST],
        ["connector", "set", "fresh", "--description", "x"],
        ["connector", "enable", "stopped", "--untested"],
        ["connector", "disable", "smtp"],
        ["connector", "remove", "fresh"],
        ["connector", "default", "none"],
        ["connector", "default", "smtp", "--null-sender"],
        ["sender", "link", "x@b.test", *COURT],
        ["sender", "unlink", "clerk@a.test"],
    ],
)
def test_stale_revision(admin, arguments):
    """Status 1 where somebody was faster; the right revision is accepted."""
    revision = json.loads(admin.do("history", "--json", "--limit", "1"))["revision"]
    for stale in (0, revision - 1, revision + 1, 10**30):
        sentence = refused(admin, *arguments, "--if-revision", str(stale))
        assert sentence.startswith(f"the database is at revision {revision}, not {stale}: ")
    admin.do(*arguments, "--if-revision", str(revision))


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["agency", "nonsense"],
        ["agency", "add"],
        ["agency", "add", "a", "b", "--any-client"],
        ["agency", "add", "new", "--nonsense"],
        ["connector", "add", "new", *HOST, "--tls", "ssl"],
        ["connector", "add", "new", *HOST, "--auth", "plain"],
        ["connector", "add", "new", *HOST, "--envelope", "x"],
        ["connector", "list", "--state", "broken"],
        ["sender", "link", "x@b.test", "--agency", "court"],
        ["sender", "link", "x@b.test", "--connector", "smtp"],
        ["agency", "remove", "empty", "--if-revision", "x"],
        ["agency", "remove", "empty", "--if-revision", "-1"],
        ["history", "--limit", "0"],
        ["history", "--limit", "x"],
        ["run", "nonsense"],
    ],
)
def test_usage(admin, arguments):
    """Click's own errors: usage, a hint, one sentence, status 2."""
    misused(admin, *arguments)


def test_option_without_its_value(admin):
    """Status 2, and which."""
    sentence = refused(admin, "connector", "set", "fresh", "--host", status=2)
    assert sentence == "Option '--host' requires an argument."


def test_number_beyond_the_databases(admin):
    """A limit that SQLite can't count to is no reason for a traceback."""
    result = admin.run("history", "--limit", "9" * 30)
    assert result.exit_code in (0, 2)
    assert isinstance(result.exception, SystemExit | None), result.exception


# Trials that fail.


@pytest.mark.parametrize(
    "arguments",
    [
        ("enable", "fresh"),
        ("enable", "stopped"),
        ("set", "smtp", "--description", "x", "--username", "other"),
        ("test", "smtp"),
    ],
)
def test_connector_that_does_not_answer(admin, monkeypatch, arguments):
    """Status 1 and the step that failed; it is neither enabled nor changed."""
    for name in ("fresh", "stopped", "smtp"):
        admin.do("connector", "set", name, "--host", "localhost:1", "--untested")
    monkeypatch.setattr(Instance, "parameters", lambda *_: {"myhostname": "mx.test"})
    before = admin.dump()
    result = admin.run("connector", *arguments)
    assert f"connector {arguments[1]} failed at TCP: " in said(result, 1)
    assert "FAIL TCP" in result.stdout
    assert admin.dump() == before


def test_trial_without_a_postfix(admin):
    """Status 1: its name for EHLO is missing."""
    refused(admin, "connector", "enable", "fresh")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --from, --header-from or both"),
        (["--from", "x@a.test", "--client", "nonsense"], "'nonsense' is not an IP address"),
        (["--from", "x@a.test", "--client", ""], "'' is not an IP address"),
        (["--from", '"x@a.test'], "unbalanced quotes"),
        (["--from", "x@a.test", "--to", '"x@a.test'], "unbalanced quotes"),
    ],
)
def test_question_that_makes_no_sense(admin, arguments, words):
    """Status 2 for `explain` as well."""
    assert words in refused(admin, "explain", *arguments, status=2)


@pytest.mark.parametrize(
    "content", [None, "", "{", "[]", '{"format": 1}', '{"format": 2}', b"\xff"]
)
def test_explain_before_anything_was_applied(admin, content):
    """Status 1, and what to run; a damaged snapshot is as good as none."""
    if content is not None:
        admin.write("snapshot.json", content)
    sentence = refused(admin, "explain", "--from", "x@a.test")
    assert "run pointsman apply" in sentence


@pytest.mark.parametrize("arguments", [["apply"], ["apply", "--dry-run"]])
def test_apply_before_setup(admin, arguments):
    """Status 1, and what to run."""
    assert "run `pointsman setup`" in refused(admin, *arguments)


# The key file.


@pytest.mark.parametrize("command", [("add", "new", *LOGIN), ("set", "fresh", *LOGIN[-2:])])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.unlink(), "No such file or directory"),
        (lambda path: path.chmod(0o644), "is open to others: chmod 600"),
        (lambda path: path.chmod(0o640), "is open to others: chmod 600"),
        (lambda path: path.write_text(""), "holds no Fernet key"),
        (lambda path: path.write_text("nonsense"), "holds no Fernet key"),
    ],
    ids=["missing", "readable by all", "readable by the group", "empty", "no key"],
)
def test_key_file(admin, command, damage, words):
    """Status 1: no password is kept that could not be sealed safely."""
    damage(admin.folder / "secret.key")
    sentence = refused(admin, "connector", *command, stdin="hunter3")
    assert words in sentence
    assert "hunter" not in sentence


def test_lost_key(admin):
    """Status 1: what was sealed with another key can't be used, and is not shown."""
    (admin.folder / "secret.key").unlink()
    from_other = "x" * 43 + "="
    (admin.folder / "secret.key").write_text(from_other)
    (admin.folder / "secret.key").chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Instance, "parameters", lambda *_: {"myhostname": "mx.test"})
        sentence = refused(admin, "connector", "test", "smtp")
    assert "opens the stored secrets: restore the key file" in sentence


def test_listing_needs_no_key(admin):
    """Whoever may only look needs not be able to unseal."""
    (admin.folder / "secret.key").unlink()
    admin.do("connector", "list")
    admin.do("connector", "show", "smtp")
    admin.do("history")


# The database.

EDITS = [
    ["agency", "add", "new", "--any-client"],
    ["connector", "set", "fresh", "--description", "x"],
    ["connector", "default", "none"],
    ["sender", "link", "x@b.test", *COURT],
    ["sender", "unlink", "clerk@a.test"],
]
LOOKS = [["agency", "list"], ["connector", "show", "smtp"], ["sender", "list"], ["history"]]


@pytest.mark.parametrize("begin", ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"])
@pytest.mark.parametrize("arguments", EDITS)
def test_locked_database(admin, monkeypatch, begin, arguments):
    """Status 1 after a while; looking goes on."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.01)
    with closing(sqlite3.connect(admin.database, isolation_level=None)) as other:
        other.execute(begin)
        sentence = refused(admin, *arguments)
        assert "locked by another program" in sentence
        assert sentence.endswith("try again")
        admin.do("connector", "list")


def make_read_only(admin, journal):
    """Leave an account that is not the owner's no way to write."""
    with closing(sqlite3.connect(admin.database)) as other:
        other.execute(f"PRAGMA journal_mode={journal}")
    admin.config_file.chmod(0o444)
    admin.database.chmod(0o444)
    admin.folder.chmod(0o555)


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
@pytest.mark.parametrize("arguments", EDITS)
def test_read_only_database(public_admin, arguments, journal):
    """Status 1, and as whom to run it."""
    make_read_only(public_admin, journal)
    sentence = as_nobody_refused(public_admin, *arguments)
    assert str(public_admin.database) in sentence
    assert "is read-only for you: run as root or as" in sentence


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
@pytest.mark.parametrize("arguments", LOOKS)
def test_read_only_database_can_be_looked_at(public_admin, arguments, journal):
    """Status 0 where SQLite can do it without writing; else status 1, and as whom to run it."""
    make_read_only(public_admin, journal)
    public_admin.run(*arguments)

    def work():
        result = public_admin.run(*arguments)
        return result.exit_code, result.stderr

    status, stderr = as_nobody(work)
    assert (status, stderr) == (0, "") or (
        status == 1 and re.fullmatch(r"Error: [^\n]* run as root or as [^\n]*\n", stderr)
    ), stderr


@pytest.mark.parametrize("arguments", [*LOOKS[:2], EDITS[0]])
def test_database_in_a_closed_folder(public_admin, arguments):
    """Status 1: as for anybody who looks into /var/lib/pointsman without being root."""
    closed = public_admin.folder / "closed"
    closed.mkdir()
    public_admin.database.rename(closed / "pm.db")
    public_admin.configure(database=f"sqlite:///{closed}/pm.db")
    public_admin.config_file.chmod(0o444)
    public_admin.run(*arguments)
    closed.chmod(0)
    sentence = as_nobody_refused(public_admin, *arguments)
    assert str(closed / "pm.db") in sentence


def test_configuration_in_a_closed_folder(public_admin):
    """Status 1, and the system's reason."""
    public_admin.folder.chmod(0)
    sentence = as_nobody_refused(public_admin, "agency", "list")
    assert "Permission denied" in sentence


def test_configuration_for_others_eyes(public_admin):
    """Status 1, and the system's reason."""
    public_admin.config_file.chmod(0)
    sentence = as_nobody_refused(public_admin, "agency", "list")
    assert sentence == f"{public_admin.config_file} can't be read: Permission denied"


def test_key_file_for_others_eyes(public_admin):
    """Status 1: whoever may write the database need not be able to seal."""
    for path in (public_admin.folder, public_admin.database):
        path.chmod(0o777)
    public_admin.config_file.chmod(0o444)
    (public_admin.folder / "secret.key").chmod(0)
    sentence = as_nobody_refused(public_admin, "connector", "set", "fresh", *LOGIN[-2:], stdin="x")
    assert sentence.endswith("secret.key: Permission denied")


def test_setup_without_being_root(public_admin):
    """Status 1: it changes Postfix's configuration."""
    public_admin.config_file.chmod(0o444)
    public_admin.run("setup", "--help")
    public_admin.run("apply", "--dry-run")
    assert "run it as root" in as_nobody_refused(public_admin, "setup")


def test_apply_without_being_root(public_admin):
    """Status 1: its lock is in a folder that is not for others to write."""
    public_admin.config_file.chmod(0o444)
    public_admin.run("apply", "--dry-run")
    sentence = as_nobody_refused(public_admin, "apply")
    assert sentence.endswith("apply.lock: Permission denied; run it as root")


@pytest.mark.parametrize("arguments", [*LOOKS, *EDITS, ["apply", "--dry-run"]])
@pytest.mark.parametrize("damage", ["garbage", "pages", "half", "empty"])
def test_corrupt_database(admin, arguments, damage):
    """Status 1, and the file stays as it is for whoever can save it."""
    data = admin.database.read_bytes()
    damaged = {
        "garbage": b"no database at all " * 1000,
        "pages": data[:4096] + b"\xa5" * (len(data) - 4096),
        "half": data[: len(data) // 2],
        "empty": b"",
    }[damage]
    admin.database.write_bytes(damaged)
    refused(admin, *arguments)
    assert admin.database.read_bytes() == damaged


@pytest.mark.parametrize("arguments", [*LOOKS, *EDITS])
def test_missing_database(admin, arguments):
    """Status 1, what to run, and no empty database left behind."""
    admin.database.unlink()
    assert refused(admin, *arguments).endswith("run `pointsman setup`")
    assert not admin.database.exists()


@pytest.mark.parametrize("version", ["0000", "9999"])
def test_database_of_another_version(admin, version):
    """Status 1: neither older nor newer tables are touched."""
    with closing(sqlite3.connect(admin.database)) as other, other:
        other.execute("UPDATE alembic_version SET version_num = ?", (version,))
    for arguments in (LOOKS[0], EDITS[0]):
        assert f"has schema {version}" in refused(admin, *arguments)


@pytest.mark.parametrize(
    "url",
    [
        "nosuch://pm:hunter3@db/pm",
        "sqlite+nosuch:////x",
        "x://",
        "postgresql+pg8000://pm:hunter3@127.0.0.1:1/pm",
    ],
)
def test_database_of_no_known_kind(admin, url):
    """Status 1, without the password that may stand in the URL."""
    admin.configure(database=url)
    for arguments in (LOOKS[0], EDITS[0]):
        assert "hunter" not in refused(admin, *arguments)


# The configuration.


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("databse: sqlite:////x", "unknown key 'databse'"),
        ("milter: {sockt: unix:/x}", "milter: unknown key 'sockt'"),
        ("user: a\nuser: b", "key 'user' is there twice"),
        ("database: [x]", "database: expected text"),
        ("user: !!python/object/apply:os.system ['touch PWNED']", "python/object/apply"),
        ("\tuser: x", "is not valid YAML"),
        ("user: 'x", "is not valid YAML"),
        (b"\xff\xfe\xff", "is not valid YAML"),
        ("just text", "expected `key: value` lines"),
        ("database: /var/lib/x.db", "not an SQLAlchemy URL"),
        ("milter: {socket: inet:1@localhost}", "should be unix:/path"),
        ("#" * 70_000, "is larger than 64 KiB"),
    ],
    ids=lambda value: repr(value[:30]),
)
@pytest.mark.parametrize("arguments", [LOOKS[0], EDITS[0], ["run", "milter"]])
def test_configuration(admin, content, words, arguments):
    """Status 1: no command starts with a file that says something else than was meant."""
    admin.write("pointsman.yaml", content)
    assert words in refused(admin, *arguments)
    assert not (admin.folder / "PWNED").exists()


@pytest.mark.parametrize("arguments", [LOOKS[0], EDITS[0], ["run", "milter"], ["apply"]])
def test_missing_configuration(admin, arguments):
    """Status 1: who names a file means it."""
    admin.config_file.unlink()
    sentence = refused(admin, *arguments)
    assert sentence == f"{admin.config_file} does not exist: name the file with --config"


# Secrets.


def test_no_secret_is_in_any_listing(admin, password):
    """Neither the password nor its sealed form, nor a token, in any form of output."""
    with closing(sqlite3.connect(admin.database)) as other:
        sealed = {row[0] for row in other.execute("SELECT password FROM connector")}
    admin.do("connector", "set", "fresh", "--password-file", "-", stdin="hunter3 other")
    admin.do("connector", "set", "fresh", "--auth", "none")
    admin.do("connector", "remove", "fresh")
    for arguments in (
        ["connector", "list"],
        ["connector", "show", "smtp"],
        ["agency", "show", "court"],
        ["agency", "list"],
        ["sender", "list"],
        ["history"],
        ["history", "--limit", "1000"],
    ):
        for form in ([], ["--json"]):
            printed = admin.do(*arguments, *form)
            assert password not in printed
            assert "hunter" not in printed
            assert "gAAAA" not in printed
            assert not any(secret in printed for secret in sealed)


def test_a_secret_is_shown_as_set(admin):
    """People see that there is one."""
    shown = json.loads(admin.do("connector", "show", "smtp", "--json"))
    assert (shown["username"], shown["password"]) == ("court", "(set)")


def test_no_secret_is_in_the_database_in_the_clear(admin, password):
    """Not in a record, nor in the history."""
    admin.do("connector", "set", "fresh", "--password-file", "-", stdin="hunter3 other")
    dump = admin.dump()
    assert password not in dump
    assert "hunter" not in dump
    assert dump.count("gAAAA") > 4
