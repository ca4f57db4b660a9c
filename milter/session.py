"""One connection from Postfix: gathers what a decision needs, and carries it out.

Everything here runs on libmilter's threads, where only plain Python objects are
safe: no database, no sqlite3, nothing of C that calls back into Python.
"""

import time
from dataclasses import replace
from typing import Any

import Milter

from pointsman import logs
from pointsman.current import Current
from pointsman.milter.asking import REFUSALS, Answer, Policy
from pointsman.routing.charge import HELD, Charge, charge_of
from pointsman.routing.decide import (
    MARKER,
    Carry,
    Decision,
    Mark,
    Message,
    Refuse,
    decide,
)
from pointsman.routing.lanes import Client
from pointsman.routing.observing import as_enforced
from pointsman.routing.recipients import Recipient
from pointsman.routing.snapshot import Snapshot
from pointsman.routing.turns import Turns

_MARKS = {name.lower(): name for name in (MARKER, HELD)}
_NO_SNAPSHOT = Refuse("451", "4.3.0", "not configured yet, try again later", "deferred")
_FAULT = Refuse("451", "4.3.0", "internal error, try again later", "deferred")


def _refusal(answer: Answer) -> Refuse:
    way = "refused" if answer.action.startswith("5") else "deferred"
    return Refuse(answer.action, f"{answer.action[0]}.7.1", answer.text, way)


def _shown(answer: Answer | None) -> tuple[str, str]:
    """The answer and its reason as the log line has them."""
    if answer is None:
        return "", ""
    action = "go" if answer.action == "DUNNO" else answer.action.lower()
    return (action if answer.asked else f"{action}-unasked"), answer.text


class Session(Milter.Base):
    """The messages of one SMTP session, one after the other."""

    current: Current  # set once by serve.py
    policy: Policy
    turns = Turns()

    def __init__(self) -> None:
        self._client_address: str | None = None
        self._forget()

    def _forget(self) -> None:
        """Let nothing of one message reach the next."""
        self._envelope = "<>"
        self._login = ""
        self._role = ""
        self._recipients: list[Recipient] = []
        self._froms: list[str] = []
        self._senders: list[str] = []
        self._marks: dict[str, list[str]] = {MARKER: [], HELD: []}

    @Milter.noreply
    def connect(self, _hostname: str, _family: int, address: Any) -> Any:
        """Note the client's address; a unix socket or sendmail(1) has its own form."""
        self._client_address = address[0] if isinstance(address, tuple) else None
        return Milter.CONTINUE

    @Milter.noreply
    def envfrom(self, path: str, *_parameters: str) -> Any:
        """Begin a message."""
        self._forget()
        self._envelope = path
        self._login = self.getsymval("{auth_authen}") or ""
        self._role = self.getsymval("{pointsman_role}") or ""
        return Milter.CONTINUE

    @Milter.noreply
    def envrcpt(self, path: str, *_parameters: str) -> Any:
        """Note a recipient with the transport that Postfix will give it."""
        mailer, host = self.getsymval("{rcpt_mailer}"), self.getsymval("{rcpt_host}")
        self._recipients.append(Recipient(path, mailer, host))
        return Milter.CONTINUE

    @Milter.noreply
    def header(self, name: str, value: str) -> Any:
        """Keep the few fields that decide."""
        field = name.strip().lower()
        if field == "from":
            self._froms.append(value)
        elif field == "sender":
            self._senders.append(value)
        elif field in _MARKS:
            self._marks[_MARKS[field]].append(value)
        return Milter.CONTINUE

    def eom(self) -> Any:
        """Decide, say so in the log, and do it."""
        queue_id = self.getsymval("i") or "NOQUEUE"
        try:
            return self._settle(queue_id)
        except Exception as error:  # noqa: BLE001 - a fault of ours must never lose mail
            logs.failed(queue_id, error)
            return self._refuse(_FAULT)

    def _settle(self, queue_id: str) -> Any:
        snapshot = self.current.snapshot
        message = Message(
            envelope=self._envelope,
            recipients=self._recipients,
            client=Client(self._login, self._client_address),
            froms=self._froms,
            senders=self._senders,
            markers=[value for values in self._marks.values() for value in values],
            role=self._role,
        )
        if snapshot is None:
            logs.not_configured(queue_id)
            return self._refuse(_NO_SNAPSHOT)
        if snapshot.observe:
            message = as_enforced(snapshot, message)
        down = self.current.down
        decision = decide(snapshot, message, time.time(), self.turns.next, down)
        charge = charge_of(snapshot, message, decision)
        answer = self._ask(snapshot, queue_id, charge) if charge else None
        if answer is not None and answer.action in REFUSALS:
            decision = replace(decision, step=_refusal(answer))
        logs.decided(queue_id, snapshot, message, decision, _shown(answer))
        if snapshot.observe:
            return Milter.ACCEPT
        if charge and answer and answer.action == "HOLD" and snapshot.tokens:
            self.addheader(HELD, f"{snapshot.tokens[0]} {queue_id} {charge.words}")
            self.quarantine(logs.plain(answer.text))
        return self._carry_out(decision)

    def _ask(self, snapshot: Snapshot, queue_id: str, charge: Charge) -> Answer:
        """Ask the policy daemon; a pause holds mail even without it."""
        answer = self.policy.ask(queue_id, charge)
        if not answer.asked:
            paused = snapshot.pause(charge.agency, charge.connector, time.time())
            if paused is not None:
                return Answer("HOLD", f"{paused[0]} is {paused[1]}", asked=False)
        return answer

    def _carry_out(self, decision: Decision) -> Any:
        step = decision.step
        if isinstance(step, Refuse):
            return self._refuse(step)
        for name, values in self._marks.items():
            # From last to first: deleting one moves the numbers of those after it.
            for number in range(len(values), 0, -1):
                self.chgheader(name, number, None)
        if isinstance(step, Carry):
            self.chgfrom(f"<{step.sender}>")
        elif isinstance(step, Mark):
            self.addheader(MARKER, step.value)
        return Milter.ACCEPT

    def _refuse(self, step: Refuse) -> Any:
        # libmilter formats the text: a lone % would be an error.
        text = logs.plain(step.text).encode("ascii", "replace").decode().replace("%", "%%")
        self.setreply(step.code, step.status, text)
        return Milter.REJECT if step.code.startswith("5") else Milter.TEMPFAIL

    def abort(self) -> Any:
        """Forget a message that the client gave up."""
        self._forget()
        return Milter.CONTINUE

    @Milter.nocallback
    def hello(self, _hostname: str) -> Any:
        """Not needed."""
        return Milter.CONTINUE

    @Milter.nocallback
    def data(self) -> Any:
        """Not needed."""
        return Milter.CONTINUE

    @Milter.nocallback
    def eoh(self) -> Any:
        """Not needed."""
        return Milter.CONTINUE

    @Milter.nocallback
    def body(self, _chunk: bytes) -> Any:
        """Not needed, so Postfix does not even send it."""
        return Milter.CONTINUE

    @Milter.nocallback
    def unknown(self, _command: str) -> Any:
        """Not needed."""
        return Milter.CONTINUE
