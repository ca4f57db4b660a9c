"""`pointsman run policy`: the sockets, and what has to be done every second."""

import asyncio
import gc
import os
import signal
import socket
import stat
import sys
from functools import partial
from pathlib import Path

import uvloop

from pointsman import logs, notify_socket
from pointsman.config import Config
from pointsman.current import Current
from pointsman.errors import PointsmanError
from pointsman.locks import locked
from pointsman.policy import control, recall
from pointsman.policy.journal import Journal
from pointsman.policy.ledger import Ledger
from pointsman.policy.rules import Rules
from pointsman.policy.server import Desk, Peer, allow_many_files
from pointsman.rates.counters import Counters, Memory
from pointsman.store import usage
from pointsman.store.database import Store

TICK = 1.0  # seconds between syncs of the journal
REPORT = 30.0  # seconds between reports to the database, at least,
SHARE = 20  # and so often the time that the last one took: mail waits a little meanwhile
PATIENCE = 5.0  # seconds to wait for the database at the end
GARBAGE = (10_000, 10, 1000)  # see gc.set_threshold: a full look at 100,000 agencies takes 0.3 s
SWEEP = 60  # ticks between looks at what is old
PART = 2000  # agencies, or counters, that are looked at in one go: mail waits meanwhile
PAUSE = 0.2  # seconds between parts of a report
SWITCH = 5e-5  # seconds that mail waits for another thread, as for the one that reports


def prepare(config: Config) -> tuple[Store, Counters]:
    """Load what is loaded only when it is used, while we may still read all of Python."""
    import concurrent.futures.thread  # noqa: F401, PLC0415
    import email.parser  # noqa: F401, PLC0415 - redis asks for its own version
    import encodings.idna  # noqa: PLC0415 - for the name of another host
    import encodings.punycode  # noqa: F401, PLC0415
    import importlib.metadata  # noqa: F401, PLC0415

    return Store(config), _counters(config.policy.counters)


def serve(config: Config, store: Store, counters: Counters) -> None:
    """Run the daemon; returns when it gets SIGTERM."""
    with locked(config.state_directory / "policy.lock", wait=False):
        for path in (config.policy_socket, config.control_socket):
            _make_room(path)
        logs.start("policy", config.log)
        allow_many_files()
        gc.set_threshold(*GARBAGE)
        sys.setswitchinterval(SWITCH)
        uvloop.run(_serve(config, store, counters))


def _make_room(path: Path) -> None:
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise PointsmanError(f"{path} is there and is no socket: move it away")
    if not path.parent.is_dir():
        raise PointsmanError(f"there is no folder {path.parent}: run `pointsman setup`")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if path.exists() and probe.connect_ex(str(path)) == 0:
            raise PointsmanError(f"a policy daemon is already serving {path}")
    path.unlink(missing_ok=True)


def _counters(url: str) -> Counters:
    if url == "memory":
        return Memory()
    from pointsman.rates.shared import Shared  # noqa: PLC0415 - only where it is wanted

    return Shared(url)


async def _serve(config: Config, store: Store, counters: Counters) -> None:
    current = Current(config.snapshot)
    current.refresh()
    desk = _desk(config, current, counters)
    current.watch()
    loop = asyncio.get_running_loop()
    os.umask(0o007)  # the folder's group, Postfix's, may connect
    server = await loop.create_unix_server(
        partial(Peer, desk), str(config.policy_socket), backlog=1024
    )
    os.umask(0o177)
    talk = partial(control.serve_client, desk)
    own = await asyncio.start_unix_server(talk, str(config.control_socket), limit=control.LONGEST)
    desk.report = partial(_report, desk, store)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    logs.started(f"policy at {config.policy.socket}")
    daemon = notify_socket.service()
    daemon.ready()
    chores = [asyncio.create_task(task) for task in (_chores(desk), notify_socket.beat(daemon))]
    await stop.wait()
    daemon.stopping()
    server.close()
    own.close()
    for chore in chores:
        chore.cancel()
    for peer in list(desk.peers):
        peer.close()
    if not desk.database_away:  # a restart must not wait for it: mail does
        await desk.hand_over(PATIENCE)


def _desk(config: Config, current: Current, counters: Counters) -> Desk:
    """Remember everything first: rates are known before what they counted."""
    journal = Journal(config.state_directory / "policy.journal")
    ledger = Ledger(journal, counters)
    if current.snapshot is not None:
        ledger.rules = Rules(current.snapshot)
    try:
        recall.replay(ledger, journal.read())
        journal.open(recall.state(ledger))
    except OSError as error:
        raise PointsmanError(f"{error.filename or journal.path}: {error.strerror}") from None
    return Desk(ledger, current, config.policy.on_failure)


async def _chores(desk: Desk) -> None:
    number = 0
    while True:
        await asyncio.sleep(TICK)
        number += 1
        try:
            await _chore(desk, number)
        except Exception as error:  # noqa: BLE001 - they must go on
            logs.failed("NOQUEUE", error)


async def _chore(desk: Desk, number: int) -> None:
    ledger, now = desk.ledger, desk.now()
    if ledger.journal.large:
        ledger.journal.renew(recall.state(ledger))
    await asyncio.to_thread(ledger.journal.sync)
    ledger.tally.warn_alone(len(ledger.held), now - desk.agent_at)
    if isinstance(ledger.counters, Memory):
        ledger.counters.windows.forget(now, PART)
    if number % SWEEP == 0:
        ledger.tally.warn_old(ledger.held.oldest(), now)
        ledger.tally.forget(now)
        ledger.answered.turn()
    for alarm in ledger.tally.new_alarms():
        logs.alarm(alarm.name, alarm.kind, alarm.text)
    if now >= desk.report_at:
        await desk.hand_over(0.0)


async def _report(desk: Desk, store: Store) -> None:
    """Hand over the counts; what the database does not take is kept for the next time."""
    tally, began = desk.ledger.tally, desk.now()
    desk.report_at = began + REPORT
    for counted, alarms in tally.hand_over(PART):
        notices = [(alarm.name, alarm.kind, alarm.text) for alarm in alarms]
        try:
            await asyncio.to_thread(usage.add, store, counted, notices)
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            tally.take_back(counted, alarms)
            if not desk.database_away:
                logs.report_failed(error)
            desk.database_away = True
            return
        desk.database_away = False
        await asyncio.sleep(PAUSE * (len(counted) >= PART))
    desk.report_at = max(desk.report_at, began + SHARE * (desk.now() - began))
