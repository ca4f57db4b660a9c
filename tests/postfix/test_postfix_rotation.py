"""A password is changed while mail flows: tried first, then swapped, and no message notices."""

import json
import smtplib
import threading
from collections import Counter

import pytest

from lab.city import built
from lab.client import begin, message, transaction
from lab.instance import wait_until

ROTATIONS = 10
BEHIND = 200  # messages on their way


@pytest.fixture
def city():
    """One connector with a login, and a sender on it."""
    with built() as city:
        run = city.postfix.cli
        run("agency", "add", "a", "--any-client", "--rate", "unlimited")
        run("connector", "add", "court", *city.connector_options("shared", "court"))
        run("connector", "enable", "court")
        city.cli("sender", "link", "@a.test", "--agency", "a", "--connector", "court")
        yield city


class Stream(threading.Thread):
    """A client that sends one message after the other, a few in each session."""

    def __init__(self, city):
        super().__init__()
        self.city, self.stop = city, threading.Event()
        self.sent, self.problems = [], []

    def run(self):
        while not self.stop.is_set():
            with smtplib.SMTP("127.0.0.1", self.city.postfix.port) as smtp:
                begin(smtp, login="a-app")
                # A server of the lab's takes less than a client can send.
                self.city.hops["shared"].wait_for(len(self.sent) - BEHIND, 60)
                for _ in range(5):
                    subject = f"message {len(self.sent)}"
                    content = message("x@a.test", subject)
                    reply = transaction(smtp, "x@a.test", "y@ext.test", content)
                    self.sent.append(subject)
                    if reply.code != 250:
                        self.problems.append(reply)


def change_password(city, text):
    """`connector set` as an admin would; what it printed."""
    path = city.folder / "new.pw"
    path.write_text(text)
    set_ = ["connector", "set", "court", "--password-file", str(path)]
    return city.postfix.run_cli(*set_)


def only(hop, password):
    """Whether deliveries have gone over to a password."""
    latest = hop.attempts[-100:]
    return len(latest) == 100 and {used for _, used in latest} == {password}


def test_no_message_fails_during_ten_rotations(city):
    """Nor when the new password is wrong: the old one stays, and mail goes on by it."""
    hop = city.hops["shared"]
    stream = Stream(city)
    mark = city.postfix.log_size()
    stream.start()
    for number in range(ROTATIONS):
        new = f"password {number} $1"
        # A delivery that had begun before the swap comes with the old one seconds later.
        hop.retiring = [*hop.retiring, hop.logins["court"]][-2:]
        hop.logins = {**hop.logins, "court": new}
        refused = change_password(city, "wrong")
        assert refused.returncode == 1
        assert "failed at AUTH: 535" in refused.stderr
        assert change_password(city, new).returncode == 0
        city.settle()
        wait_until(lambda n=new: only(hop, n), "the old password to be out of use")
    stream.stop.set()
    stream.join()
    city.postfix.postfix("postqueue", "-f")  # what a reload kept from its lane for a moment
    city.postfix.wait_for_empty_queue()
    assert stream.problems == []
    arrived = Counter(r.subject for r in hop.received)
    assert arrived == Counter(stream.sent)
    assert {r.login for r in hop.received} == {"court"}
    assert {r.password for r in hop.received[-1:]} == {new}
    log = city.postfix.log(mark)
    assert "status=deferred" not in log
    assert "status=bounced" not in log
    changes = city.postfix.cli("history", "--json", "--limit", "50").splitlines()
    actions = [json.loads(line)["action"] for line in changes]
    assert actions.count("connector set") == ROTATIONS
