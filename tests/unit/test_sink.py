"""Where the log goes: whole lines, each once, whoever writes at the same time."""

import socket
import sys
from contextlib import closing
from threading import Thread

import pytest

from pointsman import sink as sinks
from pointsman.sink import INFO, Sink

THREADS, LINES = 8, 400


@pytest.fixture
def quick_switches():
    """Threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def at_once(write):
    """Call it with a text of its own for each line, from several threads."""
    threads = [
        Thread(target=lambda n=n: [write(f"{n}-{m}") for m in range(LINES)]) for n in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(f"{n}-{m}" for n in range(THREADS) for m in range(LINES))


@pytest.mark.usefixtures("quick_switches")
def test_threads_that_write_at_once_leave_each_line_once(tmp_path):
    """The milter has one for each connection: no decision may be missing, or there twice."""
    sink = Sink("milter", str(tmp_path / "log"))
    texts = at_once(lambda text: sink.write(INFO, text))
    sink.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert sorted(line.rpartition(" ")[2] for line in lines) == texts


@pytest.mark.usefixtures("quick_switches")
def test_threads_that_find_syslog_restarted_lose_no_line(tmp_path, monkeypatch):
    """Whoever notices first connects anew, and the others go on with that."""
    place = tmp_path / "log"
    monkeypatch.setattr(sinks, "DEV_LOG", str(place))
    with listening(place):
        sink = Sink("milter", "syslog")
    place.unlink()
    with listening(place) as syslogd, closing(sink):
        received = []
        reader = Thread(target=lambda: received.extend(texts_of(syslogd)))
        reader.start()
        texts = at_once(lambda text: sink.write(INFO, text))
        reader.join()
    assert sorted(received) == texts


def listening(place):
    """A syslogd's socket."""
    syslogd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    syslogd.bind(str(place))
    syslogd.settimeout(20)  # a line that is lost must not hang the test
    return syslogd


def texts_of(syslogd):
    """What it gets."""
    for _ in range(THREADS * LINES):
        yield syslogd.recv(1000).decode().rpartition(" ")[2]


def test_gathered_lines_stand_together(tmp_path):
    """One write for all that the policy daemon has to say in one turn."""
    sink = Sink("policy", str(tmp_path / "log"))
    sink.gather(INFO, "1")
    sink.gather(INFO, "2")
    assert (tmp_path / "log").read_text() == ""
    sink.flush()
    sink.flush()
    sink.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["1", "2"]
