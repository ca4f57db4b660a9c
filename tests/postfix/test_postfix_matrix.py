"""Every TLS mode with and without a login, against good servers and bad ones.

Two implementations stand on the other side: aiosmtpd, and a Postfix with Cyrus SASL. What can't be
delivered as the connector says waits, with the reason in the log. Nothing leaves in the clear or
without its login, and nothing is returned to its sender for a fault of ours. And
`connector test` foretells each of these endings.
"""

import re
from dataclasses import dataclass

import pytest

from lab.city import built
from lab.hop_postfix import PostfixHop
from lab.nexthop import NextHop
from tests.postfix.ways import PASSWORD, Ways

KINDS = ("aiosmtpd", "postfix")
# The server says nothing of AUTH, or says `AUTH` and no more.
NO_AUTH = "no mail without a login|offered no compatible authentication mechanisms"
GOOD, EXPIRED, OTHER, SELF = "good", "expired", "other", "self"


@dataclass(frozen=True)
class Case:
    """A connector, and the server that it meets."""

    tls: str  # the connector's
    auth: str
    server_tls: str
    login: bool  # whether the server wants one; then it takes no mail without
    certificate: str = GOOD
    trust: bool = True  # whether the connector has the server's CA
    password: str = PASSWORD
    sent: bool = False
    reason: str = ""

    def name(self, kind):
        """A connector's name that tells it from all others."""
        return f"c{CASES.index(self)}-{kind}"

    def __str__(self):
        """For the name of the test."""
        faults = [] if self.certificate == GOOD else [self.certificate]
        faults += [] if self.trust else ["unknown-ca"]
        faults += [] if self.password == PASSWORD else ["wrong-password"]
        server = f"{self.server_tls}{'+auth' if self.login else ''}"
        return "-".join([self.tls, self.auth, "to", server, *faults])


def good():
    """Each mode against a server that has just what it asks for."""
    for tls, server in [
        ("none", "none"),
        ("may", "none"),
        ("may", "starttls"),
        ("starttls", "starttls"),
        ("tls", "tls"),
    ]:
        yield Case(tls, "none", server, login=False, sent=True)
        if (tls, server) != ("may", "none"):
            yield Case(tls, "password", server, login=True, sent=True)


def bad_logins():
    """The server refuses the password, offers no AUTH, or wants what we do not have."""
    for tls, server in [
        ("none", "none"),
        ("may", "starttls"),
        ("starttls", "starttls"),
        ("tls", "tls"),
    ]:
        yield Case(
            tls,
            "password",
            server,
            True,
            password="wrong",
            reason=r"SASL authentication failed.*435",
        )
        yield Case(tls, "password", server, False, reason=NO_AUTH)
        yield Case(tls, "none", server, True, reason=r"said: 4(30|54) .*[Aa]")
    yield Case("may", "password", "none", False, reason=NO_AUTH)
    # A password must not follow where TLS was stripped off.
    yield Case("may", "password", "none", True, reason="no mechanism available")


def bad_certificates():
    """Where TLS is due it is verified; `may` trusts anyone, as Postfix does."""
    faults = [(EXPIRED, True), (OTHER, True), (GOOD, False), (SELF, False)]
    for auth in ("none", "password"):
        for certificate, trust in faults:
            for tls in ("starttls", "tls"):
                why = "Server certificate not (verified|trusted)"
                yield Case(tls, auth, tls, auth == "password", certificate, trust, reason=why)
            yield Case("may", auth, "starttls", auth == "password", certificate, trust, sent=True)
        for tls in ("starttls", "tls"):
            yield Case(tls, auth, tls, auth == "password", SELF, sent=True)
            why = "TLS is required, but was not offered|Cannot start TLS: handshake failure"
            yield Case(tls, auth, "none", auth == "password", reason=why)


CASES = [*good(), *bad_logins(), *bad_certificates()]


class Servers:
    """One server of each sort, started when a case first needs it."""

    def __init__(self, city):
        self.city = city
        self.issued = {
            GOOD: city.authority.issue("localhost"),
            EXPIRED: city.authority.issue("localhost", days=-1),
            OTHER: city.authority.issue("other.test"),
        }
        self.issued[SELF], self.self_signed = city.authority.self_signed("localhost")
        self.ports = {}
        self.provider = PostfixHop("provider", city.folder / "provider")
        self.provider.add_login("court", PASSWORD)
        city.hops["provider"] = self.provider

    def port(self, kind, case):
        """The port at which such a server is."""
        sort = (kind, case.server_tls, case.login, case.certificate)
        if sort not in self.ports:
            self.ports[sort] = self._start(*sort)
        return self.ports[sort]

    def _start(self, kind, tls, login, certificate):
        path = None if tls == "none" else self.issued[certificate]
        if kind == "postfix":
            return self.provider.listen(tls, path, login=login)
        logins = {"court": PASSWORD} if login else {}
        name = f"{tls}-{login}-{certificate}"
        hop = NextHop(name, logins, certificate=path, implicit_tls=tls == "tls").start()
        self.city.hops[name] = hop
        return hop.port

    def authority(self, case):
        """What the connector is told to trust."""
        if not case.trust or case.tls in ("none", "may"):
            return None
        return self.self_signed if case.certificate == SELF else self.city.authority.ca_file


@pytest.fixture(scope="module")
def ways():
    """Each case's connector and server; Postfix learns of all of them at once."""
    with built(daemons=("policy", "milter")) as city:
        ways, servers = Ways(city), Servers(city)
        city.postfix.cli("agency", "add", "a", "--any-client", "--rate", "unlimited")
        for kind in KINDS:
            for case in CASES:
                options = {"ca": servers.authority(case), "password": case.password}
                port = servers.port(kind, case)
                ways.add(case.name(kind), port, case.tls, case.auth, **options)
        servers.provider.start()
        city.postfix.cli("apply")
        city.settle()
        yield ways


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_delivered_as_it_should_or_deferred(ways, kind, case):
    """As the connector says or not at all; and its test says the same beforehand."""
    name = case.name(kind)
    output, passed = ways.test(name)
    assert passed is case.sent, output
    ending = ways.ending(ways.send(name))
    assert re.search(case.reason, ending.reason), ending
    if not case.sent:
        assert ending.status == "deferred"
        assert ways.city.arrived(f"by {name}", 0) == []
        return
    assert ending.status == "sent"
    (message,) = ways.city.arrived(f"by {name}")
    assert message.login == ("court" if case.auth == "password" else "")
    assert message.tls is (case.server_tls != "none")
