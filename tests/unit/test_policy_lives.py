"""Whatever happens in whatever order, kill -9 included: the promise holds, nothing is lost."""

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pointsman.policy.held import Held
from pointsman.policy.rules import Asked
from tests.unit.policy_daemon import EPOCH, Life, run

LINES = st.sampled_from(
    [("a", "c", ""), ("a", "c", "s@a.test"), ("b", "c", ""), ("b", "d", ""), ("free", "d", "")]
)
FATES = st.sampled_from(
    ["confirmed", "agent dies first", "agent dies before it says so", "said twice"]
)
TORN = st.sampled_from([b"", b"charge", b"charge 1763700000.000 1 Q1 a c", b"go 17", b"\xff\0"])


class Town(RuleBasedStateMachine):
    """Postfix, clients, an agent and an admin around a daemon that dies now and then."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.life = Life(Path(self.folder.name))
        self.now = EPOCH
        self.last = 0
        self.on_hold = {}  # what Postfix has: queue id, and how the message began
        self.left = []  # what has really gone: when, line, recipients
        self.confirmed = set()
        self.verdicts = {}  # since the last kill but one: that far back the journal goes
        self.lives = 0

    def teardown(self):
        self.drain()
        self.life.end()
        self.folder.cleanup()

    # What happens.

    @rule(line=LINES, recipients=st.integers(1, 3), exempt=st.sampled_from([False] * 5 + [True]))
    def send(self, line, recipients, exempt):
        """A client sends a message."""
        self.last += 1
        asked = Asked(f"Q{self.last:04}", f"i{self.last}", line, recipients, exempt)
        verdict = self.life.ask(asked, self.now)
        self.verdicts[asked.queue_id] = (asked, verdict.action, self.lives)
        if verdict.action == "DUNNO":
            self.leave(asked)
        else:
            assert verdict.action == "HOLD"
            self.on_hold[asked.queue_id] = (asked.queue_id, asked)

    @rule(number=st.integers(0, 3))
    def ask_again(self, number):
        """The answer was lost on the way: asked again, it is the same, and charged once."""
        for asked, action, _ in list(self.verdicts.values())[-1 - number :][:1]:
            used = self.life.used(self.now)
            again = replace(asked, instance="other")
            assert self.life.ask(again, self.now).action == action
            assert used == self.life.used(self.now)

    @rule(seconds=st.floats(0, 3) | st.sampled_from([0.0004, 5, 10, 20, 61]))
    def wait(self, seconds):
        """Time passes."""
        self.now += seconds

    @rule(room=st.integers(1, 5), fate=FATES, pause=st.sampled_from([0.0, 0.0, 11.0, 70.0]))
    def let_go(self, room, fate, pause):
        """The agent asks what is due, and lets it go; it or the answer may get lost."""
        due = self.life.due(self.now, room)
        assert len(set(due)) == len(due) <= room
        assert self.confirmed.isdisjoint(due)
        if fate == "agent dies first":
            return
        gone = [queue_id for queue_id in due if queue_id in self.on_hold]
        for queue_id in gone:
            self.leave(self.on_hold.pop(queue_id)[1])
        self.now += pause
        if fate == "agent dies before it says so":
            return
        for _ in range(2 if fate == "said twice" else 1):
            self.life.ledger.confirm(gone, self.now)
            run(self.life.ledger.absent([i for i in due if i not in gone], self.now))
        self.confirmed.update(gone)

    @rule(number=st.integers(0, 9))
    def requeue(self, number):
        """An admin requeues held mail: it is on hold again, under another id."""
        if self.on_hold:
            queue_id = list(self.on_hold)[number % len(self.on_hold)]
            self.last += 1
            self.on_hold[f"Q{self.last:04}"] = self.on_hold.pop(queue_id)

    @rule(number=st.integers(0, 9))
    def delete(self, number):
        """An admin deletes a message on hold."""
        if self.on_hold:
            del self.on_hold[list(self.on_hold)[number % len(self.on_hold)]]

    @rule()
    def look(self):
        """The agent tells what is on hold, and what of it is ours: nothing is forgotten."""
        for queue_id in self.life.ledger.compare(self.on_hold, self.now):
            original, asked = self.on_hold[queue_id]
            held = Held(queue_id, asked.line, asked.recipients, asked.exempt, self.now)
            assert self.life.ledger.adopt(original, held, self.now, ours=False)
        assert self.on_hold.keys() <= self.life.ledger.held.by_id.keys()

    @rule(number=st.integers(0, 9))
    def hold_by_hand(self, number):
        """What went, and an admin put on hold then, is theirs."""
        if self.confirmed:
            queue_id = sorted(self.confirmed)[number % len(self.confirmed)]
            assert queue_id in self.life.ledger.compare([*self.on_hold, queue_id], self.now)
            held = Held(queue_id, ("a", "c", ""), 1, False, self.now)
            assert not self.life.ledger.adopt(queue_id, held, self.now, ours=False)

    @rule(torn=TORN)
    def kill(self, torn):
        """Kill -9, and what is counted and held is the same as before."""
        before = (self.life.used(self.now), sorted(self.life.ledger.held.by_id))
        self.life.kill(torn)
        self.verdicts = {i: v for i, v in self.verdicts.items() if v[2] == self.lives}
        self.lives += 1
        used = self.life.used(self.now)
        assert all(used[name] >= count for name, count in before[0].items())
        assert before[1] == sorted(self.life.ledger.held.by_id)

    def leave(self, asked):
        """A message is on its way out, now."""
        if not asked.exempt:
            self.left.append((self.now, asked))

    # What holds.

    @invariant()
    def never_more_than_n(self):
        """In every window that ends with a message that left."""
        if not self.left:
            return
        end, _ = self.left[-1]
        rules = self.life.ledger.rules
        for name in ("agency a", "agency b", "connector c", "sender s@a.test"):
            for window in rules.rate_of(name):
                sent = [
                    asked.recipients if window.unit == "recipients" else 1
                    for at, asked in self.left
                    if at > end - window.seconds and name in dict(rules.wanted(asked.line))
                ]
                assert sum(sent) <= window.limit, (name, str(window), self.left)

    @invariant()
    def held_is_counted(self):
        """The number of held messages of each agency is right, for held_max."""
        held = self.life.ledger.held
        for agency in ("a", "b", "free"):
            assert held.count[agency] == sum(h.agency == agency for h in held.by_id.values())
        assert held.going.keys() <= held.by_id.keys()

    def drain(self):
        """All mail on hold goes in the end."""
        for _ in range(100):
            if not self.on_hold:
                break
            self.look()
            self.let_go(5, "confirmed", 0.0)
            self.never_more_than_n()
            self.now += 10
        assert not self.on_hold


TestTown = Town.TestCase
TestTown.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
