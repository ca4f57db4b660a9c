"""Two policy daemons with one Redis: together they let N through, and survive its death."""

import signal
import threading
from dataclasses import replace
from time import monotonic

import pytest

from tests.wire.policy_process import SNAPSHOT, Daemon, request


@pytest.fixture
def redis(redis_server):
    """An empty Redis."""
    if redis_server.process is None:
        redis_server.start()
    redis_server.do("FLUSHALL")
    return redis_server


@pytest.fixture
def pair(tmp_path, redis):
    """Two daemons that share their counters."""
    daemons = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        daemons.append(Daemon(tmp_path / name).configure(counters=redis.url).apply().start())
    yield daemons
    for daemon in daemons:
        daemon.stop()


def applied(daemon, **changes):
    """Change agency court, and start the daemon."""
    agencies = {**SNAPSHOT.agencies, "court": replace(SNAPSHOT.agencies["court"], **changes)}
    return daemon.apply(replace(SNAPSHOT, agencies=agencies)).start()


def test_two_daemons_let_n_through(pair):
    """Of 2N messages at the same time through both, N pass; the rest get 550."""
    answers = []

    def ask(daemon, name):
        peer = daemon.connect()
        answers.extend(peer.ask(f"{name}{n}") for n in range(5))

    threads = [
        threading.Thread(target=ask, args=(daemon, f"{number}{name}"))
        for number, daemon in enumerate(pair)
        for name in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count("DUNNO") == 5
    assert {a for a in answers if a != "DUNNO"} == {
        "550 5.7.1 agency court is over its rate of 5/hour"
    }
    assert [daemon.used() for daemon in pair] == [5, 5]


def test_pipelined_requests_are_answered_in_order(pair):
    """Though each waits for Redis."""
    peer = pair[0].connect()
    names = [f"P{n}" for n in range(7)]
    peer.send(b"".join(map(request, names)) + request("X", "free"))
    answers = [peer.answer() for _ in range(8)]
    assert [a[:5] for a in answers] == ["DUNNO"] * 5 + ["550 5"] * 2 + ["DUNNO"]


def test_kill_of_a_daemon_forgets_nothing(pair):
    """What it counted is in Redis."""
    one, two = pair
    assert [one.ask(f"A{n}") for n in range(4)] == ["DUNNO"] * 4
    one.kill().start()
    assert one.ask("B0") == "DUNNO"
    assert two.ask("B1").startswith("550")


@pytest.mark.parametrize(
    ("on_failure", "words"),
    [
        ("send", "DUNNO"),
        ("hold", "HOLD the counters are away"),
        ("defer", "450 4.7.1 rates can't be counted now, try again later"),
    ],
)
def test_death_of_redis(daemon, redis, on_failure, words):
    """What is configured, soon, said once; and back by itself."""
    daemon.configure(counters=redis.url, on_failure=on_failure).start()
    assert daemon.ask("A0") == "DUNNO"
    redis.kill()
    start = monotonic()
    answers = [daemon.ask(f"B{n}", "patient") for n in range(5)]
    assert answers[0] == words
    assert {answer[:4] for answer in answers} == {words[:4]}
    assert monotonic() - start < 5
    assert len(daemon.logged(f"counters are away, on_failure={on_failure}")) == 1
    redis.start()
    pause = threading.Event()
    pause.wait(1.2)
    daemon.ask("C0")
    assert daemon.logged("counters are back")


def test_held_mail_goes_after_redis_was_away(daemon, redis):
    """What was offered before its death is offered again when it is back."""
    daemon.configure(counters=redis.url)
    applied(daemon, over_limit="delay", rate="1/2 seconds")
    assert daemon.ask("A0") == "DUNNO"
    assert daemon.ask("A1").startswith("HOLD")
    pause = threading.Event()
    pause.wait(2.2)
    due = daemon.control("due", room=5)["due"]
    assert [message["id"] for message in due] == ["A1"]
    redis.kill()
    assert daemon.control("due", room=5)["due"] == []
    redis.start()
    pause.wait(2.2)
    due = daemon.control("due", room=5)["due"]
    assert [message["id"] for message in due] == ["A1"]
    daemon.control("done", gone=["A1"], absent=[])
    assert daemon.control("due", room=5) == {"due": [], "held": 0}


def test_sigterm_while_redis_hangs(daemon, redis):
    """It ends well, and soon, with a question that Redis does not answer."""
    daemon.configure(counters=redis.url).start()
    peer = daemon.connect()
    assert peer.ask("A0") == "DUNNO"
    redis.do("CLIENT", "PAUSE", "3000")
    peer.send(request("A1"))
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.ended() == 0
    assert daemon.stderr() == ""
    redis.kill()


def test_status_while_redis_is_away(daemon, redis):
    """The control socket answers what it knows, or hangs up; no traceback."""
    daemon.configure(counters=redis.url).start()
    redis.kill()
    assert daemon.control("state", counters=[])["revision"] == 7
    assert daemon.control("state", counters=["agency court"])["use"] == {}
    assert daemon.stderr() == ""


def test_client_that_never_reads(daemon, redis):
    """Nor does it get anywhere where the counters are in Redis: memory is bounded."""
    daemon.configure(counters=redis.url).start()
    assert daemon.ask("A0") == "DUNNO"
    before, peer = daemon.memory(), daemon.connect()
    peer.socket.setblocking(False)
    data, sent, pause = request("S1") * 500, 0, threading.Event()
    for _ in range(300):
        try:
            sent += peer.socket.send(data)
        except BlockingIOError:
            pause.wait(0.01)
    assert daemon.ask("A1") == "DUNNO"
    assert daemon.memory() < before + 20
