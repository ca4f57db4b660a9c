"""One connection from Postfix: gathers what a decision needs, and carries it out.

Everything here runs on libmilter's threads, where only plain Python objects are
safe: no database, no sqlite3, nothing of C that calls back into Python.
"""

import time
from typing import Any

import Milter

from pointsman import logs
from pointsman.milter.current import Current
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
from pointsman.routing.recipients import Recipient

_NO_SNAPSHOT = Refuse("451", "4.3.0", "not configured yet, try again later", "deferred")
_FAULT = Refuse("451", "4.3.0", "internal error, try again later", "deferred")


class Session(Milter.Base):
    """The messages of one SMTP session, one after the other."""

    current: Current  # set once by serve.py

    def __init__(self) -> None:
        self._client_address: str | None = None
        self._forget()

    def _forget(self) -> None:
        """Let nothing of one message reach the next."""
        self._envelope = "<>"
        self._login = ""
        self._recipients: list[Recipient] = []
        self._froms: list[str] = []
        self._senders: list[str] = []
        self._markers: list[str] = []

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
        elif field == MARKER.lower():
            self._markers.append(value)
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
            markers=self._markers,
        )
        if snapshot is None:
            logs.not_configured(queue_id)
            return self._refuse(_NO_SNAPSHOT)
        decision = decide(snapshot, message, time.time())
        logs.decided(queue_id, snapshot, message, decision)
        return self._carry_out(decision)

    def _carry_out(self, decision: Decision) -> Any:
        step = decision.step
        if isinstance(step, Refuse):
            return self._refuse(step)
        # From last to first: deleting one moves the numbers of those after it.
        for number in range(len(self._markers), 0, -1):
            self.chgheader(MARKER, number, None)
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
