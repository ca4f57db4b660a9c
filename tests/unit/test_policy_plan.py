"""A plan spares work and changes nothing: two daemons, one without plans, do the same."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman import logs
from pointsman.policy import plan
from pointsman.policy.journal import Journal
from pointsman.policy.ledger import Ledger
from pointsman.policy.protocol import _ATTRIBUTES, ProtocolError, Requests
from pointsman.policy.rules import Rules
from pointsman.policy.server import Desk
from pointsman.rates.counters import Memory
from pointsman.routing.snapshot import (
    Agency,
    Diversion,
    Lane,
    Link,
    Pause,
    Snapshot,
    Surroundings,
)
from tests.unit.policy_daemon import EPOCH, run

PLAIN = Snapshot(
    revision=1,
    agencies={
        "a": Agency("a", frozenset({"app"}), rate="3/10 seconds; 9 recipients/minute"),
        "b": Agency("b", any_client=True, rate="4/minute", over_limit="defer", exempt=False),
        "free": Agency("free", any_client=True),
    },
    lanes={"c": Lane("c", "[h.test]:25", rate="6/minute", backlog=2), "d": Lane("d", "[h.test]")},
    links={"clerk@a.test": Link("a", "c"), "@b.test": Link("b", "c"), "@f.test": Link("free", "d")},
    rates={"clerk@a.test": "2/20 seconds"},
    around=Surroundings(myorigin="mx.test", hosted=frozenset({"town.test"})),
)
ANOTHER = replace(
    PLAIN,
    revision=2,
    agencies=PLAIN.agencies | {"a": Agency("a", any_client=True, rate="5/minute")},
    lanes=PLAIN.lanes | {"c": replace(PLAIN.lanes["c"], rate="unlimited")},
    rates={},
)
PAUSED = replace(PLAIN, revision=3, pauses={"agency b": Pause("me", "now", EPOCH * 9, "audit")})
DIVERTED = replace(PLAIN, revision=4, diversions={"d": Diversion("c", "me", "now", 0.0, "down")})
SNAPSHOTS = {str(s.revision): s for s in (PLAIN, ANOTHER, PAUSED, DIVERTED)}

NUMBERS = st.sampled_from(["1", "1", "2", "9", "10", "0", "", "x", "12345678"])
IDS = st.builds("4Q{}".format, st.integers(0, 40)) | st.sampled_from(["", "Q 1", "Q\0", "x" * 65])
DIRECT = st.fixed_dictionaries(
    {
        "sender": st.sampled_from(
            ["clerk@a.test", "boss@b.test", "x@f.test", "", "postmaster@b.test", "y@else.test"]
        ),
        "sasl_username": st.sampled_from(["app", "app", "other"]),
        "client_address": st.just("192.0.2.9"),
        "recipient": st.sampled_from(["", "x@else.test", "x@town.test", "X@Town.test"]),
    }
)
MILTERS = st.fixed_dictionaries(
    {
        "agency": st.sampled_from(["a", "b", "free", "gone", ""]),
        "connector": st.sampled_from(["c", "d", "postfix"]),
        "counter": st.sampled_from(["", "clerk@a.test"]),
        "revision": st.sampled_from(["1", "2", "9", "x"]),
    },
    optional={"exempt": st.just("yes")},
)
NAMES = st.fixed_dictionaries({"queue_id": IDS, "instance": IDS, "recipient_count": NUMBERS})
REQUESTS = st.builds(
    lambda who, names: {
        "request": "smtpd_access_policy",
        "protocol_state": "END-OF-MESSAGE",
        **who,
        **names,
    },
    DIRECT | MILTERS,
    NAMES,
)
STEPS = st.one_of(
    REQUESTS,
    REQUESTS,
    REQUESTS,
    st.tuples(st.just("wait"), st.sampled_from([0.01, 3.0, 10.0, 61.0, -5.0])),
    st.tuples(st.just("apply"), st.sampled_from(list(SNAPSHOTS))),
    st.tuples(st.sampled_from(["agent", "left", "due", "gone", "forget"]), st.none()),
)


MILTERS_ORDER = ("request", "protocol_state", "queue_id", "instance", "recipient_count")


def written(request):
    """The bytes of a request, as Postfix or our milter would send it."""
    names = MILTERS_ORDER if "agency" in request else _ATTRIBUTES
    lines = {name: request.get(name, "") for name in names} | request
    return "".join(f"{name}={value}\n" for name, value in lines.items()).encode() + b"\n"


def remembered(windows):
    """What its counters hold, to be compared."""
    return [(at, c.key, c.seconds, c.unit, list(c.steps)) for at, c in windows.dump()]


class Daemon:
    """One of the two, with a clock of the test's own."""

    def __init__(self, folder, *, plans=True):
        self.time = EPOCH
        self.plans = plans
        self.journal = Journal(folder / "journal")
        self.journal.begin([])
        self.journal.clock = SimpleNamespace(now=lambda: self.time)
        self.ledger = Ledger(self.journal, Memory())
        self.ledger.rules = Rules(PLAIN)
        self.current = SimpleNamespace(snapshot=PLAIN, refresh=lambda: None)
        self.desk = Desk(self.ledger, self.current, "defer")
        self.desk.outbox._loop = SimpleNamespace(call_soon=lambda _send: None)

    def do(self, step):
        """Take one step, and return all that can be seen of it."""
        answer = self.ask(written(step)) if isinstance(step, dict) else self._happen(*step)
        log = [line.partition("]: ")[2] for line in logs._sinks[0]._lines]
        logs._sinks[0]._lines.clear()
        self.desk.outbox.send()
        tally, windows = self.ledger.tally, self.ledger.counters.windows
        # A copy, as what is compared must not change with the next step.
        seen = [answer, log, tally._slices, tally.warnings, remembered(windows)]
        names = list(self.ledger.answered.names())
        return repr((*seen, names, self.ledger.backlog.count, list(self.ledger.held.by_id)))

    def ask(self, data):
        """The answer, by a plan if there is one."""
        at_once = self.desk.answer_at_once(data) if self.plans else None
        if at_once is not None:
            return at_once
        try:
            (request,) = Requests().feed(data)
        except ProtocolError:
            return None
        return self.desk.answer(request)

    def _happen(self, what, value):
        backlog = self.ledger.backlog
        if what == "wait":
            self.time += value
        elif what == "apply":
            self.current.snapshot = SNAPSHOTS[value]
        elif what == "agent":
            backlog.learn({"X1": "c"}, self.time)
        elif what == "left":
            backlog.prune([], self.time + 9)
        elif what == "forget":
            self.ledger.counters.windows.forget(self.time, 3)
        elif what == "due":
            return [held.queue_id for held in run(self.ledger.due(5, self.time, self.time))]
        else:
            self.ledger.confirm(list(self.ledger.held.going), self.time)
        return None

    def end(self):
        """What the next life would read, behind the clock of this one."""
        os.close(self.journal._descriptor)
        return self.journal.path.read_text().partition("\n")[2]


@pytest.fixture(autouse=True)
def log_of_nobody(monkeypatch):
    """Log lines are looked at before they are written."""
    monkeypatch.setattr(logs, "_sinks", [])
    logs.start("test", "/dev/null")


@given(st.lists(STEPS, max_size=60))
def test_with_plans_and_without_them_all_is_the_same(steps):
    """Answers, journal, log, usage, warnings, windows, held mail: through any sequence."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        fast, slow = Daemon(Path(one)), Daemon(Path(other), plans=False)
        for step in steps:
            assert fast.do(step) == slow.do(step)
        assert fast.end() == slow.end()


def direct(number, **more):
    """A request of Postfix's own, of a message that may go."""
    names = {"queue_id": f"4Q{number}", "instance": f"1.{number}", "recipient_count": "1"}
    who = {"sender": "x@f.test", "sasl_username": "app", "client_address": "192.0.2.9"}
    start = {"request": "smtpd_access_policy", "protocol_state": "END-OF-MESSAGE"}
    return written(start | names | (more if "agency" in more else who | more))


@pytest.fixture
def daemon(tmp_path):
    """The one with plans."""
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.end()


FREE = {"agency": "free", "connector": "d", "counter": "", "revision": "1"}


@pytest.mark.parametrize("more", [{}, {"recipient": "x@else.test"}, FREE])
def test_what_may_go_needs_no_more_than_its_plan(daemon, more, monkeypatch):
    """By Postfix itself or by the milter, with an agent at work: the ledger decides nothing."""
    daemon.do(("agent", None))
    monkeypatch.setattr(daemon.ledger, "before", None)
    assert daemon.ask(direct(1, **more)) == b"action=DUNNO\n\n"
    assert daemon.ledger.tally._slices


def test_mail_that_no_window_counts_moves_no_clock(tmp_path):
    """After a step back the next charge stands at the same time, with plans or without."""
    seen = []
    for plans in (True, False):
        (tmp_path / str(plans)).mkdir()
        daemon = Daemon(tmp_path / str(plans), plans=plans)
        daemon.ask(direct(1))
        daemon.do(("wait", -5.0))
        daemon.ask(direct(2, sender="clerk@a.test"))
        seen.append(remembered(daemon.ledger.counters.windows))
        daemon.end()
    assert seen[0] == seen[1]


def test_plans_end_with_their_revision(daemon):
    """The next message already goes by the new rates."""
    assert daemon.ask(direct(1)) == b"action=DUNNO\n\n"
    agencies = PLAIN.agencies | {"free": Agency("free", any_client=True, rate="1/minute")}
    daemon.current.snapshot = replace(PLAIN, agencies=agencies)
    answers = [daemon.ask(direct(number)) for number in (2, 3)]
    assert [answer.split()[0] for answer in answers] == [b"action=DUNNO", b"action=HOLD"]


def test_plans_are_bounded(daemon, monkeypatch):
    """Whatever senders a client thinks of."""
    monkeypatch.setattr(plan, "_MOST", 3)
    for number in range(9):
        daemon.ask(direct(number, sender=f"x{number}@f.test"))
    assert len(daemon.desk._plans._known) <= 3
