"""The agent is killed at each step of what it does with mail: all of it leaves, once."""

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.instance import wait_until
from tests.postfix.town import held, received, send_many, town, wait_for

SCRIPT = Path(__file__).with_name("interrupted_release.py")
MANY = 3
KILLED, NO_SUCH_STEP = -signal.SIGKILL, 0


@pytest.fixture
def city():
    """Agency a may send what it likes; no agent runs, until it is started."""
    with town("unlimited", daemons=("policy", "milter")) as built:
        yield built


def interrupt(city, number):
    """One look and one round of letting go, in a process of its own; how it ended."""
    command = [sys.executable, str(SCRIPT), str(city.postfix.config_file), str(number)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def cli(city, *arguments):
    """Change something, and apply it by hand."""
    city.postfix.cli(*arguments)
    city.postfix.cli("apply")
    city.settle()


def deferred(city):
    """What is in the deferred queue."""
    return {q["queue_id"] for q in city.postfix.queue() if q["queue_name"] == "deferred"}


def walk(city, begin):
    """Kill it one step later each time; the next agent does what is left to do."""
    for number in itertools.count(1):
        ids = begin(city)
        ended = interrupt(city, number)
        assert ended.returncode in (KILLED, NO_SUCH_STEP), ended.stderr
        city.postfix.start_daemon("agent")
        yield ids
        city.postfix.stop_daemon("agent", signal.SIGKILL)
        subjects = sorted(r.subject for r in received(city))  # two deliveries may overtake
        assert subjects == [f"m{n}" for n in range(MANY)], ended.stderr
        city.clear()
        if ended.returncode == NO_SUCH_STEP:
            assert number > MANY
            return


def wait_on_hold(city):
    """Mail that was held as it came, and may go by now."""
    cli(city, "agency", "pause", "a")
    ids = send_many(city, MANY)
    wait_until(lambda: sorted(held(city)) == ids, "all to be held")
    cli(city, "agency", "resume", "a")
    return ids


def wait_deferred(city):
    """Mail of an agency that is paused by now, put off by the server before."""
    city.hops["shared"].answer = lambda _envelope: "451 4.0.0 later"
    ids = send_many(city, MANY)
    wait_until(lambda: deferred(city) == set(ids), "all to be deferred")
    city.hops["shared"].answer = None
    cli(city, "agency", "pause", "a")
    return ids


def test_killed_while_it_lets_mail_go(city):
    """Whatever it had done, the next agent goes on from there."""
    for _ in walk(city, wait_on_hold):
        wait_for(city, MANY, 30)
        city.postfix.wait_for_empty_queue()


def test_killed_while_it_stops_paused_mail(city):
    """What is on hold then is known to be ours: it leaves when the pause is over."""
    for ids in walk(city, wait_deferred):
        wait_until(lambda i=ids: sorted(held(city)) == i, "all to be held")
        assert received(city) == []
        city.postfix.cli("agency", "resume", "a")
        wait_for(city, MANY, 30)
        city.postfix.wait_for_empty_queue()
