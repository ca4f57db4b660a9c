"""Whether Postfix, the snapshot and the database say the same. Pure."""

from collections.abc import Iterator
from datetime import timedelta

from pointsman.checks.facts import Facts
from pointsman.checks.finding import Found
from pointsman.postfix.lane import Tables

_DRIFT = timedelta(minutes=1)  # between hosts that share a database


def database_away(facts: Facts) -> Iterator[Found]:
    """The database can't be read. Mail goes on as last applied, and nothing can be changed."""
    if facts.database:
        yield Found("database", f"can't be read: {facts.database}", "see what it says")


def not_applied(facts: Facts) -> Iterator[Found]:
    """The newest revision has not reached Postfix."""
    applied = facts.applied
    if applied.snapshot is None or applied.snapshot.revision >= applied.revision:
        return
    text = f"{applied.revision} is not applied, mail goes by revision {applied.snapshot.revision}"
    yield Found("revision", text, f"{facts.ours('apply')}, which also says what hinders it")


def not_comparable(facts: Facts) -> Iterator[Found]:
    """The database can't be rendered, so it can't be applied either."""
    if facts.applied.trouble:
        text = f"can't be rendered: {facts.applied.trouble}"
        yield Found("database", text, f"do what it says, then {facts.ours('apply')}")


def edited_by_hand(facts: Facts) -> Iterator[Found]:
    """A table, a lane or a line of main.cf is not as it was applied: edited by hand, or lost."""
    applied = facts.applied
    if applied.snapshot is None or applied.snapshot.revision != applied.revision:
        return  # of course they differ
    for change in applied.differences:
        yield Found("Postfix", f"is not as it was applied: {change}", facts.ours("apply"))


def snapshot_differs(facts: Facts) -> Iterator[Found]:
    """The file by which milter and policy daemon go is missing, or not as it was applied."""
    if not facts.wiring.done:
        return
    applied, path = facts.applied, facts.config.snapshot
    if applied.snapshot is None:
        text = "is missing or can't be read: a milter that starts now defers all mail"
        yield Found(str(path), text, facts.ours("apply"))
    elif applied.snapshot_differs and applied.snapshot.revision == applied.revision:
        yield Found(str(path), "does not say what database and main.cf do", facts.ours("apply"))


def lmdb_differs(facts: Facts) -> Iterator[Found]:
    """The lmdb that Postfix reads does not say what its source does."""
    if facts.applied.lmdb_differs:
        table = Tables(facts.config.tables).sender_transport
        yield Found(
            f"{table}.lmdb",
            f"does not say what its source does: {facts.applied.lmdb_differs}",
            f"`{facts.command('postmap', f'lmdb:{table}')}`",
        )


def not_reloaded(facts: Facts) -> Iterator[Found]:
    """main.cf, master.cf or a table of ours was changed, and Postfix not reloaded."""
    for path in facts.postfix.unread:
        text = "was changed after Postfix was last reloaded: part of it does not count yet"
        yield Found(str(path), text, facts.reloading)


def clock_back(facts: Facts) -> Iterator[Found]:
    """The clock is behind the newest change in the database."""
    if facts.newest and facts.newest - facts.now > _DRIFT:
        newest = f"the newest change was made at {facts.newest:%Y-%m-%d %H:%M} UTC"
        text = f"says {facts.now:%Y-%m-%d %H:%M} UTC, but {newest}"
        yield Found("clock", text, "`timedatectl set-ntp true`; rates and certificates go by it")


def other_hosts(facts: Facts) -> Iterator[Found]:
    """A host that shares the database is away, or can't apply what it says."""
    for host in facts.hosts:
        state = host.state(facts.book.revision, facts.now.timestamp())
        if host.name == facts.config.host or state not in ("away", "troubled"):
            continue
        if state == "away":
            minutes = host.age(facts.now.timestamp()) / 60
            text = f"was last seen {minutes:.0f} minutes ago, at revision {host.revision}"
            fix = f"start its agent; `pointsman host remove {host.name}` if it is gone for good"
        else:
            text = f"stays at revision {host.revision}: {host.trouble}"
            fix = "`pointsman check` on it"
        yield Found(f"host {host.name}", text, fix)
