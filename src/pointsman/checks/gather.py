"""Gathers the facts that `pointsman check` judges; changes nothing."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from pointsman.checks import files
from pointsman.checks.facts import Applied, Facts, Wiring
from pointsman.checks.host import PATIENCE, read_daemons, read_host
from pointsman.checks.instance import read_postfix, read_wiring
from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.locks import is_locked
from pointsman.oauth import vault
from pointsman.postfix.apply import Applier
from pointsman.postfix.conf import Instance, PostfixError
from pointsman.postfix.files import text_of
from pointsman.postfix.lane import Tables
from pointsman.routing import snapshot as snapshots
from pointsman.routing.snapshot import Snapshot
from pointsman.store import hosts, tables
from pointsman.store.book import read
from pointsman.store.database import Store

BUSY = 20.0  # seconds that an apply, which waits for Postfix, may take
_ASKERS = 5  # threads: postconf four times, and the database
_ENTRANCES = [f"connector {word}" for word in ("add", "enable", "enable untested", "disable")]


def gather(config: Config, store: Store) -> Facts:
    """Read everything once; what can't be read is a fact as well."""
    applier = Applier(config, store)
    with ThreadPoolExecutor(_ASKERS) as pool:
        database = pool.submit(_from_database, config, store)
        _ask_ahead(pool, applier.instance)
    facts = database.result()
    try:
        postfix = read_postfix(config, applier.instance)
        wiring = read_wiring(config, applier.instance)
    except PostfixError as error:
        return replace(facts, wiring=Wiring(done=False, trouble=str(error)))
    facts = replace(facts, postfix=postfix, wiring=wiring)
    connectors = list(facts.book.connectors.values())
    if wiring.done:
        facts = replace(facts, applied=_compare(applier, facts))
        revision = facts.applied.snapshot.revision if facts.applied.snapshot else 0
        daemons = read_daemons(config, applier.instance, connectors, revision)
        facts = replace(facts, daemons=daemons)
    return replace(
        facts, host=read_host(config, applier.instance, postfix, _paths(facts), connectors)
    )


def _ask_ahead(pool: ThreadPoolExecutor, instance: Instance) -> None:
    """Let postconf give all its answers at once: with 1,000 lanes each takes half a second."""
    pool.submit(instance.services)
    pool.submit(instance.explicit)
    pool.submit(instance.parameters)
    pool.submit(instance.parameters, expand=False)


def _from_database(config: Config, store: Store) -> Facts:
    facts = Facts(now=datetime.now(UTC), config=config, sqlite=store.path)
    change = tables.change.c
    try:
        book = read(store)
        with store.reading() as connection:
            newest = connection.scalar(select(func.max(change.at)))
            entered = connection.execute(
                select(change.name, func.max(change.at))
                .where(change.action.in_(_ENTRANCES))
                .group_by(change.name)
            ).all()
        return replace(
            facts,
            book=book,
            tokens=vault.lives(store),
            newest=datetime.fromisoformat(newest) if newest else None,
            hosts=tuple(hosts.all_of(store)),
            touched={name: datetime.fromisoformat(at) for name, at in entered},
        )
    except PointsmanError as error:
        return replace(facts, database=str(error))


def _paths(facts: Facts) -> Iterator[Path]:
    """The files whose owner and mode matter."""
    yield from (right.path for right in files.rights(facts))
    yield facts.config.path
    if facts.sqlite:
        yield facts.sqlite
    if facts.config.tables.is_dir():
        yield facts.config.tables
        yield from facts.config.tables.rglob("*")


def _compare(applier: Applier, facts: Facts) -> Applied:
    """Compare database, Postfix and snapshot; the agent has time to make them agree."""
    if facts.database:
        return Applied(snapshot=_snapshot(applier.config))
    start = time.monotonic()
    while True:
        found = _compare_now(applier)
        if not _differs(found) or not _at_work(applier.config, time.monotonic() - start):
            break
        time.sleep(0.2)
    return replace(found, lmdb_differs=_lmdb_difference(applier.instance, applier.tables))


def _at_work(config: Config, waited: float) -> bool:
    """Whether the agent may still be about to make them agree."""
    patience = BUSY if is_locked(config.apply_lock) else PATIENCE
    return is_locked(config.agent_lock) and waited < patience


def _differs(found: Applied) -> bool:
    return found.snapshot is None or found.snapshot_differs or bool(found.differences)


def _compare_now(applier: Applier) -> Applied:
    snapshot = _snapshot(applier.config)
    try:
        plan = applier.plan()
    except (PointsmanError, OSError) as error:
        return Applied(snapshot, snapshot.revision if snapshot else 0, trouble=str(error))
    rendered = plan.rendered.snapshot
    return Applied(
        snapshot=snapshot,
        revision=rendered.revision,
        differences=tuple(plan.describe()),
        snapshot_differs=snapshot is not None and replace(snapshot, changed={}) != rendered,
    )


def _snapshot(config: Config) -> Snapshot | None:
    try:
        return snapshots.load(config.snapshot)
    except (OSError, ValueError, KeyError):
        return None


def _lmdb_difference(instance: Instance, ours: Tables) -> str:
    """The first row in which the lmdb differs from its source."""
    source = text_of(ours.sender_transport)
    if source is None:
        return ""
    try:
        shown = instance.run("postmap", "-s", f"lmdb:{ours.sender_transport}")
    except PostfixError as error:
        return str(error)
    there = {_folded(*line.split("\t", 1)) for line in shown.splitlines()}
    wrong = sorted(there ^ {_folded(*line.split(" ", 1)) for line in source.splitlines()})
    return f"`{wrong[0]}`" if wrong else ""


def _folded(key: str, value: str) -> str:
    """A row as postmap writes it, which takes the \u00df of a domain for ss."""
    return f"{key.casefold()} {value}"
