"""The agent's other half: lets held mail go, in order, and stops what is paused.

Policy says who is due, and has charged it; we alone may move messages in the queue.
Whatever was not confirmed when one of us died is offered again.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pointsman import logs
from pointsman.config import Config
from pointsman.control import Control
from pointsman.current import Current
from pointsman.errors import PointsmanError
from pointsman.postfix import queue
from pointsman.postfix.conf import Instance
from pointsman.routing.charge import HELD
from pointsman.routing.snapshot import Snapshot
from pointsman.trouble import Trouble

PAUSE = 0.1  # seconds between questions for due mail
LOOK = 1.0  # seconds between looks at the queue
RETRY = 1.0  # seconds to wait after trouble
BATCH = 20  # messages let go at once: some 100 ms

_HELD = re.compile(
    rf"^(?:regular_text: )?{HELD}: (\S+) (\S+) (\S+) (\S+) (\d+) ([01])$", re.MULTILINE
)
_TIME = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

Due = dict[str, Any]


class Release(threading.Thread):
    """Runs beside the agent, so that a long apply does not keep mail waiting."""

    def __init__(self, config: Config, stop: threading.Event, alive: Callable[[str], None]) -> None:
        super().__init__(name="release", daemon=True)
        self._config = config
        self._stop_event = stop
        self._alive = alive
        self._instance = Instance(config.postfix.config_directory)
        self._current = Current(config.snapshot, quiet=True)
        self._control: Control | None = None
        self._foreign: set[str] = set()  # on hold, and not ours
        self._next_look = 0.0
        self._trouble = Trouble()

    def run(self) -> None:
        """Do it until told to stop."""
        while not self._stop_event.wait(RETRY if self._trouble else PAUSE):
            try:
                self.step()
                self._trouble.over()
            except (PointsmanError, OSError, ValueError, KeyError) as error:
                self._troubled(error)
            self._alive(self.name)

    def step(self) -> None:
        """Look at the queue now and then; let go what is due."""
        self._current.refresh()
        if self._control is None:
            self._connect()
        if time.monotonic() >= self._next_look:
            start = time.monotonic()
            self._look()
            now = time.monotonic()
            self._next_look = now + max(LOOK, 5 * (now - start))
        due = self._ask("due", room=BATCH)["due"]
        if due:
            gone, absent = self._let_go(due)
            self._ask("done", gone=gone, absent=absent)

    def _connect(self) -> None:
        """A new daemon, or a new connection: tell what is on its way already."""
        self._control = Control(self._config.control_socket)
        snapshot = self._current.snapshot or Snapshot()
        moving = [q for q in queue.listed(self._instance) if q.queue != "hold"]
        lanes = {q.queue_id: queue.lane_of(snapshot, q.sender) or "" for q in moving}
        ids = queue.ids(self._instance)
        self._ask("queue", lanes=lanes, hold=ids["hold"], moving=_moving(ids))

    def _ask(self, do: str, **question: Any) -> dict[str, Any]:
        assert self._control is not None  # noqa: S101 - tells mypy
        return self._control.ask(do, **question)

    # -- letting go

    def _let_go(self, due: Sequence[Due]) -> tuple[list[str], list[str]]:
        """Release a batch in its order; returns what went, and what was not on hold."""
        ids = queue.ids(self._instance)
        # What is deferred was released before: by hand, or by an agent that died over it.
        hold, deferred = set(ids["hold"]), set(ids["deferred"])
        present = [d for d in due if d["id"] in hold]
        ready = [d for d in due if d["id"] in deferred]
        absent = [d["id"] for d in due if d["id"] not in hold | deferred]
        old = [d for d in present if d["age"] > self._half_a_lifetime() or self._overtaken(d)]
        young = [d for d in present if d not in old]
        again = [d["id"] for d in old if self._renew(d)]
        self._instance.run("postsuper", "-H", "-", stdin=_lines(d["id"] for d in young))
        for message in [*ready, *young]:
            # One by one: a scan of the deferred queue would mix the order.
            self._instance.complaints("postqueue", "-i", message["id"])
            logs.released(message["id"], message["agency"], message["connector"], message["waited"])
        gone = [d["id"] for d in [*ready, *present] if d["id"] not in again]
        return gone, [*absent, *again]

    def _half_a_lifetime(self) -> float:
        names = ("maximal_queue_lifetime", "always_bcc", "sender_bcc_maps", "recipient_bcc_maps")
        values = self._instance.parameters(*names)
        lifetime = values.pop("maximal_queue_lifetime")
        if any(values.values()):
            return float("inf")  # requeued mail would be copied once more
        unit = lifetime[-1] if lifetime[-1] in _TIME else "d"  # postconf(5)
        half = int(lifetime.rstrip(unit)) * _TIME[unit] / 2
        return half if half >= 1 else float("inf")  # 0: one attempt, whatever we do

    def _overtaken(self, message: Due) -> bool:
        """Whether its marker leads another way today than when it was held.

        The null sender's mail alone has one, and few of that are ever held.
        """
        snapshot = self._current.snapshot or Snapshot()
        agency = snapshot.agencies.get(message["agency"])
        if not message["exempt"] and (agency is None or agency.exempt):
            return False
        return queue.is_overtaken(self._instance, snapshot, message["id"])

    def _renew(self, message: Due) -> bool:
        """Requeue: mail as old as the queue's lifetime would bounce at its first deferral.

        And a marker is read anew.

        True if it is on hold again under a new id, by the header that we gave it.
        """
        kept = _HELD.search(queue.text_of(self._instance, message["id"]))
        self._instance.run("postsuper", "-r", "-", stdin=_lines([message["id"]]))
        if kept is None:
            logs.released(message["id"], message["agency"], message["connector"], message["waited"])
        return kept is not None

    # -- looking

    def _look(self) -> None:
        """Tell what is there, take in what is ours, and hold what is paused."""
        ids = queue.ids(self._instance)
        unknown = self._ask("queue", hold=ids["hold"], moving=_moving(ids))["unknown"]
        self._foreign &= set(ids["hold"])
        found = [self._recognised(i) for i in unknown if i not in self._foreign]
        self._adopt([message for message in found if message is not None])
        snapshot = self._current.snapshot
        if snapshot is not None and snapshot.pauses:
            self._stop_paused(snapshot)

    def _recognised(self, queue_id: str) -> dict[str, Any] | None:
        """A message on hold by our header; an admin's stays as it is."""
        tokens = self._current.snapshot.tokens if self._current.snapshot else ()
        match = _HELD.search(queue.text_of(self._instance, queue_id))
        if match is None or match[1] not in tokens:
            self._foreign.add(queue_id)
            return None
        return {
            "id": queue_id,
            "original": match[2],
            "agency": match[3],
            "connector": match[4],
            "recipients": int(match[5]),
            "exempt": match[6] == "1",
            "waited": 0.0,
        }

    def _adopt(self, messages: Sequence[dict[str, Any]]) -> None:
        if not messages:
            return
        foreign = set(self._ask("adopt", messages=messages, ours=False)["foreign"])
        self._foreign |= foreign
        for message in messages:
            if message["id"] not in foreign:
                logs.held_again(message["id"], message["original"], message["agency"])

    def _stop_paused(self, snapshot: Snapshot) -> None:
        """Put on hold what waits in the queue; what is being delivered may finish.

        Policy has it in its journal first: of mail on hold without our header it would
        take what it does not know for an admin's, and never let it go.
        """
        found = self._paused(snapshot)
        if not found:
            return
        self._ask("adopt", messages=[_adopted(q, *names) for q, *names, _ in found], ours=True)
        self._instance.run("postsuper", "-h", "-", stdin=_lines(q.queue_id for q, *_ in found))
        on_hold = set(queue.ids(self._instance)["hold"])
        for queued, agency, connector, why in found:
            if queued.queue_id in on_hold:
                logs.paused(queued.queue_id, agency, connector, why)
        self._ask("missed", ids=[q.queue_id for q, *_ in found if q.queue_id not in on_hold])

    def _paused(self, snapshot: Snapshot) -> list[tuple[queue.Queued, str, str, str]]:
        """What waits in the queue and may not leave now, and why; the oldest first."""
        found = []
        waiting = [q for q in queue.listed(self._instance) if q.queue in ("deferred", "incoming")]
        # Of the null sender only policy knows whose it was.
        owners = self._ask("owners", ids=[q.queue_id for q in waiting])["owners"]
        for queued in sorted(waiting, key=lambda q: (q.arrived, q.queue_id)):
            owner = owners.get(queued.queue_id) or queue.owner_of(self._instance, snapshot, queued)
            agency, connector = owner or ("", "")
            paused = snapshot.pause(agency, connector, time.time())
            if paused is not None:
                found.append((queued, agency, connector, f"{paused[0]} is {paused[1]}"))
        return found

    # -- trouble

    def _troubled(self, error: Exception) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        self._trouble.came(error)


def _moving(ids: Mapping[str, Sequence[str]]) -> list[str]:
    return [queue_id for part, found in ids.items() if part != "hold" for queue_id in found]


def _lines(queue_ids: Iterable[str]) -> str:
    return "".join(f"{queue_id}\n" for queue_id in queue_ids)


def _adopted(queued: queue.Queued, agency: str, connector: str) -> dict[str, Any]:
    return {
        "id": queued.queue_id,
        "original": queued.queue_id,
        "agency": agency,
        "connector": connector,
        "recipients": queued.recipients,
        "exempt": not queued.sender,
        "waited": max(time.time() - queued.arrived, 0.0),
    }
