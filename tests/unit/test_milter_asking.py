"""How the milter asks the policy daemon, with a real socket and a daemon that misbehaves."""

import socket
import threading
from contextlib import suppress
from time import monotonic

import pytest

from pointsman.milter import asking
from pointsman.milter.asking import Answer, Policy
from pointsman.routing.charge import Charge

CHARGE = Charge("court", "smtp", "clerk@a.test", 3, False, 7)
GO = b"action=DUNNO\n\n"


class Daemon:
    """Takes connections and answers each question with the next of its answers.

    An answer is bytes, or what it does: `close` the connection, `hang`.
    """

    def __init__(self, path, *answers):
        self.answers = list(answers)
        self.usual = lambda _question: GO
        self.questions = []
        self.connections = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        data = b""
        with suppress(OSError):
            while more := connection.recv(4096):
                data += more
                while b"\n\n" in data:
                    question, _, data = data.partition(b"\n\n")
                    self.questions.append(question.decode())
                    if not self._answer(connection, question.decode()):
                        return

    def _answer(self, connection, question):
        answer = self.answers.pop(0) if self.answers else self.usual(question)
        if answer == "close":
            connection.close()
        elif answer != "hang":
            connection.sendall(answer)
        return answer != "close"

    def stop(self):
        """End as a daemon that is killed: all connections go, the socket's file stays."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


@pytest.fixture
def path(tmp_path):
    """Where the daemon listens."""
    return tmp_path / "policy.sock"


@pytest.fixture
def start(path):
    """Starts daemons, and ends them with the test."""
    daemons = []

    def begin(*answers):
        path.unlink(missing_ok=True)
        daemons.append(Daemon(path, *answers))
        return daemons[-1]

    yield begin
    for daemon in daemons:
        daemon.stop()


@pytest.fixture
def policy(path, monkeypatch):
    """The milter's side, which waits for a short time only."""
    monkeypatch.setattr(asking, "TIMEOUT", 0.15)
    policies = []

    def make(on_failure="send"):
        policies.append(Policy(str(path), on_failure))
        return policies[-1]

    yield make
    for made in policies:
        for connection in made._free:
            connection.close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"action=DUNNO\n\n", Answer("DUNNO")),
        (b"action=HOLD agency x is over its rate\n\n", Answer("HOLD", "agency x is over its rate")),
        (b"action=450 4.7.1 later\n\n", Answer("450", "later")),
        (b"action=550 5.7.1 no\n\n", Answer("550", "no")),
        ("action=HOLD z\u00fcrich\n\n".encode(), Answer("HOLD", "z\u00fcrich")),
        (b"action=HOLD \xff\n\n", Answer("HOLD", "\ufffd")),
    ],
)
def test_answer_is_read(start, policy, answer, expected):
    """Action and text."""
    start(answer)
    assert expected == policy().ask("4Q1", CHARGE)


def test_question_says_all_that_is_counted(start, policy):
    """Each with an instance of its own, exempt only where it is."""
    daemon = start()
    made = policy()
    made.ask("4Q1", CHARGE)
    made.ask("4Q2", Charge("court", "smtp", "", 1, True, 7))
    first, second = (dict(q.split("=", 1) for q in q.split("\n")) for q in daemon.questions)
    assert first.pop("instance") != second.pop("instance")
    assert first == {
        "request": "smtpd_access_policy",
        "protocol_state": "END-OF-MESSAGE",
        "queue_id": "4Q1",
        "recipient_count": "3",
        "agency": "court",
        "connector": "smtp",
        "counter": "clerk@a.test",
        "revision": "7",
    }
    assert second["exempt"] == "yes"


def test_connection_is_kept(start, policy):
    """One connection for one message after the other."""
    daemon = start()
    made = policy()
    for number in range(5):
        assert made.ask(f"4Q{number}", CHARGE).asked
    assert len(daemon.connections) == 1


def test_many_threads_have_a_connection_each(start, policy):
    """Their answers are never mixed up."""
    daemon = start()
    daemon.usual = lambda question: f"action=HOLD {question.split()[2]}\n\n".encode()
    made, wrong = policy(), []

    def ask(name):
        for queue_id in (f"{name}.{number}" for number in range(20)):
            answer = made.ask(queue_id, CHARGE)
            wrong.extend([] if answer.text == f"queue_id={queue_id}" else [answer])

    threads = [threading.Thread(target=ask, args=(f"4Q{n}",)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(daemon.connections) <= 5


def test_daemon_that_was_restarted_is_asked_again(start, policy, log):
    """Over a new connection, for the same instance, and without a word in the log."""
    first = start()
    made = policy()
    assert made.ask("4Q1", CHARGE).asked
    first.stop()
    second = start(b"action=HOLD x\n\n")
    assert made.ask("4Q2", CHARGE) == Answer("HOLD", "x")
    assert made.ask("4Q3", CHARGE).asked
    assert len(second.connections) == 1
    assert log() == []


def test_daemon_that_dies_at_the_question_is_asked_for_the_same_instance(start, policy):
    """What it had counted is not counted twice."""
    daemon = start(GO, "close", GO)
    made = policy()
    assert made.ask("4Q1", CHARGE).asked
    assert made.ask("4Q2", CHARGE).asked
    assert daemon.questions[1] == daemon.questions[2]
    assert "queue_id=4Q2" in daemon.questions[2]


FAILURES = {
    "hangs": ["hang"],
    "closes": ["close", "close"],
    "garbage": [b"220 mx.test ESMTP\n\n"],
    "unknown action": [b"action=REJECT no\n\n"],
    "nothing": [b"\n\n"],
    "half an answer": [b"action=DUNNO\n"],
    "no end": [b"x" * 10_000],
    "no UTF-8": [b"\xff\xfe\n\n"],
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize(
    ("on_failure", "action"), [("send", "DUNNO"), ("hold", "HOLD"), ("defer", "450")]
)
def test_daemon_that_fails(start, policy, log, failure, on_failure, action):
    """What the configuration wants, within the timeout, and one line in the log."""
    start(*FAILURES[failure])
    made, begun = policy(on_failure), monotonic()
    answer = made.ask("4Q1", CHARGE)
    assert (answer.action, answer.asked) == (action, False)
    assert answer.text == "the policy daemon is away"
    assert monotonic() - begun < 2
    (line,) = log()
    assert line.startswith(f"policy daemon is away, on_failure={on_failure}: ")
    assert len(made._free) == 0


def test_no_daemon_at_all(policy, log):
    """Asked in vain a hundred times, it costs no time and one line."""
    made, begun = policy(), monotonic()
    assert {made.ask(f"4Q{n}", CHARGE).action for n in range(100)} == {"DUNNO"}
    assert monotonic() - begun < 2
    assert len(log()) == 1


def test_daemon_that_hangs_costs_one_timeout_only(start, policy):
    """The next messages go on at once, until it is tried again."""
    start("hang", "hang", "hang")
    made = policy()
    made.ask("4Q1", CHARGE)
    begun = monotonic()
    for number in range(50):
        assert not made.ask(f"4Q{number}", CHARGE).asked
    assert monotonic() - begun < 0.3


def test_daemon_that_is_back_is_asked_again(start, policy, log):
    """After a second, by itself, and the log says so once."""
    made = policy()
    assert not made.ask("4Q1", CHARGE).asked
    start()
    assert not made.ask("4Q2", CHARGE).asked
    made._away_until = 0.0
    assert made.ask("4Q3", CHARGE).asked
    assert made.ask("4Q4", CHARGE).asked
    away, back = log()
    assert (away[:22], back) == ("policy daemon is away,", "policy daemon is back")


def test_path_that_is_no_socket(tmp_path, log):
    """A path too long for one, a file, a folder: as if nobody were there."""
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path, tmp_path / ("x" * 200)):
        assert not Policy(str(path), "send").ask("4Q1", CHARGE).asked
    assert len(log()) == 3
