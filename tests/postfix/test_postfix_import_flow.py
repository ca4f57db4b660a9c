"""docs/import.md typed line by line while mail flows, on a Postfix whose map answers everything."""

import re
import threading
from pathlib import Path

import pytest

from lab.client import message, send
from lab.readme import type_command
from tests.postfix.old_town import LOGINS, add_map, old_town

DOCUMENT = Path(__file__).parents[2] / "docs" / "import.md"
RECIPIENT = "someone@example.net"
# The header From and the envelope sender; who takes it before the import, and after.
DEFAULT, COURT, POLICE = ("default", ""), ("shared", "court"), ("shared", "police")
MAIL = {
    "domain": ("x@a.test", "x@a.test", COURT, COURT),
    "extension": ("x+y@a.test", "x+y@a.test", COURT, COURT),
    "other login": ("x@b.test", "x@b.test", POLICE, POLICE),
    "nobody's": ("x@c.test", "x@c.test", DEFAULT, DEFAULT),
    # Postfix's map knew the envelope sender alone; now the From decides.
    "vendor's": ("x@a.test", "v+1=x@c.test", DEFAULT, COURT),
    "between": ("x@a.test", "x@b.test", POLICE, COURT),
    "bounce": ("x@b.test", "<>", DEFAULT, POLICE),
}


def commands():
    """What the document tells to type, continued lines joined, comments gone."""
    block = re.search(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return [line.partition("#")[0].strip() for line in block[1].splitlines()]


@pytest.fixture
def city():
    """A Postfix as mailcow's: one table leads each sender, and answers for any."""
    with old_town() as found:
        settle_in(found)
        yield found


def settle_in(city):
    """The table, and two logins at one server."""
    shared = f"[localhost]:{city.hops['shared'].port}"
    table = city.postfix.config_directory / "everything"
    table.write_text(f"/@a\\.test$/ smtp:{shared}\n/@b\\.test$/ smtp:{shared}\n/./ smtp:\n")
    city.postfix.chroot("smtpd", "cleanup", "trivial-rewrite")  # as Debian does
    logins = {f"@{d}.test": f"{n}:{LOGINS[n]}" for d, n in (("a", "court"), ("b", "police"))}
    city.postfix.set(
        sender_dependent_default_transport_maps=f"pcre:{table}",
        smtp_sasl_auth_enable="yes",
        smtp_sender_dependent_authentication="yes",
        smtp_sasl_security_options="noanonymous",
        smtp_sasl_password_maps=add_map(city, "lmdb", "sasl_passwd", logins),
        smtp_tls_policy_maps=add_map(city, "lmdb", "policy", {shared: "secure"}),
        smtp_tls_CAfile=str(city.authority.ca_file),
    )


class Client(threading.Thread):
    """Sends one message after another, each until it is taken, as a mail server would."""

    def __init__(self, city):
        super().__init__()
        self.city, self.sent, self.over = city, [], threading.Event()

    def run(self):
        """Round after round, all kinds in turn."""
        while not self.over.is_set():
            for kind, (from_, envelope, *_) in MAIL.items():
                subject = f"{kind}, number {len(self.sent)}"
                while not self.taken(envelope, message(from_, subject)):
                    pass
                self.sent.append((kind, subject))

    def taken(self, envelope, content):
        """A refusal for now is no answer yet; any other is an error of its own."""
        reply = send(self.city.postfix, envelope, RECIPIENT, content, login="app")
        assert reply.code < 500, reply
        return reply.code == 250

    def rounds(self, count):
        """Wait until so many more of each kind are sent."""
        target = len(self.sent) + count * len(MAIL)
        while len(self.sent) < target and self.is_alive():
            self.join(0.05)

    def end(self):
        """Let it finish its round."""
        self.over.set()
        self.join()


def test_the_document_typed_while_mail_flows(city):
    """Nothing is lost, doubled, or takes a way that is neither the old nor the new one."""
    *typed, last = commands()
    assert last == "pointsman connector enable smtp-court-example"
    client = Client(city)
    client.start()
    try:
        client.rounds(2)
        for line in typed:
            type_command(line, city.folder, city.postfix)
            if line == "pointsman setup":
                city.postfix.start_all()
            client.rounds(1)
        for connector in staged(city):
            type_command(f"pointsman connector enable {connector}", city.folder, city.postfix)
            client.rounds(2)
        city.settle()
        client.rounds(1)  # one that was under way may still be decided by what was before
        live = len(client.sent)
        client.rounds(3)
    finally:
        client.end()
    city.postfix.wait_for_empty_queue()
    judge(city, client.sent, live)


def staged(city):
    """The connectors that the import made."""
    printed = city.postfix.cli("connector", "list", "--json")
    return re.findall(r'"name": "(?!postfix)([^"]+)"', printed)


def judge(city, sent, live):
    """Each message came once, from its sender, by a way that was its own at the time."""
    arrived = {}
    for hop in city.hops.values():
        for found in hop.received:
            arrived.setdefault(found.subject, []).append(found)
    assert sorted(arrived) == sorted(subject for _, subject in sent)
    for number, (kind, subject) in enumerate(sent):
        _, envelope, before, after = MAIL[kind]
        (found,) = arrived[subject]
        ways = {after} if number >= live else {before, after}
        assert (found.server, found.login) in ways, (subject, found.server, found.login)
        assert found.sender == envelope.strip("<>"), subject
        assert found.tls == (found.server == "shared")
