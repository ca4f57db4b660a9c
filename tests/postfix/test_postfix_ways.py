"""What a connector may say about its server, each against a real one."""

import json

import pytest

from lab.city import built
from lab.instance import free_port
from lab.nexthop import NextHop


@pytest.fixture(scope="module")
def city():
    """One city; each test has a connector and a domain of its own."""
    with built() as city:
        city.postfix.cli("agency", "add", "a", "--any-client", "--rate", "unlimited")
        yield city


@pytest.fixture
def server(city):
    """Start servers; they are closed afterwards."""
    started = []

    def start(name, certificate=None, **more):
        path = certificate and city.authority.issue(certificate)
        hop = NextHop(name, certificate=path, **more).start()
        started.append(hop)
        city.hops[name] = hop
        return hop

    yield start
    for hop in started:
        hop.stop()
        del city.hops[hop.name]


def connect(city, name, *options, tested=True):
    """A live connector with a sender domain of the same name."""
    city.postfix.cli("connector", "add", name, *options)
    if tested:
        city.postfix.cli("connector", "enable", name)
    else:
        city.postfix.cli("connector", "enable", name, "--untested")
    city.cli("sender", "link", f"@{name}.test", "--agency", "a", "--connector", name)


def send(city, name):
    """Send one message by a connector; its subject and queue id."""
    reply = city.send(f"x@{name}.test", f"x@{name}.test", f"by {name}")
    return f"by {name}", reply.queue_id


def deferred(city, queue_id):
    """Wait until the lane's line says that the message waits; the line."""
    return city.postfix.wait_for_log(rf"pm-\S+: {queue_id}: .*status=deferred.*")[0]


def test_hosts_are_tried_in_order(city, server):
    """The first that answers takes the mail, though the dead one is asked first."""
    dead, second, third = free_port(), server("second"), server("third")
    hosts = [f"localhost:{port}" for port in (dead, second.port, third.port)]
    options = [word for host in hosts for word in ("--host", host)]
    connect(city, "several", *options, "--tls", "none", tested=False)
    subject, _ = send(city, "several")
    assert [r.server for r in city.arrived(subject)] == ["second"]
    shown = json.loads(city.postfix.cli("connector", "show", "several", "--json"))
    assert shown["hosts"] == hosts


def test_each_host_is_tested(city, server):
    """A spare that does not work is found on the day it is added, not when it is needed."""
    good, dead = server("good"), free_port()
    hosts = ["--host", f"localhost:{good.port}", "--host", f"localhost:{dead}"]
    city.postfix.cli("connector", "add", "spare", *hosts, "--tls", "none")
    output = city.postfix.cli("connector", "enable", "spare", check=False)
    assert "failed at TCP of localhost: Connection refused" in output
    assert json.loads(city.postfix.cli("connector", "show", "spare", "--json"))["state"] == "new"


def test_each_host_is_verified_by_its_own_name(city, server):
    """In a list of hosts, one with another's certificate is no better than one with none."""
    wrong = server("wrong", certificate="other.test")
    hosts = ["--host", f"localhost:{free_port()}", "--host", f"localhost:{wrong.port}"]
    ca = ["--ca-file", str(city.authority.ca_file)]
    connect(city, "names", *hosts, "--tls", "starttls", *ca, tested=False)
    _, queue_id = send(city, "names")
    assert "Server certificate not verified" in deferred(city, queue_id)
    assert not wrong.received


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_server_name_is_what_counts(city, server, tls):
    """The certificate has the name that the admin gave, though the host is an address."""
    hop = server(f"named-{tls}", certificate="smtp.provider.test", implicit_tls=tls == "tls")
    ca = ["--ca-file", str(city.authority.ca_file), "--tls", tls]
    host = ["--host", f"127.0.0.1:{hop.port}"]
    connect(city, f"named-{tls}", *host, *ca, "--server-name", "smtp.provider.test")
    subject, _ = send(city, f"named-{tls}")
    assert city.arrived(subject)[0].tls
    connect(city, f"misnamed-{tls}", *host, *ca, "--server-name", "mx.test", tested=False)
    _, queue_id = send(city, f"misnamed-{tls}")
    assert "Server certificate not verified" in deferred(city, queue_id)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_fingerprint_counts_instead_of_name_and_issuer(city, server, tls):
    """A self-made certificate is taken if it is the one that was pinned, and no other is."""
    hop = server(f"pinned-{tls}", certificate="whatever.test", implicit_tls=tls == "tls")
    host = ["--host", f"127.0.0.1:{hop.port}", "--tls", tls]
    city.postfix.cli("connector", "add", f"pinned-{tls}", *host, "--fingerprint", "00" * 32)
    output = city.postfix.cli("connector", "enable", f"pinned-{tls}", check=False)
    assert "the certificate has another fingerprint: " in output
    pin = output.rpartition("fingerprint: ")[2].strip()
    city.postfix.cli("connector", "set", f"pinned-{tls}", "--fingerprint", pin)
    city.postfix.cli("connector", "enable", f"pinned-{tls}")
    link = ["--agency", "a", "--connector", f"pinned-{tls}"]
    city.cli("sender", "link", f"@pinned-{tls}.test", *link)
    subject, _ = send(city, f"pinned-{tls}")
    assert city.arrived(subject)[0].tls
    wrong = [*host, "--fingerprint", "00" * 32]
    connect(city, f"mispinned-{tls}", *wrong, tested=False)
    _, queue_id = send(city, f"mispinned-{tls}")
    assert "Server certificate not verified" in deferred(city, queue_id)
    assert len(hop.received) == 1


def test_source_address_and_helo_are_what_the_server_sees(city, server):
    """A provider that knows its customers by address and name."""
    hop = server("seen")
    options = ["--source-address", "127.0.0.7", "--helo", "mail.court.test", "--tls", "none"]
    connect(city, "seen", "--host", f"127.0.0.1:{hop.port}", *options)
    subject, _ = send(city, "seen")
    (arrived,) = city.arrived(subject)
    assert (arrived.peer, arrived.helo) == ("127.0.0.7", "mail.court.test")


def test_source_address_that_is_not_here_sends_nothing(city, server):
    """Neither the test nor the lane takes another one instead."""
    hop = server("elsewhere")
    options = ["--source-address", "192.0.2.77", "--tls", "none"]
    host = ["--host", f"127.0.0.1:{hop.port}"]
    city.postfix.cli("connector", "add", "elsewhere", *host, *options)
    output = city.postfix.cli("connector", "enable", "elsewhere", check=False)
    assert "failed at TCP: Cannot assign requested address" in output
    city.postfix.cli("connector", "enable", "elsewhere", "--untested")
    city.cli("sender", "link", "@elsewhere.test", "--agency", "a", "--connector", "elsewhere")
    _, queue_id = send(city, "elsewhere")
    deferred(city, queue_id)
    assert not hop.received


def test_send_delivers_one_message(city, server):
    """`connector test --send` goes all the way, and the server has the message."""
    hop = server("really")
    city.postfix.cli(
        "connector", "add", "really", "--host", f"localhost:{hop.port}", "--tls", "none"
    )
    test = ["connector", "test", "really", "--from", "me@court.test", "--to", "you@example.net"]
    steps = [json.loads(line) for line in city.postfix.cli(*test, "--json").splitlines()]
    assert [s["name"] for s in steps][-3:] == ["MAIL FROM", "RCPT TO", "RSET"]
    assert not hop.received
    steps = [json.loads(line) for line in city.postfix.cli(*test, "--send", "--json").splitlines()]
    assert [s["name"] for s in steps][-3:] == ["MAIL FROM", "RCPT TO", "DATA"]
    (arrived,) = hop.wait_for(1)
    assert (arrived.sender, arrived.recipients) == ("me@court.test", ("you@example.net",))
    assert arrived.subject == "Test of connector really"
