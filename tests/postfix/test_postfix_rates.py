"""Rates on a real Postfix: nobody leaves faster than agreed, and nothing is lost."""

import signal
import time

import pytest

from lab.instance import wait_until
from tests.postfix.town import (
    held,
    let_go,
    most_in_any,
    received,
    released,
    send_many,
    town,
    wait_for,
)


def subjects(city):
    """The subjects that arrived for agency a, in any order."""
    return sorted(r.subject for r in received(city))


def test_three_hundred_at_once():
    """60 leave at once, the rest at the rate, in order; B is not slowed, nothing is lost."""
    with town("60/10 seconds") as city:
        ids = send_many(city, 300)
        start = time.monotonic()
        delays = []
        while len(received(city)) < 300:
            assert time.monotonic() - start < 90
            begun = time.monotonic()
            subject = f"b{len(delays)}"
            assert city.send("x@b.test", "x@b.test", subject, login="b-app").code == 250
            city.arrived(subject)
            delays.append(time.monotonic() - begun)
        print(f"second agency: {max(delays):.2f} s at most, {len(delays)} messages")  # noqa: T201
        assert max(delays) < 2
        assert subjects(city) == sorted(f"m{n}" for n in range(300))
        assert most_in_any(let_go(city).values(), 10) <= 60
        # At the server some arrive late: the first had to wait for the others to be taken in.
        assert most_in_any([r.at for r in received(city)], 6) <= 60
        assert released(city) == ids[60:]
        city.postfix.wait_for_empty_queue()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_daemons_die_midway(number):
    """Policy and agent are killed and restarted, twice: the rate holds, nothing lost or twice."""
    with town("10/3 seconds") as city:
        send_many(city, 25)
        times = {}
        for after in (12, 22):
            wait_for(city, after, 40)
            for name in ("policy", "agent"):
                city.postfix.stop_daemon(name, number)
            times = let_go(city) | times
            for name in ("policy", "agent"):
                city.postfix.start_daemon(name)
        send_many(city, 15, prefix="n")
        wait_for(city, 40, 40)
        city.postfix.wait_for_empty_queue()
        assert subjects(city) == sorted([f"m{n}" for n in range(25)] + [f"n{n}" for n in range(15)])
        times = let_go(city) | times
        assert len(times) == 40
        assert most_in_any(times.values(), 3) <= 10


def test_postfix_is_reloaded_and_restarted_midway():
    """Held mail outlives both, in order."""
    with town("5/2 seconds") as city:
        ids = send_many(city, 20)
        wait_for(city, 6, 20)
        city.postfix.reload()
        wait_for(city, 11, 20)
        city.postfix.halt()
        city.postfix.start()
        wait_for(city, 20, 30)
        city.postfix.wait_for_empty_queue()
        assert subjects(city) == sorted(f"m{n}" for n in range(20))
        assert released(city) == ids[5:]


def test_requeued_by_hand_is_held_again():
    """`postsuper -r ALL` frees nothing: all of it is on hold again, and leaves at the rate."""
    with town("5/2 seconds") as city:
        ids = send_many(city, 25)
        wait_for(city, 6, 20)
        city.postfix.postfix("postsuper", "-r", "ALL", "hold")
        wait_for(city, 25, 40)
        city.postfix.wait_for_empty_queue()
        assert subjects(city) == sorted(f"m{n}" for n in range(25))
        assert most_in_any(let_go(city).values(), 2) <= 5
        assert not set(released(city)) <= set(ids), "some left under new ids"
        # The header that brought it back to hold is not for the world.
        assert all(b"X-Pointsman" not in r.data for r in received(city))


def test_released_by_hand_goes_at_once():
    """`postsuper -H ALL` is the admin's word: all of it leaves, once, and new mail is counted."""
    with town("5/1 hour") as city:
        send_many(city, 12)
        wait_for(city, 5, 20)
        city.postfix.postfix("postsuper", "-H", "ALL")
        city.postfix.postfix("postqueue", "-f")
        wait_for(city, 12, 20)
        assert subjects(city) == sorted(f"m{n}" for n in range(12))
        late = city.send("clerk@a.test", "clerk@a.test", "late")
        wait_until(lambda: held(city) == [late.queue_id], "new mail to be held")


def test_half_of_it_deleted_by_hand():
    """The rest leaves at the rate; the deleted ones cost nothing."""
    with town("5/2 seconds") as city:
        ids = send_many(city, 25)
        wait_for(city, 5, 20)
        doomed = set(ids[5::2]) & set(held(city))
        city.postfix.postfix("postsuper", "-d", "-", stdin="\n".join(doomed))
        wait_for(city, 25 - len(doomed), 40)
        city.postfix.wait_for_empty_queue()
        arrived = {f"m{n}" for n, i in enumerate(ids) if i not in doomed}
        assert set(subjects(city)) == arrived


def test_mail_that_the_admin_holds_is_theirs():
    """What somebody put on hold for a reason of their own is never let go by us."""
    with town("5/1 second") as city:
        city.hops["shared"].answer = lambda _envelope: "451 4.0.0 later"
        reply = city.send("clerk@a.test", "clerk@a.test", "suspect")
        city.postfix.wait_for_log(rf"{reply.queue_id}: .*status=deferred")
        city.postfix.postfix("postsuper", "-h", reply.queue_id)
        city.hops["shared"].answer = None
        send_many(city, 12)
        wait_for(city, 12, 20)
        assert held(city) == [reply.queue_id]


def test_mail_older_than_half_the_lifetime_is_renewed():
    """Held mail is requeued before it goes: its first deferral must not bounce it."""
    settings = {"maximal_queue_lifetime": "4s", "bounce_queue_lifetime": "4s"}
    with town("1/8 seconds", parameters=settings) as city:
        send_many(city, 2)
        wait_for(city, 1, 10)
        city.hops["shared"].answer = lambda _envelope: "451 4.0.0 later"
        city.postfix.wait_for_log("way=released", timeout=30)
        city.postfix.wait_for_log(r"pm-a/smtp.*status=deferred", timeout=30)
        assert "expired" not in city.postfix.log()
        city.hops["shared"].answer = None
        city.postfix.postfix("postqueue", "-f")
        wait_for(city, 2, 20)
