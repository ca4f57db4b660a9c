"""`connector test` and `enable`: the real path, step by step, against real servers."""

import json
import re
import socket
import threading

import pytest

from lab.instance import free_port
from lab.nexthop import NextHop


def steps(output):
    """Name and verdict of each printed step."""
    return re.findall(r"^  (ok|FAIL) +(.+?) {2,}.*ms", output, re.MULTILINE)


def enable(city, *options, name="new"):
    """Add a connector and try to enable it; what the CLI printed."""
    city.postfix.cli("connector", "add", name, *options)
    output = city.postfix.cli("connector", "enable", name, check=False)
    state = json.loads(city.postfix.cli("connector", "show", name, "--json"))["state"]
    city.postfix.cli("connector", "remove", name)
    return output, state


def options(port, *more, host="localhost", tls="starttls"):
    return ["--host", f"{host}:{port}", "--tls", tls, *more]


@pytest.fixture
def servers():
    """Servers that misbehave; closed afterwards."""
    started = []

    def start(**settings):
        started.append(NextHop("odd", **settings).start())
        return started[-1]

    yield start
    for server in started:
        server.stop()


def login(city, name="court", password=None):
    path = city.folder / "trial.pw"
    path.write_text(password or "secret")
    return ["--auth", "password", "--username", name, "--password-file", str(path)]


def test_good_starttls(city):
    """Each step is shown with its time, in order; then the connector is live."""
    output, state = enable(city, *city.connector_options("shared", "court"))
    assert [name for _, name in steps(output)] == [
        "DNS",
        "TCP",
        "greeting",
        "EHLO",
        "STARTTLS",
        "EHLO",
        "AUTH",
        "MAIL FROM",
        "RSET",
    ]
    assert state == "live"
    assert "certificate of localhost verified, 19 days left" in output


def test_good_implicit_tls(city):
    """TLS from the first byte has no STARTTLS step."""
    output, state = enable(city, *city.connector_options("tax", "tax"))
    names = [name for _, name in steps(output)]
    assert names == ["DNS", "TCP", "TLS", "EHLO", "AUTH", "MAIL FROM", "RSET"]
    assert state == "live"


def assert_fails_at(output, state, step, reason):
    """The last step shown is the one that failed, one sentence says why, nothing went live."""
    assert steps(output)[-1] == ("FAIL", step)
    assert f"failed at {step}: " in output
    assert re.search(reason, output), output
    assert state == "new"


def test_unknown_host(city):
    """A name that does not resolve."""
    result = enable(city, *options(25, host="no-such-host.invalid", tls="none"))
    assert_fails_at(*result, "DNS", "not known|No address|Temporary failure")


def test_nobody_listens(city):
    """A port with nobody behind it."""
    assert_fails_at(*enable(city, *options(free_port(), tls="none")), "TCP", "refused")


def test_no_starttls(city, servers):
    """STARTTLS is required, and the server does not offer it."""
    server = servers()
    result = enable(city, *options(server.port))
    assert_fails_at(*result, "STARTTLS", "STARTTLS")


def test_unknown_authority(city):
    """The certificate is not from the system's CAs."""
    result = enable(city, *options(city.hops["shared"].port))
    assert_fails_at(*result, "STARTTLS", "certificate verify failed")


def test_wrong_name(city, servers):
    """The certificate is for another host."""
    server = servers(certificate=city.authority.issue("other.test"))
    ca = ["--ca-file", str(city.authority.ca_file)]
    result = enable(city, *options(server.port, *ca))
    assert_fails_at(*result, "STARTTLS", "[Hh]ostname mismatch|doesn't match")


def test_expired_certificate(city, servers):
    """The certificate ran out yesterday."""
    server = servers(certificate=city.authority.issue("localhost", days=-1))
    ca = ["--ca-file", str(city.authority.ca_file)]
    assert_fails_at(*enable(city, *options(server.port, *ca)), "STARTTLS", "expired")


def test_wrong_password(city):
    """The login is refused."""
    wrong = city.connector_options("shared", "court")
    path = city.folder / "wrong.pw"
    path.write_text("wrong")
    wrong[wrong.index("--password-file") + 1] = str(path)
    output, state = enable(city, *wrong)
    assert_fails_at(output, state, "AUTH", "535")
    assert "wrong" not in output.replace("wrong.pw", "")


def test_no_auth_offered(city, servers):
    """The server would take the mail without a login: it must not come to that."""
    server = servers(certificate=city.authority.issue("localhost"))
    ca = ["--ca-file", str(city.authority.ca_file)]
    result = enable(city, *options(server.port, *ca, *login(city)))
    assert_fails_at(*result, "AUTH", "offers no AUTH")


def test_password_is_not_sent_in_the_clear_where_tls_is_expected(city, servers):
    """`--tls may` and a server without STARTTLS: the password stays here."""
    server = servers(any_login=True)
    result = enable(city, *options(server.port, *login(city), tls="may"))
    assert_fails_at(*result, "AUTH", "must not go in the clear")
    assert server.attempts == []


def test_sender_refused(city, servers):
    """The server does not like the sender that the connector's mail will have."""
    server = servers(logins={"other": "x"})
    assert_fails_at(*enable(city, *options(server.port, tls="none")), "MAIL FROM", "530")


@pytest.mark.parametrize("greeting", [b"", b"220 hi\r\n"])
def test_server_that_hangs(city, greeting, monkeypatch):
    """A server that says nothing more costs its time limit, not the admin's patience."""
    monkeypatch.setattr("pointsman.trial.TIMEOUT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def serve():
            connection, _ = listener.accept()
            connection.sendall(greeting)
            ended.wait(20)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        result = enable(city, *options(listener.getsockname()[1], tls="none"))
        ended.set()
        thread.join()
    assert_fails_at(*result, "EHLO" if greeting else "greeting", "1 s|[Tt]imed out")


def test_live_connector_changes_only_if_the_new_settings_work(own_city):
    """`set` tries the candidate; if it fails, the old settings stay and mail flows."""
    city = own_city
    path = city.folder / "new.pw"
    path.write_text("not the password")
    before = city.postfix.cli("history", "--json", "--limit", "1")
    output = city.postfix.cli("connector", "set", "a", "--password-file", str(path), check=False)
    assert "failed at AUTH" in output
    assert city.postfix.cli("history", "--json", "--limit", "1") == before
    assert city.send("clerk@a.test", "clerk@a.test", "as before").code == 250
    assert city.arrived("as before")[0].login == "court"


def test_json_steps(city):
    """--json is one object a step."""
    lines = city.postfix.cli("connector", "test", "a", "--json").splitlines()
    data = [json.loads(line) for line in lines]
    assert [d["name"] for d in data][-3:] == ["AUTH", "MAIL FROM", "RSET"]
    assert all(d["ok"] and d["seconds"] >= 0 for d in data)
