"""Counters in a real Redis: the same promise as in memory, by one script's say."""

import asyncio
from contextlib import asynccontextmanager, suppress
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.rates.counters import CountersError
from pointsman.rates.rate import Window, parse_rate
from pointsman.rates.shared import AWAY, SLACK, TIMEOUT, Shared
from pointsman.rates.windows import NEVER

NOW = 1_763_700_000.0
LONG = 10 * SLACK  # seconds of a window in which nothing expires while a test runs
UNITS = st.sampled_from(["messages", "recipients"])
RATES = st.lists(
    st.builds(Window, st.integers(1, 6), st.sampled_from([3600, 86400]), UNITS),
    min_size=1,
    max_size=3,
    unique_by=lambda w: (w.seconds, w.unit),
).map(tuple)
COUNTERS = st.fixed_dictionaries({"agency a": RATES, "sender s": RATES})
SENDS = st.lists(
    st.tuples(st.sets(st.sampled_from(["agency a", "sender s"]), min_size=1), st.integers(1, 4)),
    min_size=5,
    max_size=25,
)


@asynccontextmanager
async def counters(server):
    """Counters that are closed in the end."""
    shared = Shared(server.url)
    try:
        yield shared
    finally:
        await shared.pipeline.close()


@pytest.fixture
def redis(redis_server):
    """An empty Redis."""
    if redis_server.process is None:
        redis_server.start()
    redis_server.do("FLUSHALL")
    return redis_server


def run(server, work):
    """What `work` does with counters of its own."""

    async def with_counters():
        async with counters(server) as shared:
            return await work(shared)

    return asyncio.run(with_counters())


def amount_of(window, recipients):
    """What a message counts in a window."""
    return recipients if window.unit == "recipients" else 1


async def used(shared, rates):
    """How full each window is."""
    return {
        (key, use.window): use.used
        for key, rate in rates.items()
        for use in await shared.use(key, rate, NOW)
    }


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rates=COUNTERS, sends=SENDS, backs=st.lists(st.integers(0, 30), max_size=5))
def test_all_windows_or_none(redis, rates, sends, backs):
    """Never more than N; a refused message changes nothing, one taken back counts nowhere."""
    redis.do("FLUSHALL")

    async def work(shared):
        counted = {(key, w): 0 for key, rate in rates.items() for w in rate}
        accepted = []
        for keys, recipients in sends:
            wanted = [(key, rates[key]) for key in sorted(keys)]
            over = await shared.charge(wanted, recipients, NOW)
            places = [(key, window) for key, rate in wanted for window in rate]
            fits = all(counted[p] + amount_of(p[1], recipients) <= p[1].limit for p in places)
            assert fits == (over is None)
            if over is None:
                accepted.append((wanted, recipients))
                for place in places:
                    counted[place] += amount_of(place[1], recipients)
            else:
                assert counted[over.key, over.window] <= over.window.limit
                never = amount_of(over.window, recipients) > over.window.limit
                assert never == (over.free_at == NEVER)
        assert counted == await used(shared, rates)
        for number in backs:
            if accepted:
                wanted, recipients = accepted.pop(number % len(accepted))
                await shared.take_back(wanted, recipients, NOW, NOW)
                for key, rate in wanted:
                    for window in rate:
                        counted[key, window] -= amount_of(window, recipients)
        assert counted == await used(shared, rates)

    run(redis, work)


def test_room_comes_when_it_was_said(redis):
    """A second's window is free again at the moment that was named, and not before."""
    wanted = [("a", parse_rate("2/second"))]

    async def work(shared):
        start = monotonic()
        assert await shared.charge(wanted, 1, NOW) is None
        assert await shared.charge(wanted, 1, NOW) is None
        over = await shared.charge(wanted, 1, NOW)
        wait = over.free_at - NOW
        assert 0 < wait <= 1.01
        while await shared.charge(wanted, 1, NOW) is not None:
            assert monotonic() - start < 20
        assert monotonic() - start >= 1

    run(redis, work)


def test_amount_taken_back_is_not_taken_from_a_later_message(redis):
    """What was charged long ago may be out of its window: it makes no room for another."""
    wanted = [("a", (Window(2, int(LONG)),))]

    async def work(shared):
        assert await shared.charge(wanted, 1, NOW) is None
        await shared.take_back(wanted, 1, NOW - LONG, NOW)
        assert (await shared.use(*wanted[0], NOW))[0].used == 1
        await shared.take_back(wanted, 1, NOW, NOW + 1)
        assert (await shared.use(*wanted[0], NOW))[0].used == 0
        await shared.take_back(wanted, 1, NOW, NOW + 1)
        assert (await shared.use(*wanted[0], NOW))[0].used == 0

    run(redis, work)


def test_taking_back_leaves_the_newer_charge(redis):
    """The older of two goes, so that the newer one is counted to its end."""
    wanted = [("a", (Window(2, 10),))]

    async def work(shared):
        await shared.charge(wanted, 1, NOW)
        await asyncio.sleep(0.1)
        await shared.charge(wanted, 1, NOW + 0.1)
        await shared.take_back(wanted, 1, NOW, NOW + 0.2)

    run(redis, work)
    steps = redis.do("LRANGE", "pointsman:1:a:10:messages", 0, -1)
    assert [step.split()[1] for step in steps] == ["0", "1"]


def test_keys_end_with_their_windows(redis):
    """Nothing stays for ever, not even after a look at a window that is over."""
    rate = parse_rate("2/second; 5/minute")

    async def work(shared):
        await shared.charge([("a", rate)], 1, NOW)
        await asyncio.sleep(1.1)
        await shared.use("a", rate, NOW)

    run(redis, work)
    keys = redis.do("KEYS", "*")
    assert {key: redis.do("TTL", key) > 0 for key in keys} == dict.fromkeys(keys, True)


@pytest.mark.parametrize("command", [("SCRIPT", "FLUSH"), ("FLUSHALL",)])
def test_flush_is_harmless(redis, command):
    """Scripts are loaded again; an empty server counts from nothing."""
    wanted = [("a", parse_rate("2/hour"))]

    async def work(shared):
        await shared.charge(wanted, 1, NOW)
        redis.do(*command)
        assert await shared.charge(wanted, 1, NOW) is None
        redis.do(*command)
        await shared.take_back(wanted, 1, NOW, NOW)
        redis.do(*command)
        return (await shared.use(*wanted[0], NOW))[0].used

    assert run(redis, work) == (0 if command == ("FLUSHALL",) else 1)


@pytest.mark.parametrize("before", [(), ("SCRIPT", "FLUSH"), ("CLIENT", "KILL", "TYPE", "normal")])
def test_charges_that_wait_together_are_each_answered(redis, before):
    """In one go, each with its own verdict; a lost script or connection is nobody's fault."""
    small, large = [("small", parse_rate("3/hour"))], [("large", parse_rate("90/hour"))]

    async def work(shared):
        await shared.use(*small[0], NOW)
        if before:
            redis.do(*before)
        charges = [shared.charge(wanted, 1, NOW) for wanted in [small, large] * 50]
        return await asyncio.gather(*charges)

    found = run(redis, work)
    assert [over is None for over in found[::2]] == [True] * 3 + [False] * 47
    assert {over.key for over in found[::2] if over} == {"small"}
    assert found[1::2] == [None] * 50


def test_server_that_is_away(redis):
    """CountersError at once for a second, then a new attempt; take_back as well recovers."""
    wanted = [("a", parse_rate("2/hour"))]

    async def work(shared):
        await shared.charge(wanted, 1, NOW)
        redis.kill()
        with pytest.raises(CountersError):
            await shared.charge(wanted, 1, NOW + 10)
        redis.start()
        with pytest.raises(CountersError, match="a moment ago"):
            await shared.charge(wanted, 1, NOW + 10 + AWAY / 2)
        later = NOW + 10 + 2 * AWAY
        await shared.take_back(wanted, 1, NOW, later)
        assert await shared.charge(wanted, 1, later) is None

    run(redis, work)


def test_server_that_hangs(redis):
    """It is waited for no longer than the timeout."""

    async def work(shared):
        await shared.use("a", parse_rate("2/hour"), NOW)
        redis.do("CLIENT", "PAUSE", "3000")
        start = monotonic()
        with pytest.raises(CountersError):
            await shared.charge([("a", parse_rate("2/hour"))], 1, NOW)
        return monotonic() - start

    assert run(redis, work) < TIMEOUT + 2
    with suppress(Exception):
        redis.do("CLIENT", "UNPAUSE")
