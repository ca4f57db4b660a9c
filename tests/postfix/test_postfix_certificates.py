"""Client certificates on a real Postfix: shown to a server that demands one, and never mixed."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lab.certs import Authority
from lab.city import built
from lab.instance import Instance
from lab.nexthop import NextHop
from pointsman import config
from pointsman.store.book import editing
from pointsman.store.certificates import read_pfx
from pointsman.store.database import Store

PASSWORD = "pfx pässword"


@pytest.fixture(scope="module")
def city():
    """One city; each test has connectors and domains of its own."""
    with built() as city:
        city.postfix.cli("agency", "add", "a", "--any-client", "--rate", "unlimited")
        (city.folder / "pfx.pw").write_text(PASSWORD)
        yield city


@pytest.fixture(params=["starttls", "tls"])
def server(city, request):
    """A server that speaks to nobody without a certificate of the lab's CA."""
    hop = NextHop(
        f"demanding-{request.param}",
        certificate=city.authority.issue("localhost"),
        client_ca=city.authority.ca_file,
        implicit_tls=request.param == "tls",
    ).start()
    city.hops[hop.name] = hop
    yield hop
    hop.stop()
    del city.hops[hop.name]


def options(city, hop, certificate=None):
    """The options of a connector for a server, with a client certificate or without."""
    login = ["--auth", "none"]
    if certificate:
        password = ["--pfx-password-file", str(city.folder / "pfx.pw")]
        login = ["--auth", "certificate", "--pfx", str(certificate), *password]
    tls = "tls" if hop.implicit_tls else "starttls"
    host = ["--host", f"localhost:{hop.port}", "--tls", tls]
    return [*host, "--ca-file", str(city.authority.ca_file), *login]


def connect(city, name, *more, tested=True):
    """A live connector with a sender domain of the same name."""
    city.postfix.cli("connector", "add", name, *more)
    city.postfix.cli("connector", "enable", name, *([] if tested else ["--untested"]))
    city.cli("sender", "link", f"@{name}.test", "--agency", "a", "--connector", name)


def send(city, name, subject="by certificate"):
    return city.send(f"x@{name}.test", f"x@{name}.test", subject).queue_id


def deferred(city, queue_id):
    """Wait until the lane's line says that the message waits; the line."""
    return city.postfix.wait_for_log(rf"pm-\S+: {queue_id}: .*status=deferred.*")[0]


def test_two_certificates_at_one_server_are_never_mixed(city, server):
    """Each message arrives under its own connector's certificate, in both directions at once."""
    kind = server.name
    names = [f"court-{kind}", f"police-{kind}"]
    for name in names:
        connect(city, name, *options(city, server, city.authority.client(name, PASSWORD)))
    for number in range(30):
        for name in names:
            send(city, name, f"{name} {number}")
    server.wait_for(60)
    assert {(r.sender, r.certificate) for r in server.received} == {
        (f"x@{name}.test", name) for name in names
    }
    for name in names:
        folder = city.postfix.config_directory / "pointsman" / "identity"
        (path,) = folder.glob(f"{name}.*.pem")
        assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o600, 0)
        assert path.read_text().startswith("-----BEGIN PRIVATE KEY-----\n")


def test_without_a_certificate_nothing_goes(city, server):
    """The test says at which step, nothing goes live, and a lane without one only defers."""
    name = f"bare-{server.name}"
    city.postfix.cli("connector", "add", name, *options(city, server))
    output = city.postfix.cli("connector", "enable", name, check=False)
    step = "TLS" if server.implicit_tls else "EHLO"
    assert f"failed at {step}: the server asks for a client certificate, and there is" in output
    city.postfix.cli("connector", "enable", name, "--untested")
    city.cli("sender", "link", f"@{name}.test", "--agency", "a", "--connector", name)
    deferred(city, send(city, name))
    assert not server.received


def age(city, name, path, days):
    """Give a connector a certificate as it was so many days ago, when the CLI would take it."""
    then = datetime.now(UTC) - timedelta(days=days)
    found = read_pfx(path.read_bytes(), PASSWORD, then)
    store = Store(config.load(city.postfix.config_file))
    with editing(store) as edit:
        old = edit.book.connector(name)
        key = store.secrets.seal(found.private_key)
        edit.change(old, replace(old, private_key=key, certificate=found.certificate))


@pytest.mark.parametrize("flaw", ["stranger", "expired"])
def test_certificate_that_the_server_refuses_defers(city, server, tmp_path, flaw):
    """The test says so; the message waits with the reason, and is never sent without."""
    name = f"{flaw}-{server.name}"
    authority = Authority.create(tmp_path) if flaw == "stranger" else city.authority
    good = city.authority.client(name, PASSWORD)
    city.postfix.cli("connector", "add", name, *options(city, server, good))
    age(city, name, authority.client(name, PASSWORD, days=-1), days=1.5)
    output = city.postfix.cli("connector", "enable", name, check=False)
    assert "the server asks for a client certificate, and refuses ours: " in output
    city.postfix.cli("connector", "enable", name, "--untested")
    city.cli("sender", "link", f"@{name}.test", "--agency", "a", "--connector", name)
    assert "lost connection" in deferred(city, send(city, name))
    assert not server.received


def test_server_that_asks_for_no_certificate_fails_the_test(city):
    """Mail would leave without: nothing says so later, so the test must."""
    hop = city.hops["shared"]
    pfx = city.authority.client("unasked", PASSWORD)
    city.postfix.cli("connector", "add", "unasked", *options(city, hop, pfx))
    output = city.postfix.cli("connector", "enable", "unasked", check=False)
    assert "failed at STARTTLS: the server asks for no client certificate" in output


def test_renewed_certificate_takes_the_place_of_the_old_one(city, server):
    """`set --pfx` tries the new one, and from then on the server sees it alone."""
    name = f"renewed-{server.name}"
    connect(city, name, *options(city, server, city.authority.client("before", PASSWORD)))
    send(city, name, f"{name} before")
    assert city.arrived(f"{name} before")[0].certificate == "before"
    new = str(city.authority.client("after", PASSWORD))
    city.cli(
        "connector", "set", name, "--pfx", new, "--pfx-password-file", str(city.folder / "pfx.pw")
    )
    send(city, name, f"{name} after")
    assert city.arrived(f"{name} after")[0].certificate == "after"
    shown = json.loads(city.postfix.cli("connector", "show", name, "--json"))
    assert (shown["certificate"], shown["certificate_days_left"]) == ("CN=after", 19)


@pytest.fixture
def peer(city):
    """A second Postfix, which relays for whom it knows by certificate, and for nobody else."""
    instance = Instance(city.folder / "peer", hostname="peer.lab.test")
    known = city.folder / "peer.certs"
    known.touch()
    instance.create(
        {
            "mynetworks": "",
            "smtpd_tls_security_level": "encrypt",
            "smtpd_tls_chain_files": str(city.authority.issue("localhost")),
            "smtpd_tls_CAfile": str(city.authority.ca_file),
            "smtpd_tls_ask_ccert": "yes",
            "smtpd_tls_fingerprint_digest": "sha256",
            "smtpd_tls_loglevel": "1",
            "smtpd_sasl_auth_enable": "no",
            "relay_clientcerts": f"texthash:{known}",
            "smtpd_relay_restrictions": "permit_tls_clientcerts, reject_unauth_destination",
            "default_transport": "discard:taken",
        }
    )
    instance.start()
    yield instance, known
    instance.halt()


def test_postfix_that_knows_its_clients_by_certificate(city, peer):
    """A certificate that it does not know (yet) defers and never bounces; then mail flows."""
    instance, known = peer
    pfx = city.authority.client("peered", PASSWORD)
    password = ["--pfx-password-file", str(city.folder / "pfx.pw")]
    login = ["--auth", "certificate", "--pfx", str(pfx), *password]
    host = ["--host", f"localhost:{instance.port}", "--ca-file", str(city.authority.ca_file)]
    connect(city, "peered", *host, *login)
    waits = send(city, "peered")
    assert "Relay access denied" in deferred(city, waits)
    shown = json.loads(city.postfix.cli("connector", "show", "peered", "--json"))
    known.write_text(f"{shown['certificate_fingerprint']} peered\n")
    instance.reload()
    city.postfix.postfix("postqueue", "-i", waits)
    instance.wait_for_log(r"discard\[\d+\]: .* status=sent \(taken\)")
