"""A lane with a login sends nothing without it, whatever the server offers."""

import json

import pytest

from lab.city import built
from lab.nexthop import NextHop
from lab.scripted import Scripted, polite


@pytest.fixture(scope="module")
def city():
    """One city; each test has a connector and a domain of its own."""
    with built() as city:
        city.postfix.cli("agency", "add", "a", "--any-client", "--rate", "unlimited")
        yield city


def send(city, name, port, tls):
    """Send by a connector with a login that nobody tested; the queue id."""
    login = ["--auth", "password", "--username", "court"]
    password = ["--password-file", city.password_file("court")]
    ca = ["--ca-file", str(city.authority.ca_file)] if tls in ("starttls", "tls") else []
    host = ["--host", f"localhost:{port}", "--tls", tls]
    city.postfix.cli("connector", "add", name, *host, *login, *password, *ca)
    city.postfix.cli("connector", "enable", name, "--untested")
    city.cli("sender", "link", f"@{name}.test", "--agency", "a", "--connector", name)
    return city.send(f"x@{name}.test", f"x@{name}.test", f"by {name}").queue_id


def outcome(city, queue_id):
    """How the delivery ended: the lane's line from `status=` on."""
    return city.postfix.wait_for_log(rf"pm-\S+: {queue_id}: to=.* (dsn=.*)")[1]


@pytest.mark.parametrize("tls", ["starttls", "tls", "may", "none"])
def test_server_that_stopped_offering_auth_gets_nothing(city, tls):
    """Postfix alone would send without a login; the mail waits, and the log says why."""
    certificate = city.authority.issue("localhost") if tls in ("starttls", "tls", "may") else None
    hop = NextHop("odd", certificate=certificate, implicit_tls=tls == "tls").start()
    try:
        ended = outcome(city, send(city, f"gone-{tls}", hop.port, tls))
        assert ended.startswith("dsn=4.7.0, status=deferred")
        assert hop.received == []
    finally:
        hop.stop()


OFFERS = {
    "first": "250-mx.odd.lab\n250-AUTH PLAIN LOGIN\n250-SIZE 1000000\n250 8BITMIME",
    "last": "250-mx.odd.lab hello\n250-SIZE 1000000\n250 AUTH PLAIN LOGIN",
    "old": "250-mx.odd.lab hello\n250 AUTH=PLAIN LOGIN",
    "twice": "250-mx.odd.lab\n250-AUTH LOGIN PLAIN\n250-AUTH=LOGIN PLAIN\n250 SIZE",
    "literal": "250-[192.0.2.1]\n250-SIZE\n250 AUTH PLAIN",
    "quoted": "250-mx.odd.lab it's me\n250 AUTH PLAIN",
}
REFUSES = {
    "nothing": "250-mx.odd.lab hello\n250-SIZE 1000000\n250 8BITMIME",
    "alone": "250 mx.odd.lab hello",
    "empty": "250-mx.odd.lab\n250-AUTH\n250 SIZE 1000000",
    "size-last": "250-mx.odd.lab\n250-8BITMIME\n250 SIZE 0",
    "no-dot": "250-localhost\n250-PIPELINING\n250 SIZE 1000000",
    "unusable": "250-mx.odd.lab\n250-AUTH XOAUTH2 EXTERNAL\n250 8BITMIME",
    "no-ehlo": "502 5.5.1 what?",
}


@pytest.fixture
def scripted(city):
    """Start a server that answers EHLO so."""
    started = []

    def start(ehlo, **other):
        started.append(Scripted(city.authority.issue("localhost"), polite(ehlo, **other)))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def early(when):
    """A server that offers AUTH before TLS, after it, or both; STARTTLS in any case."""
    encrypted = []

    def answer(command):
        verb = command.split(" ")[0].upper()
        if verb == "STARTTLS":
            encrypted.append(True)
            return "220 go ahead"
        if verb == "EHLO":
            offered = when in ("both", "after" if encrypted else "before")
            lines = ["250-mx.odd.lab", *(["250-AUTH PLAIN"] if offered else [])]
            return "\n".join([*lines, "250 8BITMIME" if encrypted else "250 STARTTLS"])
        return polite("")(command)

    return answer


@pytest.mark.parametrize(("when", "sent"), [("before", False), ("after", True), ("both", True)])
def test_auth_counts_only_after_tls(city, when, sent):
    """What was offered in the clear says nothing; the password never goes there."""
    server = Scripted(city.authority.issue("localhost"), early(when), tls="starttls")
    try:
        ended = outcome(city, send(city, f"early-{when}", server.port, "starttls"))
        assert ("status=sent" in ended) == sent
        assert ("no mail without a login: no AUTH offered" in ended) != sent
        verbs = [command.split()[0].upper() for command in server.commands]
        assert verbs[:3] == ["EHLO", "STARTTLS", "EHLO"]
        assert ("AUTH" in verbs) == ("MAIL" in verbs) == sent
    finally:
        server.stop()


@pytest.mark.parametrize("name", OFFERS)
def test_auth_is_found_wherever_it_stands(city, scripted, name):
    """Before or after SIZE, first or last, in the old spelling: the login is used."""
    server = scripted(OFFERS[name])
    ended = outcome(city, send(city, f"offer-{name}", server.port, "tls"))
    assert "status=sent" in ended
    assert [c.split()[0] for c in server.commands][:3] == ["EHLO", "AUTH", "MAIL"]
    assert server.messages == 1


@pytest.mark.parametrize("name", REFUSES)
def test_nothing_goes_without_auth(city, scripted, name):
    """Whatever else the server says; it never hears of the message."""
    server = scripted(REFUSES[name])
    ended = outcome(city, send(city, f"refuse-{name}", server.port, "tls"))
    assert "status=deferred" in ended
    if name not in ("empty", "unusable", "no-ehlo"):  # of which Postfix says so itself
        assert "no mail without a login: no AUTH offered by server localhost" in ended
    assert not [c for c in server.commands if c.upper().startswith("MAIL")]


ABOUT_THE_LOGIN = {
    "530": ("mail", "530 5.7.57 Client not authenticated to send mail"),
    "535": ("auth", "535 5.7.8 Username and Password not accepted"),
    "535-basic": (
        "auth",
        "535 5.7.139 Authentication unsuccessful, basic authentication is disabled",
    ),
    "534": ("auth", "534-5.7.9 Application-specific password required.\n534 5.7.9 Learn more"),
    "550-basic": ("auth", "550 5.7.30 Basic authentication is not supported for Client Submission"),
    "sendas": ("data", "550 5.7.60 SMTP; Client does not have permissions to send as this sender"),
    "sendas-old": ("data", "554 5.2.252 SendAsDenied; court not allowed to send as x"),
    "tenant": ("mail", "550 5.7.64 TenantAttribution; Relay Access Denied"),
    "relay": (
        "rcpt",
        "550-5.7.1 Invalid credentials for relay [192.0.2.1]. The IP\n550 5.7.1 x - gsmtp",
    ),
    "limit": ("data", "550-5.4.5 Daily user sending limit exceeded.\n550 5.4.5 x - gsmtp"),
    "ses": ("data", "554 Message rejected: Email address is not verified."),
    "banned": ("rcpt", "550 5.1.8 Access denied, bad outbound sender"),
}


def test_refused_login_is_told_to_people(city, scripted):
    """In the log, once, and in `pointsman status`: whose mail waits, and the server's words."""
    server = scripted("250-mx.odd.lab\n250 AUTH PLAIN", auth="535 5.7.8 Bad password")
    outcome(city, send(city, "told", server.port, "tls"))
    line = r"pointsman/agent\[\d+\]: connector told is refused by its server, its mail waits: .*"
    city.postfix.wait_for_log(rf"{line}435 4.7.8 Bad password.* \(connector-refused\)$")
    (alarm,) = [
        alarm
        for alarm in json.loads(city.postfix.cli("status", "--json"))["alarms"]
        if alarm["name"] == "connector told"
    ]
    assert alarm["kind"] == "connector-refused"
    assert "Bad password" in city.postfix.cli("status")


@pytest.mark.parametrize("name", ABOUT_THE_LOGIN)
def test_word_about_the_login_defers(city, scripted, name):
    """It is the connector's fault: the message waits and is not returned to its sender."""
    verb, reply = ABOUT_THE_LOGIN[name]
    server = scripted("250-mx.odd.lab\n250 AUTH PLAIN", **{verb: reply})
    ended = outcome(city, send(city, f"fault-{name}", server.port, "tls"))
    assert "status=deferred" in ended
    assert reply.split("\n")[0][10:40] in ended


def test_word_about_the_message_still_bounces(city, scripted):
    """No such recipient, a message refused for what it is: the sender must know."""
    for name, reply in {
        "nobody": "550 5.1.1 no such user",
        "spam": "550 5.7.1 this message is spam",
        "large": "552 5.3.4 message too big",
    }.items():
        server = scripted("250-mx.odd.lab\n250-SIZE 10\n250 AUTH PLAIN", rcpt=reply)
        ended = outcome(city, send(city, f"bounce-{name}", server.port, "tls"))
        assert "status=bounced" in ended
