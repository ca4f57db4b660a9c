"""What a revision says about all mail alike, found once: most messages then need only a charge.

`Ledger.before` and `after` are the truth. A plan serves where they would come to the same:
nothing is held or paused, the lane has room, the message is new, and its windows have room.
"""

import re
from dataclasses import dataclass
from math import inf

from pointsman import logs
from pointsman.policy.journal import names
from pointsman.policy.ledger import Ledger
from pointsman.policy.protocol import Request
from pointsman.policy.rules import Line, Rules, number_of
from pointsman.policy.verdict import GO, shown
from pointsman.rates.windows import Wanted, Windows

_MOST = 200_000  # plans; half of them may be of mail that is not counted
_IDS = re.compile(r"[0-9A-Za-z.]{1,64} [0-9A-Za-z.]{1,64}")  # two of journal.is_id's


@dataclass(frozen=True, slots=True)
class Plan:
    """What is the same for each message of a sender, or of a line that the milter names."""

    line: Line
    wanted: Wanted
    most: float  # recipients for which its windows ever have room
    backlog: int  # messages that its lane may have on their way
    sharing: tuple[str, ...]  # the connectors whose mail takes that lane
    journal: str  # how a line of the journal ends
    log: str  # how a log line ends; '' if the milter writes it


class Plans:
    """The plans of one revision; they end with it."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._known: dict[str, Plan | None] = {}

    def of(self, request: Request) -> Plan | None:
        """The plan for a request; None for mail that is not counted."""
        get = request.get
        # No value has a newline in it. One string is one look into memory, a tuple is five.
        if agency := get("agency"):
            if "exempt" in request:
                return None
            key = f"{agency}\n{get('connector', '')}\n{get('counter', '')}"
        else:
            domain = get("recipient", "").rpartition("@")[2]
            who = f"{get('sender', '')}\n{get('sasl_username', '')}\n{get('client_address', '')}"
            key = f"{who}\n{domain}"
        try:
            return self._known[key]
        except KeyError:
            return self._learn(key, request)

    def _learn(self, key: str, request: Request) -> Plan | None:
        if len(self._known) >= _MOST:
            self._known.clear()
        asked = self.rules.asked(request)
        plan = None
        if not asked.exempt:
            wanted = self.rules.wanted(asked.line)
            plan = Plan(
                asked.line,
                wanted,
                _largest(wanted),
                self.rules.backlog(asked.connector),
                self.rules.sharing(asked.connector),
                names(asked.line),
                shown(asked, GO) if asked.direct else "",
            )
        self._known[key] = plan
        return plan


def _largest(wanted: Wanted) -> float:
    windows = [window for _, rate in wanted for window in rate]
    return min((w.limit for w in windows if w.unit == "recipients"), default=inf)


def let_through(ledger: Ledger, windows: Windows, plan: Plan, request: Request, now: float) -> bool:
    """Charge a message, write it down and let it go; or change nothing, and say False."""
    queue_id, instance = request.get("queue_id", ""), request.get("instance", "")
    ids = f"{queue_id} {instance}"
    if (
        ledger.held.by_id
        or ledger.rules.snapshot.pauses
        or not _IDS.fullmatch(ids)
        or ledger.answered.get(queue_id, instance) is not None
        or (ledger.backlog.watched and ledger.backlog.full(plan.sharing, plan.backlog))
    ):
        return False
    recipients = number_of(request.get("recipient_count", ""))
    wanted = plan.wanted
    if wanted and (recipients > plan.most or windows.charge(wanted, recipients, now) is not None):
        return False
    ledger.note_near(now)
    ledger.backlog.add(queue_id, plan.line, now)
    ledger.journal.add(f"charge {now!r} {recipients} {ids} {plan.journal}")
    ledger.tally.add_line(plan.line, recipients, "sent", now)
    ledger.answered.add(GO, queue_id, instance)
    if plan.log:
        logs.rated(queue_id, plan.log)
    return True
