"""One agency's backlog is its own: a slow server does not stop the others."""

import time

from lab.instance import wait_until
from tests.postfix.town import held, received, send_many, town

SLOW = 2.0  # seconds that the slow server takes for one message
COUNT = 5_000


def test_slow_server_does_not_fill_the_queue():
    """5,000 messages for a slow server, 500 places in the active queue: B's mail takes under 2 s.

    Without a bound on the lane, B waited 38 s behind 600 messages.
    """
    with town("unlimited") as city:
        limits = ("qmgr_message_active_limit", "qmgr_message_recipient_limit")
        city.postfix.set(**dict.fromkeys(limits, "500"))
        run = city.postfix.cli
        run("connector", "add", "tax", *city.connector_options("tax", "tax"))
        run("sender", "link", "@t.test", "--agency", "b", "--connector", "tax")
        run("connector", "enable", "tax")
        city.cli("connector", "set", "a", "--backlog", "200", "--untested")
        city.hops["shared"].delay = SLOW
        delays = []
        for part in range(10):
            send_many(city, COUNT // 10, prefix=f"p{part}-")
            begun = time.monotonic()
            reply = city.send("x@t.test", "x@t.test", f"b{part}", login="b-app")
            city.arrived(f"b{part}")
            delays.append(time.monotonic() - begun)
            assert reply.code == 250
        print(f"second agency: {max(delays):.2f} s at most")  # noqa: T201
        assert max(delays) < 2
        assert len(held(city)) > COUNT - 600
        city.hops["shared"].delay = 0.0
        before = len(received(city))
        wait_until(lambda: len(received(city)) > before + 400, "held mail to follow", 60)
