"""The agent's third part: follows what becomes of mail by each lane.

Of connectors that stand in for each other, deliveries in the mail log raise a doubt, and
probes settle it. What is down stands in a file that the milter reads; without this part
every connector counts as working. What a server says of our login is told to people.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from pointsman import logs
from pointsman.config import Config
from pointsman.current import Current, down
from pointsman.errors import PointsmanError
from pointsman.faults import Faults
from pointsman.health import FAILURES, Health, Turn
from pointsman.postfix import files
from pointsman.postfix.conf import Instance
from pointsman.postfix.maillog import Follower, log_of, parse
from pointsman.routing.snapshot import Snapshot
from pointsman.store import usage
from pointsman.store.book import connectors
from pointsman.store.database import Store, jittered
from pointsman.store.records import Connector
from pointsman.trial import Trial, trial_of
from pointsman.trouble import Trouble

PAUSE = 0.2  # seconds between looks at the log
RETRY = 5.0  # seconds to wait after trouble, more or less
MOST_NOTICES = 1000  # kept for a database that does not answer
PROBES = 8  # at once; a server that hangs keeps one of them busy


class Watch(threading.Thread):
    """Runs beside the agent: a server that hangs must not keep a change waiting."""

    def __init__(self, config: Config, stop: threading.Event, alive: Callable[[str], None]) -> None:
        super().__init__(name="watch", daemon=True)
        self._config = config
        self._stop_event = stop
        self._alive = alive
        self._store = Store(config)
        self._instance = Instance(config.postfix.config_directory)
        self._current = Current(config.snapshot, quiet=True)
        self._snapshot: Snapshot | None = None
        self._health = Health()
        self._faults = Faults()
        self._log: Follower | None = None
        self._pool = ThreadPoolExecutor(PROBES, thread_name_prefix="probe")
        self._probes: dict[str, Future[str]] = {}
        self._known: dict[str, Connector] = {}
        self._notices: list[usage.Notice] = []  # that the database has not got yet
        self._next_notices = 0.0
        self._trouble = Trouble()

    def run(self) -> None:
        """Do it until told to stop."""
        while not self._stop_event.wait(PAUSE):
            try:
                self.step(time.monotonic())
                self._trouble.over()
            except (PointsmanError, OSError, ValueError) as error:
                self._troubled(error)
            self._alive(self.name)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def step(self, now: float) -> None:
        """Take in what is new, and begin the probes that are due."""
        self._current.refresh()
        if self._current.snapshot is not self._snapshot and self._current.snapshot is not None:
            self._begin(self._current.snapshot)
        turns = [*self._delivered(now), *self._probed(now)]
        for name in self._health.due(now):
            if name not in self._probes:
                self._probes[name] = self._pool.submit(self._probe, self._known[name])
        for turn in turns:
            self._tell(turn)
        if self._notices and now >= self._next_notices:
            self._write_down(now)

    def _begin(self, snapshot: Snapshot) -> None:
        """Watch those that share a sender with another, and are live."""
        together = {link.ways for link in set(snapshot.links.values()) if link.ways}
        names = {n for ways in together for n in ways if snapshot.lanes[n].live}
        self._known = {c.name: c for c in connectors(self._store) if c.name in names}
        self._health.watch(self._known)
        if self._snapshot is None:
            self._health.restore(down(self._config.health))
        if self._log is None:
            self._log = Follower(log_of(self._instance))
        self._snapshot = snapshot
        self._write()

    def _delivered(self, now: float) -> Iterator[Turn]:
        for line in self._log.lines() if self._log else ():
            delivery = parse(line)
            if delivery is not None:
                refused = self._faults.note(delivery, now)
                if refused:
                    self._alarm(delivery.connector, "connector-refused", refused)
                fault = delivery.text if delivery.blames_connector else ""
                turn = self._health.delivered(delivery.connector, fault)
                if turn is not None:
                    yield turn

    def _probed(self, now: float) -> Iterator[Turn]:
        for name, probe in list(self._probes.items()):
            if probe.done():
                del self._probes[name]
                turn = self._health.probed(name, now, probe.result())
                if turn is not None:
                    yield turn

    def _probe(self, connector: Connector) -> str:
        """Connect and log in, at each host until one works; what failed, or ''."""
        trial = trial_of(self._config, self._store, connector)
        faults = [asyncio.run(_fault(replace(trial, address=a))) for a in connector.addresses]
        return "" if "" in faults else faults[0]

    def _tell(self, turn: Turn) -> None:
        """First the milter, then people."""
        self._write()
        if turn.down:
            text = f"is down after {FAILURES} failures, others take its mail: {turn.text}"
            self._alarm(turn.connector, "connector-down", text)
        else:
            self._alarm(turn.connector, "connector-up", "is up again")

    def _alarm(self, connector: str, kind: str, text: str) -> None:
        logs.alarm(f"connector {connector}", kind, text)
        self._notices.append((f"connector {connector}", kind, text))

    def _write_down(self, now: float) -> None:
        """For `status`; what the database does not take, it gets when it is back."""
        try:
            usage.add(self._store, {}, self._notices)
        except PointsmanError:
            del self._notices[:-MOST_NOTICES]
            self._next_notices = now + jittered(RETRY)
        else:
            self._notices = []

    def _troubled(self, error: Exception) -> None:
        self._trouble.came(error)
        self._stop_event.wait(jittered(RETRY))

    def _write(self) -> None:
        text = json.dumps(self._health.down)
        if files.text_of(self._config.health) != text:
            group = files.group_of(self._config.user)
            files.write(self._config.health, text, 0o640, group=group)


async def _fault(trial: Trial) -> str:
    async for step in trial.steps():
        if not step.ok:
            return f"{step.name}: {step.answer}"
    return ""
