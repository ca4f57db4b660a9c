"""`--pfx` on the command line: what is taken, what is refused, and what is shown."""

import json
import re

import pytest

from lab.certs import Authority
from pointsman import config, logs
from pointsman.agent import DAY, Agent
from tests.wire.cli_sentences import refused

HOST = ("--host", "h.test")
CERTIFICATE = ("--auth", "certificate", "--pfx")
PASSWORD = "hunter2 pfx"
FROM_STDIN = ("--pfx-password-file", "-")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Whoever signed the client's certificate."""
    return Authority.create(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def pfx(authority):
    """A good file."""
    return str(authority.client("court", PASSWORD, days=40))


def shown(admin, name="new"):
    return json.loads(admin.do("connector", "show", name, "--json"))


def test_add_shows_whose_it_is_and_for_how_long(admin, pfx):
    """Subject, issuer, fingerprint, end and days left; never the key, sealed or not."""
    admin.do("connector", "add", "new", *HOST, *CERTIFICATE, pfx, *FROM_STDIN, stdin=PASSWORD)
    found = shown(admin)
    assert found["certificate"] == "CN=court"
    assert found["certificate_issuer"] == "CN=Pointsman lab CA"
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", found["certificate_fingerprint"])
    assert found["certificate_days_left"] == 39
    assert found["private_key"] == "(set)"
    assert re.search(r"new .* certificate 39 days left ", admin.do("connector", "list"))
    everything = admin.do("connector", "show", "new") + admin.do("history", "--json")
    assert "BEGIN" not in everything
    assert "gAAAA" not in everything
    dump = admin.dump()
    assert "PRIVATE KEY" not in dump
    assert "hunter2" not in dump


def test_file_without_a_password(admin, authority):
    """Nobody is asked for one."""
    path = authority.client("open", "")
    admin.do("connector", "add", "new", *HOST, *CERTIFICATE, str(path))
    assert shown(admin)["certificate"] == "CN=open"


def test_file_without_its_issuer_is_taken_with_a_warning(admin, authority):
    """On stderr: many servers know the issuer themselves."""
    path = str(authority.client("alone", PASSWORD, chain=False))
    password = admin.write("pfx.pw", PASSWORD)
    command = [
        "connector",
        "add",
        "new",
        *HOST,
        *CERTIFICATE,
        path,
        "--pfx-password-file",
        password,
    ]
    result = admin.run(*command)
    assert result.exit_code == 0
    assert re.fullmatch(r"Warning: --pfx .*: the file has no certificate .*\n", result.stderr)


def test_what_can_not_be_used_changes_nothing(admin, authority, pfx):
    """Status 2, the file's name, what is wrong and what to do."""
    old = str(authority.client("old", PASSWORD, days=-1))
    cases = {
        (pfx, "wrong"): "the password does not open it",
        (old, PASSWORD): "expired on ",
        (admin.write("x.pem", "-----BEGIN CERTIFICATE-----"), PASSWORD): "it is PEM text",
        (admin.write("empty", ""), PASSWORD): "it is empty",
        ("/nonexistent", PASSWORD): "No such file",
        ("/dev/zero", PASSWORD): "more than 100,000 bytes",
    }
    for (path, password), words in cases.items():
        command = ("connector", "add", "new", *HOST, *CERTIFICATE, path, *FROM_STDIN)
        sentence = refused(admin, *command, stdin=password, status=2)
        assert sentence.startswith(f"--pfx {path}: ")
        assert words in sentence
        assert "hunter2" not in sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--auth", "certificate"], "--auth certificate needs --pfx"),
        (["--pfx-password-file", "-"], "--pfx-password-file needs --pfx FILE"),
        (["--auth", "certificate", "--pfx", "PFX"], "needs --pfx-password-file FILE"),
        (["--pfx", "PFX", *FROM_STDIN], "--pfx is only for --auth certificate"),
        ([*CERTIFICATE, "PFX", *FROM_STDIN, "--tls", "may"], "needs --tls starttls or tls"),
        ([*CERTIFICATE, "PFX", *FROM_STDIN, "--username", "x"], "--username is only for"),
    ],
)
def test_combination_that_makes_no_sense(admin, pfx, options, words):
    """Status 2, and what is missing."""
    options = [pfx if word == "PFX" else word for word in options]
    command = ("connector", "add", "new", *HOST, *options)
    assert words in refused(admin, *command, stdin=PASSWORD, status=2)


def test_another_way_to_log_in_takes_the_certificate_away(admin, pfx):
    """And the certificate the password: nothing is left over to be used by mistake."""
    admin.do("connector", "set", "fresh", *CERTIFICATE, pfx, *FROM_STDIN, stdin=PASSWORD)
    found = shown(admin, "fresh")
    assert (found["username"], found["password"]) == ("", "")
    admin.do("connector", "set", "fresh", "--auth", "none")
    found = shown(admin, "fresh")
    assert (found["certificate"], found["private_key"]) == ("", "")


def test_check_finds_certificates_that_end(admin, authority):
    """Exit status 1, each with what to do; an error the sooner it is."""
    # There is no Postfix here, and an agency for everybody.
    others = ("--ignore", "not-set-up", "--ignore", "any-client")
    assert admin.do("check", *others) == "-- 0 findings\n"
    for name, days in (("week", 5), ("month", 20), ("year", 365)):
        pfx = str(authority.client(name, PASSWORD, days=days))
        options = (*HOST, *CERTIFICATE, pfx, *FROM_STDIN)
        admin.do("connector", "add", name, *options, stdin=PASSWORD)
    result = admin.run("check", *others)
    assert result.exit_code == 1
    assert "warning: connector month has a client certificate that ends on" in result.stdout
    command = f"pointsman --config {admin.config_file} connector set week --pfx FILE"
    assert f"  fix: get a new one, then `{command}`" in result.stdout
    assert result.stdout.endswith("-- 2 findings\n")
    found = map(json.loads, admin.run("check", "--json", *others).stdout.splitlines())
    assert [(f["name"], f["severity"]) for f in found] == [
        ("connector month", "warning"),
        ("connector week", "error"),
    ]


def test_agent_warns_once_a_day(admin, authority):
    """When it starts, and a day later; not ten times a second."""
    pfx = str(authority.client("week", PASSWORD, days=5))
    options = (*HOST, *CERTIFICATE, pfx, *FROM_STDIN)
    admin.do("connector", "add", "new", *options, stdin=PASSWORD)
    agent = Agent(config.load(admin.config_file))
    logs.start("agent", str(admin.folder / "log"))
    for now in (0.0, 1.0, DAY - 1, DAY, DAY + 1):
        agent.warn(now)
    lines = (admin.folder / "log").read_text().splitlines()
    assert len(lines) == 2
    assert re.search(
        r": connector new has a client .* on .*, days left: 4 \(certificate-7\)$", lines[0]
    )
