"""What the agent and the command line ask: one JSON object a line each way.

The socket is for root and our own account alone.
"""

import asyncio
import json
from time import time
from typing import Any

from pointsman import logs
from pointsman.errors import PointsmanError
from pointsman.policy.held import Held
from pointsman.policy.server import Desk
from pointsman.rates.counters import CountersError

LONGEST = 64 << 20  # bytes of one line: the agent names every message in the queue
PATIENCE = 3.0  # seconds to wait for the database before the answer
_TROUBLE = (
    *(ValueError, KeyError, TypeError, AttributeError, RecursionError),  # nonsense was asked
    *(PointsmanError, ConnectionError),  # Redis is away, or the client has gone
)


async def serve_client(
    desk: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer until the client hangs up; only the agent says what is in the queue."""
    watching = False
    try:
        while line := await reader.readline():
            question = json.loads(line)
            watching = watching or question["do"] == "queue"
            answer = await _DO[question["do"]](desk, question)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
    except _TROUBLE as error:
        logs.peer_closed(f"control: {error!r}")
    except asyncio.CancelledError:
        return  # we stop: asyncio's streams would print a traceback
    finally:
        if watching:
            desk.ledger.backlog.stop()
        writer.close()


async def _queue(desk: Desk, question: dict[str, Any]) -> dict[str, Any]:
    """What the agent sees: ids on hold, ids on their way, at first with their connectors."""
    desk.follow()
    ledger, now = desk.ledger, desk.now()
    if "lanes" in question:
        ledger.backlog.learn(question["lanes"], now)
    ledger.backlog.prune(question["moving"], now)
    return {"unknown": ledger.compare(question["hold"], now)}


async def _due(desk: Desk, question: dict[str, Any]) -> dict[str, Any]:
    desk.follow()
    now = desk.now()
    desk.agent_at = now
    due = await desk.ledger.due(question["room"], now, time())
    return {"due": [_shown(held, now) for held in due], "held": len(desk.ledger.held)}


def _shown(held: Held, now: float) -> dict[str, Any]:
    agency, connector, _ = held.line
    waited = round(now - held.since, 1)
    return {
        "id": held.queue_id,
        "agency": agency,
        "connector": connector,
        "exempt": held.exempt,
        "waited": waited,
        "age": round(now - max(held.since, held.filed), 1),  # of the queue file
    }


async def _done(desk: Desk, question: dict[str, Any]) -> dict[str, Any]:
    """What became of the messages that were due."""
    desk.ledger.confirm(question["gone"], desk.now())
    await desk.ledger.absent(question["absent"], desk.now())
    return {}


async def _adopt(desk: Desk, question: dict[str, Any]) -> dict[str, Any]:
    """Messages on hold that we did not know by this id; returns those that are not ours."""
    now = desk.now()
    foreign = []
    for found in question["messages"]:
        known = desk.ledger.backlog.line_of(found["id"])
        line = known or (found["agency"], found["connector"], "")
        held = Held(found["id"], line, found["recipients"], found["exempt"], now - found["waited"])
        if not desk.ledger.adopt(found["original"], held, now, ours=question["ours"]):
            foreign.append(found["id"])
    return {"foreign": foreign}


async def _missed(desk: Desk, question: dict[str, Any]) -> dict[str, Any]:
    """Messages that left, or were taken up again, before the agent could put them on hold."""
    desk.ledger.forget(question["ids"])
    return {}


async def _owners(desk: Desk, question: dict[str, Any]) -> dict[str, Any]:
    """Agency and connector of messages on their way, as far as we let them through."""
    lines = {queue_id: desk.ledger.backlog.line_of(queue_id) for queue_id in question["ids"]}
    return {"owners": {queue_id: line[:2] for queue_id, line in lines.items() if line}}


async def _state(desk: Desk, question: dict[str, Any]) -> dict[str, Any]:
    """How full the windows of these counters are, and what is held and on its way.

    What was counted is in the database before the answer, for those who look there next.
    """
    desk.follow()
    await desk.hand_over(0.0 if desk.database_away else PATIENCE)
    ledger, now = desk.ledger, desk.now()
    oldest = ledger.held.oldest()
    use = {}
    for name in question["counters"]:
        try:
            windows = await ledger.counters.use(name, ledger.rules.rate_of(name), now)
        except CountersError:
            continue  # what is held and on its way is known all the same
        use[name] = [
            {"window": str(u.window), "limit": u.window.limit, "used": u.used, "left": u.left}
            for u in windows
        ]
    return {
        "use": use,
        "held": {name: count for name, count in ledger.held.count.items() if count},
        "oldest": {name: round(now - since) for name, since in oldest.items()},
        "moving": {name: count for name, count in ledger.backlog.count.items() if count},
        "revision": ledger.rules.snapshot.revision,
    }


_DO = {
    "queue": _queue,
    "due": _due,
    "done": _done,
    "adopt": _adopt,
    "missed": _missed,
    "owners": _owners,
    "state": _state,
}
