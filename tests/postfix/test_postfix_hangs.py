"""A server that hangs at any step costs a lane its time limit, and the message only time."""

import re

import pytest

from lab.city import built
from lab.hop_postfix import PostfixHop
from lab.scripted import Scripted, polite
from pointsman.postfix import lane
from tests.postfix.ways import PASSWORD, Ways

LIMIT = 2  # seconds, in place of each limit that a lane states
# Each step and what the lane's line says about it.
STEPS = {
    "greeting": "receiving the initial server greeting",
    "ehlo": "performing the EHLO handshake",
    "starttls": "Cannot start TLS|performing the STARTTLS|TLS",
    "handshake": "Cannot start TLS: handshake failure",
    "auth": "performing the EHLO handshake",  # of which AUTH is a part to Postfix
    "mail": "sending MAIL FROM",
    # With PIPELINING all three are on their way before the first is answered.
    "rcpt": "sending (RCPT TO|MAIL FROM)",
    "data": "sending (DATA command|MAIL FROM)",
    ".": "sending end of data -- message may be sent more than once",
}
# The same of a real Postfix, which sleeps when it comes to such a restriction.
SLEEPS = {
    "greeting": "smtpd_client_restrictions",
    "ehlo": "smtpd_helo_restrictions",
    "mail": "smtpd_sender_restrictions",
    "rcpt": "smtpd_recipient_restrictions",
    "data": "smtpd_data_restrictions",
    ".": "smtpd_end_of_data_restrictions",
}
TESTED = set(STEPS) - {"data", "."}  # by `connector test` without --send


def hanging(step, tls, certificate):
    """A server that says nothing more from a step on."""
    starttls = "250-STARTTLS\n" if tls == "starttls" else ""
    talk = polite(f"250-mx.odd.lab\n{starttls}250 AUTH PLAIN", **{step: None})
    greeting = None if step in ("greeting", "handshake") else "220 odd.lab"
    if step == "handshake" and tls == "starttls":
        answers = iter(["250-mx.odd.lab\n250 STARTTLS", "220 2.0.0 go ahead"])
        return Scripted(certificate, lambda _: next(answers, None), tls="none")
    return Scripted(certificate, talk, greeting, "none" if step == "handshake" else tls)


CASES = [
    *((step, tls) for tls in ("starttls", "tls") for step in STEPS),
    *((step, "none") for step in STEPS if step not in ("starttls", "handshake")),
]
CASES.remove(("starttls", "tls"))


@pytest.fixture(scope="module")
def city():
    """One city whose lanes are in a hurry, and an agent that does not mend that."""
    with pytest.MonkeyPatch.context() as patch, built(daemons=("policy", "milter")) as city:
        for name in lane.TIMEOUTS:
            patch.setitem(lane.TIMEOUTS, name, f"{LIMIT}s")
        patch.setattr("pointsman.trial.TIMEOUT", 1.0)
        city.postfix.cli("agency", "add", "a", "--any-client", "--rate", "unlimited")
        yield city


@pytest.fixture(scope="module")
def ways(city):
    """All the servers that hang, and a connector for each."""
    ways, servers = Ways(city), []
    certificate = city.authority.issue("localhost")
    ca = city.authority.ca_file
    for step, tls in CASES:
        servers.append(hanging(step, tls, certificate))
        ways.add(
            named(step, tls), servers[-1].port, tls, "password", ca=None if tls == "none" else ca
        )
    provider = PostfixHop("provider", city.folder / "provider")
    city.hops["provider"] = provider
    provider.add_login("court", PASSWORD)
    for step, restrictions in SLEEPS.items():
        more = {restrictions: "sleep 60, permit", "smtpd_delay_reject": "no"}
        port = provider.listen("starttls", certificate, login=True, **more)
        ways.add(named(step, "postfix"), port, "starttls", "password", ca=ca)
    provider.start()
    city.postfix.cli("apply")
    city.settle()
    ways.sent = {name: ways.send(name) for name in ways.names}
    yield ways
    for server in servers:
        server.stop()


def named(step, kind):
    return f"{'end' if step == '.' else step}-{kind}"


@pytest.mark.parametrize(("step", "kind"), [*CASES, *((step, "postfix") for step in SLEEPS)])
def test_server_that_hangs_defers(ways, step, kind):
    """Within the limit of that step, with the step in the log; `connector test` finds it, too."""
    ending = ways.ending(ways.sent[named(step, kind)])
    assert ending.status == "deferred"
    assert re.search(STEPS[step], ending.reason), ending
    assert ending.delay < 4 * LIMIT
    # aiosmtplib leaves the socket of a greeting that never came to the garbage collector.
    if step in TESTED and (step, kind) not in (("greeting", "tls"), ("handshake", "tls")):
        output, passed = ways.test(named(step, kind))
        assert not passed, output
