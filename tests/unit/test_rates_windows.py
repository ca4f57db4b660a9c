"""Moving windows: whatever is sent and whatever the clock does, never more than N."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.rates.counted import STEPS, Counted
from pointsman.rates.rate import Window
from pointsman.rates.windows import NEVER, Windows

EPOCH = 1_763_700_000.0
TINY = 1e-6  # seconds: clocks of our days have no finer floats

LENGTHS = st.sampled_from([1, 7, 60, 3600])
UNITS = st.sampled_from(["messages", "recipients"])
RATES = st.lists(
    st.builds(Window, st.integers(1, 6), LENGTHS, UNITS),
    min_size=1,
    max_size=3,
    unique_by=lambda w: (w.seconds, w.unit),
).map(tuple)
COUNTERS = st.fixed_dictionaries({"agency a": RATES, "connector c": RATES, "sender s": RATES})
JUMPS = (
    st.just(0.0)
    | st.floats(0, 2)
    | st.floats(-100, 4000)
    | st.sampled_from([0.001, 0.06, 1, 7, 60, 3600, -3600])
)
SENDS = st.tuples(
    st.just("send"), st.sets(st.sampled_from(["agency a", "connector c", "sender s"]), min_size=1),
    st.integers(1, 4),
)  # fmt: skip
EVENTS = st.lists(
    SENDS
    | st.tuples(st.just("clock"), JUMPS)
    | st.tuples(st.just("back"), st.integers(0, 50))
    | st.tuples(st.just("restart")),
    min_size=10,
    max_size=60,
)


@dataclass
class Model:
    """What was accepted, message by message, beside the windows under test."""

    rates: dict
    windows: Windows = field(default_factory=Windows)
    clock: float = EPOCH
    time: float = EPOCH  # which never goes back
    counted: dict = field(default_factory=dict)  # window: list of [time, amount]
    sent: list = field(default_factory=list)

    def every(self):
        """Each counter with each of its windows."""
        return [(key, window) for key, rate in self.rates.items() for window in rate]

    def used(self):
        """What each window says it holds."""
        return {
            (key, use.window): use.used
            for key, rate in self.rates.items()
            for use in self.windows.use(key, rate, self.clock)
        }

    def within(self, place, seconds):
        """The sum of what was accepted in the last seconds."""
        return sum(n for at, n in self.counted.get(place, []) if at > self.time - seconds)

    def send(self, keys, recipients):
        """Charge a message; note it, or see that nothing has changed."""
        wanted = [(key, self.rates[key]) for key in sorted(keys)]
        before = self.used()
        over = self.windows.charge(wanted, recipients, self.clock)
        if over is not None:
            assert before == self.used()
            amount = recipients if over.window.unit == "recipients" else 1
            assert before[over.key, over.window] + amount > over.window.limit
            return
        self.sent.append((wanted, recipients, self.time))
        for key, rate in wanted:
            for window in rate:
                amount = recipients if window.unit == "recipients" else 1
                self.counted.setdefault((key, window), []).append([self.time, amount])

    def move(self, seconds):
        """Step the clock."""
        self.clock += seconds
        self.time = max(self.time, self.clock)

    def take_back(self, number):
        """Return one charge, where it is still within its window."""
        if not self.sent:
            return
        wanted, recipients, at = self.sent.pop(number % len(self.sent))
        self.windows.take_back(wanted, recipients, at)
        for key, rate in wanted:
            for window in rate:
                amount = recipients if window.unit == "recipients" else 1
                if at > self.time - window.seconds:
                    self.counted[key, window].remove([at, amount])

    def restart(self):
        """What was dumped is all that the next daemon knows; its clock is not behind."""
        kept = [(at, c.key, c.seconds, c.unit, c.pack()) for at, c in self.windows.dump()]
        self.windows = Windows()
        for at, key, seconds, unit, steps in kept:
            counted = Counted(key, seconds, unit)
            counted.unpack(steps)
            self.windows.restore(at, counted)
        self.clock = self.time

    def check(self):
        """No window has more than its limit, and each accepted message is in it once."""
        for place, used in self.used().items():
            _, window = place
            least = self.within(place, window.seconds)
            most = self.within(place, window.seconds + window.seconds / STEPS + TINY)
            assert least <= window.limit
            assert least <= used <= most


@settings(max_examples=200)
@given(COUNTERS, EVENTS)
def test_never_more_than_n_in_any_window(rates, events):
    """Any sends, clock steps, take-backs and restarts: the promise holds, and all is counted once.

    A refused message changes nothing; a message that is taken back is as if never sent.
    """
    model = Model(rates)
    model.check()
    does = {
        "send": model.send,
        "clock": model.move,
        "back": model.take_back,
        "restart": model.restart,
    }
    for name, *arguments in events:
        does[name](*arguments)
        model.check()


@given(
    st.integers(1, 5), LENGTHS, UNITS, st.lists(st.floats(0, 5000), min_size=1), st.integers(1, 5)
)
def test_free_at_is_when_there_is_room(limit, seconds, unit, pauses, recipients):
    """At that moment the message is let through, a step earlier it is not."""
    window = Window(limit, seconds, unit)
    wanted = [("a", (window,))]
    amount = recipients if unit == "recipients" else 1
    windows, now = Windows(), EPOCH
    for pause in pauses:
        now += pause % (seconds / 2)
        over = windows.charge(wanted, recipients, now)
        if over is not None:
            break
    else:
        return
    if amount > limit:
        assert over.free_at == NEVER
        return
    assert now < over.free_at <= now + seconds + seconds / STEPS
    early = over.free_at - seconds / STEPS
    if early > now:
        assert windows.charge(wanted, recipients, early) is not None
    assert windows.charge(wanted, recipients, over.free_at + TINY) is None


@given(st.integers(2, 100), st.integers(1, 100))
def test_changed_limit_never_leaves_less_than_nothing(old, new):
    """Lowered below what was sent, nothing is left; raised, the rest may go."""
    windows = Windows()
    for _ in range(old):
        assert windows.charge([("a", (Window(old, 60),))], 1, EPOCH) is None
    (use,) = windows.use("a", (Window(new, 60),), EPOCH)
    assert (use.used, use.left) == (old, max(new - old, 0))
    refused = windows.charge([("a", (Window(new, 60),))], 1, EPOCH) is not None
    assert refused == (new <= old)


@given(st.permutations([1, 60, 3600, 86400]), UNITS, st.data())
def test_new_window_knows_what_the_others_remember(lengths, unit, data):
    """However often a rate's window is changed, and back, no message is forgotten."""
    windows, now, sent = Windows(), EPOCH, []
    for seconds in [*lengths, *lengths]:
        wanted = [("a", (Window(1000, seconds, unit),))]
        for _ in range(data.draw(st.integers(0, 3))):
            now += data.draw(st.floats(0, 0.4))  # a second old is out of the shortest
            assert windows.charge(wanted, 2, now) is None
            sent.append(now)
        (use,) = windows.use("a", wanted[0][1], now)
        seen = [s for s in (86400, 3600, 60, 1) if s in lengths[: lengths.index(seconds) + 1]]
        if seen[0] >= seconds:
            amount = 2 if unit == "recipients" else 1
            assert use.used >= amount * sum(at > now - min(seconds, seen[0]) for at in sent)


def test_lengthened_window_remembers_what_the_short_one_did():
    """A limit for an hour that takes the place of one for a minute begins with that minute."""
    windows = Windows()
    for _ in range(5):
        windows.charge([("a", (Window(5, 60),))], 1, EPOCH)
    over = windows.charge([("a", (Window(5, 3600),))], 1, EPOCH + 1)
    assert over.window == Window(5, 3600)
    assert EPOCH + 3600 <= over.free_at <= EPOCH + 3610


def test_window_that_a_rate_had_before_is_kept_up_to_date():
    """A minute's limit that comes back knows what went under the hour's."""
    windows = Windows()
    minute, hour = ([("a", (Window(10, 60),))], [("a", (Window(100, 3600),))])
    windows.charge(minute, 1, EPOCH)
    for _ in range(99):
        assert windows.charge(hour, 1, EPOCH + 1) is None
    assert windows.charge(minute, 1, EPOCH + 2) is not None


def test_charge_that_is_out_of_its_window_is_not_taken_from_another():
    """Held mail that nobody took away for longer than the window makes no room for more."""
    windows, wanted = Windows(), [("a", (Window(5, 60),))]
    windows.charge(wanted, 1, EPOCH)
    for _ in range(5):
        assert windows.charge(wanted, 1, EPOCH + 62) is None
    windows.take_back(wanted, 1, EPOCH)
    assert windows.charge(wanted, 1, EPOCH + 70) is not None


def test_memory_is_bounded_by_steps():
    """A window of any limit remembers about a thousand steps, however much is sent."""
    windows, wanted = Windows(), [("a", (Window(10**9, 10),))]
    for number in range(20_000):
        assert windows.charge(wanted, 1, EPOCH + number / 1000) is None
    (counted,) = windows._counted["a"].values()
    assert len(counted._ends) <= 2 * (STEPS + 1), "also while nobody looks at it"
    (use,) = windows.use("a", wanted[0][1], EPOCH + 20)
    steps = list(counted.steps)
    assert len(steps) <= STEPS + 1
    assert use.used == sum(amount for _, amount in steps)


def test_counter_that_nobody_uses_is_forgotten():
    """After its longest window nothing of it is kept."""
    windows = Windows()
    windows.charge([("a", (Window(5, 60), Window(9, 3600)))], 1, EPOCH)
    windows.forget(EPOCH + 3599, 10)
    assert list(windows._counted) == ["a"]
    windows.forget(EPOCH + 3604, 10)
    assert windows._counted == {}


def test_full_and_nearly_full_windows_are_told():
    """From 80 % of a limit on, each charge says how full the window is."""
    windows, window = Windows(), Window(5, 60)
    for number in range(5):
        windows.charge([("a", (window,))], 1, EPOCH)
        assert [near.used for near in windows.near] == list(range(4, number + 2))


def test_message_that_never_fits_is_told_apart():
    """More recipients than a window may ever have: there is no time to wait for."""
    over = Windows().charge([("a", (Window(5, 60, "recipients"),))], 6, EPOCH)
    assert over.free_at == NEVER
