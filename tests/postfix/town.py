"""A town for tests of rates: agency a with a rate, agency b without, a lane for each."""

import re
import smtplib
from contextlib import contextmanager

from lab.city import built
from lab.client import begin, message, transaction
from lab.instance import wait_until

RELEASED = re.compile(r"pointsman/agent\[\d+\]: (\w+): .*way=released")


@contextmanager
def town(rate, *options, parameters=None, daemons=("policy", "milter", "agent")):
    """Build it; `options` are more of agency a's."""
    with built(parameters, daemons) as city:
        run = city.postfix.cli
        run("agency", "add", "a", "--login", "a-app", "--rate", rate, *options)
        run("agency", "add", "b", "--login", "b-app", "--rate", "unlimited")
        run("connector", "add", "a", *city.connector_options("shared", "court"))
        run("connector", "add", "b", *city.connector_options("shared", "police"))
        run("sender", "link", "@a.test", "--agency", "a", "--connector", "a")
        run("sender", "link", "@b.test", "--agency", "b", "--connector", "b")
        for name in ("a", "b"):
            run("connector", "enable", name)
        if "agent" not in daemons:
            run("apply")
        city.settle()
        yield city


def send_many(city, count, *, sender="clerk@a.test", login="a-app", prefix="m"):
    """Send messages in one session; returns their queue ids in order."""
    ids = []
    with smtplib.SMTP("127.0.0.1", city.postfix.port, local_hostname="client.lab") as smtp:
        begin(smtp, login)
        for number in range(count):
            content = message(sender, f"{prefix}{number}")
            reply = transaction(smtp, sender, "someone@example.net", content)
            assert reply.code == 250, reply
            ids.append(reply.queue_id)
    return ids


def received(city, login="court"):
    """What arrived under a login, in order."""
    return [r for r in city.hops["shared"].received if r.login == login]


def wait_for(city, count, timeout, login="court"):
    """Wait until so many arrived under a login."""
    wait_until(lambda: len(received(city, login)) >= count, f"{count} messages", timeout)


def released(city):
    """The queue ids that the agent let go, in order."""
    return RELEASED.findall(city.postfix.log())


def let_go(city):
    """When the policy daemon let each message of agency a go, by its journal of this life."""
    times = {}
    for line in (city.postfix.state_directory / "policy.journal").read_text().splitlines():
        words = line.split(" ")
        if words[0] == "charge" and words[5] == "a":
            times[words[3]] = [float(words[1])]
        elif words[0] == "go":
            times.setdefault(words[2], []).append(float(words[1]))
        elif words[0] == "back":
            times[words[1]].pop()
    # One that was offered twice may have left the first time.
    return {queue_id: found[0] for queue_id, found in times.items() if found}


def most_in_any(times, seconds):
    """The largest number of moments within any stretch of time."""
    times = sorted(times)
    return max(sum(1 for t in times if start <= t < start + seconds) for start in times)


def held(city):
    """The queue ids on hold."""
    return [q["queue_id"] for q in city.postfix.queue() if q["queue_name"] == "hold"]
