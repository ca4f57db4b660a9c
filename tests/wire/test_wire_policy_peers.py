"""What nobody should do to the policy daemon, and how little it costs the others."""

import itertools
import socket
import threading

import pytest

from tests.wire.policy_process import Peer, request

NUMBERS = itertools.count()


def served(daemon):
    """Somebody else asks, and is answered."""
    return daemon.ask(f"O{next(NUMBERS)}", "free") == "DUNNO"


def test_three_pipelined_requests_are_answered_in_order(serving):
    """One segment in, three answers out."""
    peer = serving.connect()
    first, second, third = (f"P{next(NUMBERS)}" for _ in range(3))
    peer.send(request(first, "free") + request(second, protocol_state="RCPT") + request(third))
    assert [peer.answer() for _ in range(3)] == ["DUNNO", "DUNNO", "DUNNO"]
    assert serving.used() == 1


def test_request_in_single_bytes(serving):
    """Cut everywhere, it is the same request."""
    peer = serving.connect()
    for byte in request(f"B{next(NUMBERS)}", "free"):
        peer.send(bytes([byte]))
    assert peer.answer() == "DUNNO"


def test_half_a_request_and_silence(serving):
    """It waits for the rest, and keeps nobody waiting."""
    peer, data = serving.connect(), request(f"H{next(NUMBERS)}", "free")
    peer.send(data[:50])
    assert served(serving)
    peer.send(data[50:])
    assert peer.answer() == "DUNNO"


BAD = {
    "NUL": request("N1", "free\0"),
    "no =": b"GET / HTTP/1.1\r\n\r\n",
    "empty": b"\n",
    "long value": request("N2", "x" * 9000),
    "long request": b"x=" + b"y" * 70_000,
    "zeros": b"\0" * 70_000,
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_request_ends_its_connection(serving, bad):
    """And no other: who comes next is answered."""
    peer = serving.connect()
    peer.send(BAD[bad])
    assert peer.hung_up()
    assert served(serving)
    serving.logged("connection closed")


def test_ten_megabytes_without_an_end(serving):
    """The connection is closed early on, and memory stays as it was."""
    assert served(serving)
    before, peer = serving.memory(), serving.connect()
    peer.send(b"x=")
    with pytest.raises(ConnectionError):
        peer.send(b"y" * 10_000_000)
    assert serving.memory() < before + 8
    assert served(serving)


def test_thousand_idle_connections(serving):
    """They cost little, and others are served."""
    before = serving.memory()
    peers = [serving.connect() for _ in range(1000)]
    assert served(serving)
    assert serving.memory() < before + 30
    peers[0].send(request(f"I{next(NUMBERS)}", "free"))
    assert peers[0].answer() == "DUNNO"
    for peer in peers:
        peer.close()


def test_client_that_never_reads(serving):
    """It is not asked for more questions than it takes answers, and others are served."""
    assert served(serving)
    before, peer = serving.memory(), serving.connect()
    peer.socket.setblocking(False)
    data = request("S1", "free") * 500
    sent, pause = 0, threading.Event()
    for _ in range(200):
        try:
            sent += peer.socket.send(data)
        except BlockingIOError:
            pause.wait(0.01)
    assert served(serving)
    assert sent < 20 << 20
    assert serving.memory() < before + 20


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        ({"request": "other"}, "not counted: a request that is not smtpd_access_policy"),
        ({"protocol_state": "RCPT"}, "not counted: asked at RCPT"),
        ({"protocol_state": ""}, "not counted: asked at no protocol_state"),
        (
            {"queue_id": "", "instance": ""},
            "not counted: a request without queue_id and instance",
        ),
    ],
)
def test_question_that_can_not_be_counted(serving, attributes, complaint):
    """DUNNO each time, and one warning."""
    before = serving.used()
    peer = serving.connect()
    for number in range(3):
        assert peer.ask(f"W{number}", **attributes) == "DUNNO"
    assert len(serving.logged(complaint)) == 1
    assert before == serving.used()


@pytest.mark.parametrize(
    "attributes",
    [
        {"agency": "\udcff"},
        {"agency": "a b"},
        {"agency": "x" * 8000},
        {"agency": "", "sender": "\udcff@a.test"},
        {"agency": "free", "counter": "\udcff"},
        {"revision": "9" * 5000},
        {"revision": "9" * 40},
        {"revision": "abc"},
        {"recipient_count": "9" * 5000},
        {"recipient_count": "-1"},
    ],
)
def test_strange_values(serving, attributes):
    """It answers, and the next one is counted and answered."""
    values = {"agency": "free", **attributes}
    lines = "".join(f"{name}={value}\n" for name, value in values.items())
    head = f"request=smtpd_access_policy\nprotocol_state=END-OF-MESSAGE\nqueue_id=V{next(NUMBERS)}"
    peer = serving.connect()
    peer.send(f"{head}\n{lines}\n".encode("utf-8", "surrogateescape"))
    assert peer.answer() == "DUNNO"
    assert served(serving)
    assert "internal" not in "".join(serving.log())


def test_client_that_leaves_before_its_answer(serving):
    """Nobody is there to hear it, and nothing happens."""
    for _ in range(20):
        peer = Peer(serving.socket)
        peer.send(request(f"L{next(NUMBERS)}", "free") * 20)
        peer.close()
    assert served(serving)
    assert serving.stderr() == ""


def test_client_that_says_it_is_done(serving):
    """Half a connection is enough for the answers to what was asked."""
    peer = serving.connect()
    peer.send(request(f"D{next(NUMBERS)}", "free") + request(f"D{next(NUMBERS)}", "free"))
    peer.socket.shutdown(socket.SHUT_WR)
    assert [peer.answer(), peer.answer()] == ["DUNNO", "DUNNO"]
    assert peer.hung_up()


def test_process_is_well_after_all_of_this(serving):
    """No traceback, no fault of ours in the log."""
    assert serving.process.poll() is None
    assert serving.stderr() == ""
    assert not [line for line in serving.log() if "error=internal" in line]
