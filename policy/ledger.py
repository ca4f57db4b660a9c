"""Decides about each message and remembers it: charges, held mail, what was answered.

`before` and `after` are the two halves of one decision: between them the counters are
charged, at once in memory, or with an answer that Redis gives a moment later.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from pointsman import logs
from pointsman.policy.backlog import Backlog
from pointsman.policy.held import Held, HeldMail
from pointsman.policy.journal import Journal, charge_line, hold_line, is_id
from pointsman.policy.rules import Asked, Line, Rules
from pointsman.policy.tally import Tally
from pointsman.policy.verdict import GO, Answered, Verdict
from pointsman.rates.counters import Counters, CountersError
from pointsman.rates.windows import NEVER, Over, Wanted
from pointsman.routing.snapshot import Snapshot

MOST_GONE = 100_000  # released messages that are remembered, to tell our holds from an admin's


class Ledger:
    """All that one policy daemon knows about its messages."""

    def __init__(self, journal: Journal, counters: Counters) -> None:
        self.journal = journal
        self.counters = counters
        self.rules = Rules(Snapshot())
        self.held = HeldMail()
        self.backlog = Backlog()
        self.tally = Tally()
        self.gone: OrderedDict[str, None] = OrderedDict()
        self.answered = Answered()

    # -- one message

    def before(self, asked: Asked, now: float, wall: float) -> Verdict | None:
        """The verdict, if it needs no counter; `wall` is the time that pauses go by."""
        known = self.answered.get(asked.name)
        if known is not None:
            return known
        if self.rules.snapshot.pauses or self.backlog.watched:
            stop = self._stop(asked.line, wall)
            if stop is not None:
                return self._hold(asked, now, *stop)
        over = self._never(asked)
        if over is not None:
            return self.after(asked, over, now)
        if not self.held.by_id or asked.exempt:
            return None
        ahead = self.held.behind(asked.line, self._counters(asked.line))
        return self._wait_behind(asked, now, ahead) if ahead else None

    def _never(self, asked: Asked) -> Over | None:
        """A window that is too small for the message even when it is empty."""
        if asked.recipients == 1:
            return None
        for key, rate in self.wanted(asked):
            for window in rate:
                if window.unit == "recipients" and asked.recipients > window.limit:
                    return Over(key, window, NEVER)
        return None

    def _wait_behind(self, asked: Asked, now: float, ahead: str) -> Verdict:
        """Older mail waits. What others of a connector wait for is a limit like any other."""
        wish = self.rules.agency(asked.agency).over_limit
        if wish != "delay" and ahead.startswith("connector "):
            return self._beyond(asked, now, ahead, f"mail waits for the rate of {ahead}")
        return self._hold(asked, now, ahead, "older mail waits")

    def _stop(self, line: Line, wall: float) -> tuple[str, str] | None:
        """What holds mail whatever its rate: a pause, or a lane with all it can take."""
        agency, connector, _ = line
        paused = self.rules.snapshot.pause(agency, connector, wall)
        if paused is not None:
            return paused[0], f"{paused[0]} is {paused[1]}"
        most = self.rules.backlog(connector)
        if self.backlog.watched and self.backlog.full(self.rules.sharing(connector), most):
            lane = self.rules.snapshot.taken(connector)
            return f"lane {lane}", f"lane pm-{lane} has {most} messages to send"
        return None

    def wanted(self, asked: Asked) -> Wanted:
        """The counters that a message falls under."""
        return () if asked.exempt else self.rules.wanted(asked.line)

    def after(self, asked: Asked, over: Over | None, now: float) -> Verdict:
        """The verdict, now that the counters have been charged, or had no room."""
        if over is None:
            self.note_near(now)
            self.backlog.add(asked.queue_id, asked.line, now)
            self.journal.add(charge_line(asked, now))
            self.tally.add(asked, "sent", now)
            return self._remember(asked, GO)
        self.tally.warn_full(over, now)
        if over.free_at == NEVER:
            text = f"{asked.recipients} recipients, but {over.key} may have {over.window}"
            return self._refuse(asked, Verdict("REJECT", text, over.key), now)
        text = f"{over.key} is over its rate of {over.window}"
        return self._beyond(asked, now, over.key, text, over.free_at - now)

    def without_counters(self, asked: Asked, wish: str, now: float) -> Verdict:
        """The verdict when nobody can count: `send`, `hold` or `defer`, as configured."""
        if wish == "hold":
            return self._hold(asked, now, "counters", "the counters are away")
        if wish == "defer":
            text = "rates can't be counted now, try again later"
            return self._refuse(asked, Verdict("DEFER", text, "counters"), now)
        return self.after(replace(asked, exempt=True), None, now)

    def _beyond(
        self, asked: Asked, now: float, counter: str, text: str, wait: float = 0.0
    ) -> Verdict:
        """Over the limit: what the agency wants then."""
        wish = self.rules.agency(asked.agency).over_limit
        if wish == "reject":
            return self._refuse(asked, Verdict("REJECT", text, counter), now)
        if wish == "defer" or not is_id(asked.queue_id):
            soon = f", try again in {max(round(wait), 1)} s" if wait else ", try again later"
            return self._refuse(asked, Verdict("DEFER", text + soon, counter), now)
        return self._hold(asked, now, counter, text)

    def _refuse(self, asked: Asked, verdict: Verdict, now: float) -> Verdict:
        self.tally.add(asked, "refused" if verdict.action == "REJECT" else "deferred", now)
        return verdict

    def _hold(self, asked: Asked, now: float, counter: str, text: str) -> Verdict:
        most = self.rules.agency(asked.agency).held_max
        if not is_id(asked.queue_id):
            return self._refuse(asked, Verdict("DEFER", f"{text}, try again later", counter), now)
        if self.held.count[asked.agency] >= most:
            full = f"agency {asked.agency} has {most} messages held, try again later"
            return self._refuse(asked, Verdict("DEFER", full, counter), now)
        if asked.observed:
            return Verdict("HOLD", text, counter)
        held = Held(asked.queue_id, asked.line, asked.recipients, asked.exempt, now)
        self.held.add(held, counter)
        self.journal.add(hold_line(held))
        self.tally.add(asked, "held", now)
        return self._remember(asked, Verdict("HOLD", text, counter))

    def _remember(self, asked: Asked, verdict: Verdict) -> Verdict:
        self.answered.add(verdict, asked.name)
        return verdict

    def _counters(self, line: Line) -> list[str]:
        """What may stop a message: its counters, its agency and its lane."""
        names = [key for key, _ in self.rules.wanted(line)]
        return [*names, f"agency {line[0]}", f"lane {self.rules.snapshot.taken(line[1])}"]

    def note_near(self, now: float) -> None:
        """Warn of windows that the last charges filled."""
        near = self.counters.near
        if near:
            self.tally.warn_near(near, now)
            near.clear()

    # -- held mail

    async def due(self, room: int, now: float, wall: float) -> Sequence[Held]:
        """The messages that may go now, charged.

        What was offered before and not confirmed is offered anew, and charged anew: it may
        have left then, and may leave now.
        """
        for held in list(self.held.going.values()):
            self.journal.add(f"again {held.queue_id}")
            self.held.put_back(held, offered=True)
        found: list[Held] = []
        for held, stopped_by in self.held.candidates(self._counters, now):
            if len(found) >= room:
                break
            stop = self._stop(held.line, wall)
            if stop is not None:
                stopped_by(stop[0])
                continue
            wanted = self.wanted_by(held)
            amount = self.amount(held)
            try:
                over = await self.counters.charge(wanted, amount, now)
            except CountersError:
                stopped_by(wanted[0][0])
                continue
            if over is not None:
                stopped_by(over.key)
                continue
            self._let_go(held, now, amount)
            found.append(held)
        self.note_near(now)
        self.journal.flush()
        return found

    def _let_go(self, held: Held, now: float, amount: int) -> None:
        self.held.let_go(held, now, amount)
        self.backlog.add(held.queue_id, held.line, now)
        self.journal.add(f"go {now!r} {held.queue_id} {amount}")

    def wanted_by(self, held: Held) -> Wanted:
        """The counters that a held message falls under when it goes."""
        return () if held.exempt else self.rules.wanted(held.line)

    def amount(self, held: Held) -> int:
        """What a held message counts: a rate that was lowered since must not keep it for ever."""
        limits = [
            window.limit
            for _, rate in self.wanted_by(held)
            for window in rate
            if window.unit == "recipients"
        ]
        return min([held.recipients, *limits])

    async def _take_back(self, held: Held, now: float) -> None:
        if held.charged_at is not None:
            wanted = self.wanted_by(held)
            with suppress(CountersError):  # then it stays charged: less leaves, never more
                await self.counters.take_back(wanted, held.charged, held.charged_at, now)

    def confirm(self, queue_ids: Iterable[str], now: float) -> None:
        """The agent has let these go."""
        for queue_id in queue_ids:
            held = self.held.drop(queue_id)
            if held is not None:
                self.mark_gone(queue_id)
                self.journal.add(f"gone {queue_id}")
                self.tally.add_line(held.line, held.recipients, "sent", now)
        self.journal.flush()

    def mark_gone(self, queue_id: str) -> None:
        """Remember that we let a message go: who holds it after that is not us."""
        self.gone[queue_id] = None
        if len(self.gone) > MOST_GONE:
            self.gone.popitem(last=False)

    async def absent(self, queue_ids: Iterable[str], now: float) -> None:
        """The agent did not find these in the hold queue: not there yet, or gone by hand."""
        for queue_id in queue_ids:
            held = self.held.going.get(queue_id)
            if held is None:
                continue
            await self._take_back(held, now)
            self.journal.add(f"back {queue_id}")
            if held.offered:
                self._left_before(held, now)
            elif self.held.is_missing(held, now):
                self._vanish(held)
            else:
                self.held.put_back(held)
                self.held.not_there_yet(held, now)
        self.journal.flush()

    def _left_before(self, held: Held, now: float) -> None:
        """Nobody confirmed it, yet it went when it was offered first: that charge stands."""
        self.held.drop(held.queue_id)
        self.journal.add(f"drop {held.queue_id}")
        self.tally.add_line(held.line, held.recipients, "sent", now)

    def _vanish(self, held: Held) -> None:
        """An admin took it away; if they put it on hold again, that is theirs too."""
        if held.seen:
            self.mark_gone(held.queue_id)
        self.held.drop(held.queue_id)
        self.journal.add(f"drop {held.queue_id}")
        logs.held_vanished(held.queue_id, held.agency)

    def compare(self, there: Iterable[str], now: float) -> list[str]:
        """Drop what is not in the hold queue any more; return what we know nothing of."""
        seen = set(there)
        for queue_id, held in list(self.held.by_id.items()):
            if queue_id in seen:
                held.seen, held.missing_since = True, 0.0
            elif queue_id not in self.held.going and self.held.is_missing(held, now):
                self._vanish(held)
        self.journal.flush()
        # Long queue ids begin with the time: those that are ours join in order of arrival.
        return sorted(queue_id for queue_id in seen if queue_id not in self.held.by_id)

    def adopt(self, original: str, held: Held, now: float, *, ours: bool) -> bool:
        """Take in a message: requeued, so under another id; held without us; or `ours`, paused.

        False if it is an admin's: we let it go before, so they put it on hold.
        """
        if not ours and held.queue_id in self.gone:
            return False
        if held.queue_id in self.held.by_id:
            return True
        if self.held.rename(original, held.queue_id, now):
            self.journal.add(f"rename {now:.3f} {original} {held.queue_id}")
        else:
            self.held.add(held)
            self.journal.add(hold_line(held))
        self.journal.flush()
        return True

    def forget(self, queue_ids: Iterable[str]) -> None:
        """These did not come to be on hold after all."""
        for queue_id in queue_ids:
            if self.held.drop(queue_id) is not None:
                self.journal.add(f"drop {queue_id}")
        self.journal.flush()
