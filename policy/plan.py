"""What a revision says about all mail alike, found once: most messages then need only a charge.

`Ledger.before` and `after` are the truth. A plan serves where they would come to the same:
nothing is held or paused, the lane has room, the message is new, and its windows have room.
"""

from dataclasses import dataclass, field
from math import inf

from pointsman import logs
from pointsman.policy.journal import names
from pointsman.policy.ledger import Ledger
from pointsman.policy.protocol import Brief, Request, Requests
from pointsman.policy.rules import Line, number_of
from pointsman.policy.tally import RECIPIENTS, SENT
from pointsman.policy.verdict import GO, LONGEST, shown
from pointsman.rates.windows import Rows, Wanted, Windows

_MOST = 200_000  # plans; half of them may be of mail that is not counted


@dataclass(slots=True)
class Plan:
    """What is the same for each message of a sender, or of a line that the milter names."""

    line: Line
    rows: Rows | None  # where it is counted, if anywhere
    most: float  # recipients for which its windows ever have room
    backlog: int  # messages that its lane may have on their way
    sharing: tuple[str, ...]  # the connectors whose mail takes that lane
    journal: str  # how a line of the journal ends
    log: str  # how a log line ends; '' if the milter writes it
    era: int = -1  # of the tally,
    counts: list[int] = field(default_factory=list)  # and its row there


class Plans:
    """The plans of one revision; they end with it."""

    def __init__(self, ledger: Ledger, windows: Windows) -> None:
        self.rules = ledger.rules
        self._ledger = ledger
        self._windows = windows
        self._known: dict[str, Plan | None] = {}

    def let_through(self, brief: Brief, data: bytes, now: float, moment: str) -> bool:
        """Charge a message, write it down and let it go; or change nothing, and say False.

        `data` is the whole request, `moment` is `now` as the journal has it.
        """
        queue_id, count, kind = brief
        try:
            plan = self._known[kind]
        except KeyError:
            plan = self._learn(kind, data)
        ledger = self._ledger
        if plan is None or ledger.held.by_id or ledger.answered.knows(queue_id):
            return False
        backlog = ledger.backlog
        if backlog.watched and backlog.full(plan.sharing, plan.backlog):
            return False
        recipients = 1 if count == "1" else number_of(count)
        if recipients > plan.most:
            return False
        if plan.rows and self._windows.charge_rows(plan.rows, recipients, now) is not None:
            return False
        if self._windows.near:
            ledger.note_near(now)
        if backlog.watched:
            backlog.add(queue_id, plan.line, now)
        ledger.journal.add(f"charge {moment} {recipients} {queue_id} {plan.journal}")
        if plan.era != ledger.tally.follow(now):
            plan.era, plan.counts = ledger.tally.era, ledger.tally.row(plan.line)
        plan.counts[SENT] += 1
        plan.counts[RECIPIENTS] += recipients
        ledger.answered.add(GO, queue_id)
        if plan.log:
            logs.rated(queue_id, plan.log)
        return True

    def _learn(self, kind: str, data: bytes) -> Plan | None:
        """The plan for mail of a kind; None for what is not counted, or has to be looked at."""
        (request,) = Requests().feed(data)
        if self.rules.is_behind(request.get("revision", "")):
            return None
        if len(self._known) >= _MOST:
            self._known.clear()
        plan = self._known[kind] = self._plan(request)
        return plan

    def _plan(self, request: Request) -> Plan | None:
        asked = self.rules.asked(request)
        if asked.exempt or self.rules.snapshot.pauses:
            return None
        wanted = self.rules.wanted(asked.line)
        return Plan(
            asked.line,
            Rows(wanted) if wanted else None,
            _largest(wanted),
            self.rules.backlog(asked.connector),
            self.rules.sharing(asked.connector),
            names(asked.line),
            logs.plain(shown(asked, GO), LONGEST) if asked.direct else "",
        )


def _largest(wanted: Wanted) -> float:
    windows = [window for _, rate in wanted for window in rate]
    return min((w.limit for w in windows if w.unit == "recipients"), default=inf)
