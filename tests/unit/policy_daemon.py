"""A ledger with its journal, killed and begun anew, for the tests of the policy daemon."""

import os

from pointsman.policy import recall
from pointsman.policy.journal import Journal
from pointsman.policy.ledger import Ledger
from pointsman.policy.rules import Asked, Rules
from pointsman.rates.counters import Memory
from pointsman.routing.snapshot import Agency, Lane, Snapshot

EPOCH = 1_763_700_000.0
SNAPSHOT = Snapshot(
    revision=7,
    agencies={
        "a": Agency("a", any_client=True, rate="3/10 seconds"),
        "b": Agency("b", any_client=True, rate="5/minute; 4 recipients/10 seconds"),
        "free": Agency("free", any_client=True),
    },
    lanes={"c": Lane("c", "[h.test]:25", rate="6/minute"), "d": Lane("d", "[h.test]:25")},
    rates={"s@a.test": "2/20 seconds"},
)


def run(coroutine):
    """The result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


class Life:
    """One life of the daemon; `kill` ends it, and begins the next with what is on disk."""

    def __init__(self, folder, snapshot=SNAPSHOT):
        self.path = folder / "policy.journal"
        self.snapshot = snapshot
        self.ledger = None
        self.begin()

    def begin(self):
        """As serve.py does it."""
        self.ledger = Ledger(Journal(self.path), Memory())
        self.ledger.rules = Rules(self.snapshot)
        recall.replay(self.ledger, self.ledger.journal.read())
        self.ledger.journal.open(recall.state(self.ledger))

    def kill(self, torn=b""):
        """Nothing is said goodbye to; a last line may have been written by half."""
        self.end()
        with self.path.open("ab") as file:
            file.write(torn)
        self.begin()

    def end(self):
        """Close the file, as the kernel does."""
        os.close(self.ledger.journal._descriptor)

    def ask(self, asked, now):
        """One question, answered as server.py does it."""
        verdict = self.ledger.before(asked, now, now)
        if verdict is None:
            over = run(
                self.ledger.counters.charge(self.ledger.wanted(asked), asked.recipients, now)
            )
            verdict = self.ledger.after(asked, over, now)
        self.ledger.journal.flush()
        return verdict

    def send(self, queue_id, now, line=("a", "c", ""), recipients=1, **more):
        """A message of its own instance."""
        return self.ask(Asked(queue_id, f"i{queue_id}", line, recipients, **more), now)

    def due(self, now, room=20):
        """The ids that may go."""
        return [held.queue_id for held in run(self.ledger.due(room, now, now))]

    def used(self, now):
        """How full each window is."""
        names = ["agency a", "agency b", "connector c", "sender s@a.test"]
        rules, counters = self.ledger.rules, self.ledger.counters
        return {
            (name, str(use.window)): use.used
            for name in names
            for use in run(counters.use(name, rules.rate_of(name), now))
        }
