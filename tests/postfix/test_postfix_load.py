"""Case 11: under load, with connectors changing all the time; and why the rule is there."""

import json
import os
import random
import signal
import smtplib
import subprocess
import sys
import threading
import time
from pathlib import Path

from lab.client import begin, message, transaction
from lab.instance import wait_until
from lab.nexthop import NextHop

SECONDS = float(os.environ.get("POINTSMAN_LOAD_SECONDS", "60"))
EDITS_A_SECOND = 10
CLIENTS = 3
HERE = Path(__file__).parent


class Sender(threading.Thread):
    """One client that sends as fast as it may, and keeps what it was told."""

    def __init__(self, city, number, stop):
        super().__init__()
        self.city, self.number, self.stop = city, number, stop
        self.sent = {}
        self.problems = []

    def run(self):
        dice = random.Random(self.number)
        ways = [("x{n}@steady.test", "steady"), ("v@vendor.test", "steady"), ("<>", "steady")]
        ways += [("x{n}@moving.test", "moving")]
        while not self.stop.is_set():
            with smtplib.SMTP("127.0.0.1", self.city.postfix.port) as smtp:
                begin(smtp, login="a-app")
                for _ in range(dice.choice((1, 1, 2, 5, 50))):
                    sender, domain = ways[len(self.sent) % len(ways)]
                    subject = f"load {self.number} {len(self.sent)} {domain}"
                    content = message(f"y@{domain}.test", subject)
                    reply = transaction(smtp, sender.format(n=self.number), "x@ext.test", content)
                    if reply.code != 250:
                        self.problems.append((subject, reply))
                    self.sent[subject] = reply.queue_id


def test_minute_of_load(own_city):
    """No crash, no deferral, no wrong lane while connectors change ten times a second."""
    city = own_city
    for name in ("steady", "m0", "m1", "spare"):
        city.hops[name] = NextHop(name).start()
        options = ["--host", f"localhost:{city.hops[name].port}", "--tls", "none"]
        city.postfix.cli("connector", "add", name, *options)
        city.postfix.cli("connector", "enable", name)
    link = ["--agency", "a", "--connector"]
    city.postfix.cli("sender", "link", "@steady.test", *link, "steady")
    city.cli("sender", "link", "@moving.test", *link, "m0")
    mark = city.postfix.log_size()
    stop = threading.Event()
    senders = [Sender(city, number, stop) for number in range(CLIENTS)]
    for thread in senders:
        thread.start()
    first = newest(city)
    # A process of its own: the clients and the servers have this one's time already.
    editor = [sys.executable, str(HERE / "edit_ten_times_a_second.py")]
    command = [*editor, str(city.postfix.config_file), str(SECONDS)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    edits = newest(city) - first
    stop.set()
    for thread in senders:
        thread.join()
    # A qmgr that a reload ended leaves what is being delivered to a later scan.
    try:
        wait_until(lambda: not flushed(city), "the queue to empty", 60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {stuck(city)}") from None
    sent = {subject: queue_id for sender in senders for subject, queue_id in sender.sent.items()}
    assert [problem for sender in senders for problem in sender.problems] == []
    log = city.postfix.log(mark)
    assert "status=deferred" not in log
    assert "status=bounced" not in log
    assert "error=internal" not in log
    steady = {r.subject for r in city.hops["steady"].received}
    moving = {r.subject for name in ("m0", "m1") for r in city.hops[name].received}
    assert steady == {s for s in sent if s.endswith("steady")}
    assert moving == {s for s in sent if s.endswith("moving")}
    assert not city.hops["spare"].received
    assert city.hops["m0"].received
    assert city.hops["m1"].received
    assert all(daemon.poll() is None for daemon in city.postfix.daemons.values())
    assert edits >= 0.9 * EDITS_A_SECOND * SECONDS


def newest(city):
    """The revision of the newest change."""
    return json.loads(city.postfix.cli("history", "--json", "--limit", "1"))["revision"]


def flushed(city):
    """What is in the queue, after a new look at it: one more reload may have ended the last."""
    city.postfix.postfix("postqueue", "-f")
    return city.postfix.queue()


def stuck(city):
    """What is in the queue, and what the log knows of the first of it."""
    queue = city.postfix.queue()
    first = [queued["queue_id"] for queued in queue][:1]
    lines = [line for line in city.postfix.log().splitlines() if any(i in line for i in first)]
    return "\n".join([f"{len(queue)} messages", *map(str, queue[:3]), *lines])


def test_sqlite_in_a_callback_crashes(own_city):
    """The rule is real: a C extension that calls back into Python there ends the process."""
    city = own_city
    city.postfix.stop_daemon("milter")
    path = city.postfix.queue_directory / "pointsman" / "milter.sock"
    milter = subprocess.Popen(
        [sys.executable, str(HERE / "sqlite_in_callback.py"), f"unix:{path}"],
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while milter.poll() is None and time.monotonic() < deadline:
            threads = [threading.Thread(target=flood, args=(city, milter)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert milter.poll() in (-signal.SIGSEGV, -signal.SIGABRT)
    finally:
        milter.kill()
        milter.wait()


def flood(city, milter):
    """Short sessions: each end leaves threads with a thread state that is gone."""
    for _ in range(100):
        if milter.poll() is not None:
            return
        try:
            with smtplib.SMTP("127.0.0.1", city.postfix.port, timeout=30) as smtp:
                smtp.ehlo()
                transaction(smtp, "x@y.test", "root@localhost", message("x@y.test"))
        except (OSError, smtplib.SMTPException):
            continue  # the milter may be dying just now
