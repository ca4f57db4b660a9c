"""Owners and modes of what holds a secret, or must be read or written by a daemon. Pure."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pointsman.checks.facts import Facts, Status
from pointsman.checks.finding import Found

READ = 0o004


class Right(NamedTuple):
    """How a file ought to be."""

    path: Path
    owner: str
    group: str
    mode: int


def rights(facts: Facts) -> Iterator[Right]:
    """Everything that setup, apply and the daemons make; what is not there is left out."""
    config, host = facts.config, facts.host
    user, group = config.user, host.user_group
    state = config.state_directory
    yield Right(config.secret_key_file, "root", "root", 0o600)
    yield Right(state, user, group, 0o750)
    yield Right(config.snapshot, "root", group, 0o640)
    yield Right(config.health, "root", group, 0o640)
    yield Right(state / "policy.journal", user, group, 0o600)
    yield Right(config.control_socket, user, group, 0o600)
    yield Right(config.milter_socket.parent, user, host.mail_group, 0o2710)
    for path in (config.milter_socket, config.policy_socket):
        yield Right(path, user, host.mail_group, 0o770)


def wrong_rights(facts: Facts) -> Iterator[Found]:
    """A file or socket can be read or changed by too many, or not by the daemon that must."""
    for right in rights(facts):
        there = facts.host.status.get(right.path)
        wanted = (right.owner, right.group, right.mode)
        if there is None or there[:3] == wanted:
            continue
        owner, path = f"{right.owner}:{right.group}", right.path
        text = f"is {_spelled(there)}, and should be {_spelled(Status(*wanted))}"
        yield Found(str(path), text, f"`chown {owner} {path} && chmod {right.mode:o} {path}`")


def _spelled(status: Status) -> str:
    return f"{status.owner}:{status.group} {status.mode:04o}"


def tables_of_others(facts: Facts) -> Iterator[Found]:
    """Somebody other than root can change a table that Postfix reads."""
    for path, there in facts.host.status.items():
        ours = path == facts.config.tables or path.is_relative_to(facts.config.tables)
        if ours and (there.owner != "root" or there.mode & 0o022):
            fix = f"`chown root {path} && chmod go-w {path}`"
            yield Found(str(path), f"is {_spelled(there)}: not root's alone to change", fix)


def configuration_of_others(facts: Facts) -> Iterator[Found]:
    """Somebody other than root can change the configuration file, or read a password in it."""
    path = facts.config.path
    there = facts.host.status.get(path)
    if there is None:
        return
    if there.owner != "root" or there.mode & 0o022:
        fix = f"`chown root {path} && chmod go-w {path}`"
        yield Found(str(path), f"is {_spelled(there)}: root goes by what others may write", fix)
    if there.mode & READ and _has_password(facts):
        text = "can be read by everybody, and has a password in it"
        yield Found(str(path), text, f"`chgrp {facts.host.user_group} {path} && chmod o-r {path}`")


def _has_password(facts: Facts) -> bool:
    urls = (facts.config.database, facts.config.policy.counters)
    return any("@" in url.partition("://")[2] for url in urls)


def database_of_others(facts: Facts) -> Iterator[Found]:
    """The database can be read by everybody, or not be written by the daemons."""
    path = facts.sqlite
    there = facts.host.status.get(path) if path else None
    if there is None or path is None:
        return
    if there.owner != facts.config.user or there.mode & 0o007 or not there.mode & 0o200:
        text = f"is {_spelled(there)}: it is for {facts.config.user} alone"
        owner = f"{facts.config.user}:{facts.host.user_group}"
        yield Found(str(path), text, f"`chown {owner} {path} && chmod 640 {path}`")
