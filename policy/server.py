"""Talks to Postfix and the milter: asyncio in, one answer for each request, in order."""

import asyncio
import resource
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine
from time import time
from typing import Any, cast

from pointsman import logs
from pointsman.current import Current
from pointsman.policy.journal import Journal
from pointsman.policy.ledger import Ledger
from pointsman.policy.plan import Plans
from pointsman.policy.protocol import ProtocolError, Request, Requests, brief, reply
from pointsman.policy.rules import Asked, Rules
from pointsman.policy.verdict import GO, LONGEST, Verdict, shown
from pointsman.rates.counters import CountersError, Memory
from pointsman.rates.windows import Wanted

MOST_PEERS = 4000  # connections; beyond that, the one that was quiet the longest is closed
MOST_WAITING = 100  # requests of one connection that wait for Redis
WRONG_STATE_QUIET = 3600.0  # seconds between warnings about a wrong place in main.cf


class Outbox:
    """Answers of one turn of the event loop: journal and log are written once for all."""

    def __init__(self, journal: Journal, now: Callable[[], float]) -> None:
        self._journal = journal
        self._now = now
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answers: list[tuple[asyncio.Transport, bytes]] = []
        self._open = False
        self.now = 0.0  # of this turn
        self.moment = ""  # the same, as the journal has it

    def open(self) -> None:
        """Begin a turn, unless it has begun."""
        if self._open:
            return
        self._open = True
        self.now = self._now()
        self.moment = repr(self.now)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self.send)

    def put(self, transport: asyncio.Transport, answers: bytes) -> None:
        """Send soon."""
        self.open()
        self._answers.append((transport, answers))

    def send(self) -> None:
        """What was charged is in the journal before anybody hears of it; the log keeps nobody."""
        self._open = False
        answers, self._answers = self._answers, []
        self._journal.flush()
        for transport, data in answers:
            transport.write(data)
        logs.flush()


class Desk:
    """Turns one request into one answer."""

    def __init__(self, ledger: Ledger, current: Current, on_failure: str) -> None:
        self.ledger = ledger
        self.current = current
        self.on_failure = on_failure
        self.peers: OrderedDict[Peer, None] = OrderedDict()
        counters = ledger.counters
        self._windows = counters.windows if isinstance(counters, Memory) else None
        self._plans = self._new_plans()
        self.now = ledger.journal.clock.now
        self.outbox = Outbox(ledger.journal, self.now)
        self.report: Callable[[], Awaitable[None]] | None = None  # to the database, now
        self.report_at = self.now()  # the next time
        self.database_away = False
        self._reporting: asyncio.Future[None] | None = None
        self.agent_at = self.now()  # when the agent asked last
        self._said: dict[str, float] = {}
        self._away = False

    async def hand_over(self, patience: float) -> None:
        """Report to the database; wait no longer than this (seconds), as it goes on by itself."""
        if self._reporting is not None and not self._reporting.done():
            await asyncio.wait({self._reporting}, timeout=patience)
            if not self._reporting.done():
                return
        if self.report is not None:
            self._reporting = asyncio.ensure_future(self.report())
            await asyncio.wait({self._reporting}, timeout=patience)

    def follow(self, revision: str = "") -> None:
        """Go by the newest snapshot: at least the one that the milter decided by."""
        if self.ledger.rules.is_behind(revision):
            self.current.refresh()
        snapshot = self.current.snapshot
        if snapshot is not None and snapshot is not self.ledger.rules.snapshot:
            self.ledger.rules = Rules(snapshot)
            self._plans = self._new_plans()

    def _new_plans(self) -> Plans | None:
        """For this revision; where the counters are in Redis, no message can go at once."""
        return Plans(self.ledger, self._windows) if self._windows is not None else None

    def answer_at_once(self, data: bytes) -> bytes | None:
        """The answer to one whole request that goes by a plan, as most do; else None."""
        plans = self._plans
        if plans is None or plans.rules.snapshot is not self.current.snapshot:
            return None
        said = brief(data)
        if said is None:
            return None
        outbox = self.outbox
        outbox.open()
        try:
            gone = plans.let_through(said, data, outbox.now, outbox.moment)
        except Exception as error:  # noqa: BLE001 - see answer()
            return self._failed(said[0], None, error)
        return _REPLY_GO if gone else None

    def answer(self, request: Request) -> bytes | Coroutine[Any, Any, bytes]:
        """Decide; where the counters are in Redis, in a moment."""
        asked = None
        try:
            complaint = _complaint(request)
            if complaint:
                self._say_rarely(complaint)
                return reply("DUNNO")
            ledger, now = self.ledger, self.now()
            self.follow(request.get("revision", ""))
            asked = ledger.rules.asked(request)
            verdict = GO if asked.why == "stranger" else ledger.before(asked, now, time())
            if verdict is None:
                wanted = ledger.wanted(asked)
                if self._windows is None and wanted:
                    return self._later(asked, wanted, asked.queue_id)
                charge = self._windows.charge if self._windows and wanted else None
                over = charge(wanted, asked.recipients, now) if charge else None
                verdict = ledger.after(asked, over, now)
            return self._said_so(asked, verdict)
        except Exception as error:  # noqa: BLE001 - a fault of ours must never lose mail
            return self._failed(request.get("queue_id", ""), asked, error)

    async def _later(self, asked: Asked, wanted: Wanted, queue_id: str) -> bytes:
        try:
            over = await self.ledger.counters.charge(wanted, asked.recipients, self.now())
            self._came_back()
            verdict = self.ledger.after(asked, over, self.now())
        except CountersError as error:
            self._went_away(error)
            verdict = self.ledger.without_counters(asked, self.on_failure, self.now())
        except Exception as error:  # noqa: BLE001 - see answer()
            return self._failed(queue_id, asked, error)
        return self._said_so(asked, verdict)

    def _said_so(self, asked: Asked, verdict: Verdict) -> bytes:
        if asked.direct:
            queue_id = logs.plain(asked.queue_id) or "NOQUEUE"
            logs.rated(queue_id, logs.plain(shown(asked, verdict), LONGEST))
        return _REPLY_GO if verdict is GO else reply(verdict.words)

    def _failed(self, queue_id: str, asked: Asked | None, error: Exception) -> bytes:
        logs.failed(queue_id or "NOQUEUE", error)
        if asked is None:
            return reply("DUNNO" if self.on_failure == "send" else "450 4.3.0 internal error")
        verdict = self.ledger.without_counters(asked, self.on_failure, self.now())
        return reply(verdict.words)

    def _say_rarely(self, complaint: str) -> None:
        now = self.now()
        if now > self._said.get(complaint, 0.0):
            self._said[complaint] = now + WRONG_STATE_QUIET
            logs.not_counted(complaint)

    def _went_away(self, error: Exception) -> None:
        if not self._away:
            self._away = True
            logs.counters_away(error, self.on_failure)

    def _came_back(self) -> None:
        if self._away:
            self._away = False
            logs.counters_back()


_REPLY_GO = reply("DUNNO")


def _complaint(request: Request) -> str:
    """Why a request can't be counted, or ''."""
    if request.get("request") != "smtpd_access_policy":
        return "a request that is not smtpd_access_policy"
    state = request.get("protocol_state", "")
    if state != "END-OF-MESSAGE":
        return (
            f"asked at {state or 'no protocol_state'}, where a message is not known yet: rates "
            "count only in smtpd_end_of_data_restrictions"
        )
    if not (request.get("queue_id") or request.get("instance")):
        return "a request without queue_id and instance"
    return ""


class Peer(asyncio.Protocol):
    """One connection: requests in, answers out, in order."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._requests = Requests()
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._deaf = False  # the client does not read
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it in; with too many, the quietest has to go."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's only looks like one
        peers = self._desk.peers
        peers[self] = None
        if len(peers) > MOST_PEERS:
            quietest = next(iter(peers))
            del peers[quietest]
            quietest.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget it."""
        self._desk.peers.pop(self, None)

    def close(self) -> None:
        """Hang up, once what was answered is out."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._desk.peers.move_to_end(self)
        if not (self._waiting or self._task or self._requests.begun):
            answer = self._desk.answer_at_once(data)
            if answer is not None:
                self._desk.outbox.put(self._transport, answer)
                return
        try:
            self._waiting.extend(self._requests.feed(data))
        except ProtocolError as error:
            logs.peer_closed(str(error))
            self._transport.close()
            return
        if self._task is None:
            self._answer()
        else:
            self._bound()

    def _answer(self) -> None:
        answers = []
        while self._waiting:
            answer = self._desk.answer(self._waiting.popleft())
            if not isinstance(answer, bytes):
                self._task = asyncio.get_running_loop().create_task(self._answer_later(answer))
                break
            answers.append(answer)
        if answers:
            self._desk.outbox.put(self._transport, b"".join(answers))
        self._bound()

    def _bound(self) -> None:
        """Ask for no more while the client does not read, or waits for many answers."""
        if self._transport.is_closing():
            return
        if self._deaf or len(self._waiting) > MOST_WAITING:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    async def _answer_later(self, coming: Coroutine[Any, Any, bytes]) -> None:
        self._desk.outbox.put(self._transport, await coming)
        self._task = None
        self._answer()

    def pause_writing(self) -> None:
        """A client that does not read its answers is not asked for more questions."""
        self._deaf = True
        self._bound()

    def resume_writing(self) -> None:
        """It reads again."""
        self._deaf = False
        self._bound()


def allow_many_files() -> None:
    """As many connections as we serve, and some files more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_PEERS + 200
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
