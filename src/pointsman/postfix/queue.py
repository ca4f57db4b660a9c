"""The queue: which messages belong to a lane, and how to move them on."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pointsman.postfix.conf import Instance, PostfixError
from pointsman.routing.address import AddressError, carried_by, parse_path
from pointsman.routing.decide import MARKER
from pointsman.routing.lanes import find_link
from pointsman.routing.snapshot import DEFAULT_AGENCY, Snapshot

QUEUES = ("incoming", "active", "deferred", "hold")
NULL = "MAILER-DAEMON"  # how postqueue(1) shows the null sender
_FILTER = re.compile(r"^content_filter: (\S+)", re.MULTILINE)
_MARKED = re.compile(rf"^(?:regular_text: )?{MARKER}: (\S+) (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Queued:
    """One message in the queue."""

    queue_id: str
    queue: str
    sender: str
    arrived: int  # seconds since the epoch
    recipients: int


def listed(instance: Instance) -> Iterator[Queued]:
    """All messages, as postqueue(1) lists them."""
    for line in instance.run("postqueue", "-j").splitlines():
        data = json.loads(line)
        yield Queued(
            data["queue_id"],
            data["queue_name"],
            data["sender"],
            data["arrival_time"],
            len(data["recipients"]),
        )


def ids(instance: Instance) -> dict[str, list[str]]:
    """The queue ids of each queue, straight from the folders: far cheaper than postqueue(1)."""
    folder = instance.queue_directory()
    return {part: list(_names(folder / part)) for part in QUEUES}


def _names(folder: Path) -> Iterator[str]:
    """The files of a queue, which may be spread over folders of one letter."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(entry.name) == 1 and entry.is_dir():
                    yield from _names(Path(entry.path))
                else:
                    yield entry.name
    except FileNotFoundError:
        return


def owner_of(instance: Instance, snapshot: Snapshot, queued: Queued) -> tuple[str, str] | None:
    """Agency and connector of a queued message; of marked mail only the connector."""
    if queued.sender == NULL:
        marked = _MARKED.search(text_of(instance, queued.queue_id))
        known = marked is not None and marked[1] in snapshot.tokens
        return ("", marked[2]) if marked and known else None
    try:
        address = parse_path(queued.sender, snapshot.around.myorigin)
    except AddressError:
        return None
    carried = carried_by(address)
    if carried:
        return carried
    found = find_link(snapshot, address)
    if found:
        return found[1].agency, found[1].connector
    return DEFAULT_AGENCY, snapshot.default


def lane_of(snapshot: Snapshot, sender: str) -> str | None:
    """The connector of a queued envelope sender, by carrier or link."""
    try:
        address = parse_path(sender, snapshot.around.myorigin)
    except AddressError:
        return None
    carried = carried_by(address)
    if carried:
        return carried[1]
    found = find_link(snapshot, address)
    return found[1].connector if found else snapshot.default


def waiting_for(instance: Instance, snapshot: Snapshot, connector: str) -> list[str]:
    """The queue ids of all messages that are to leave by a connector."""
    owners = ((queued, owner_of(instance, snapshot, queued)) for queued in listed(instance))
    return [queued.queue_id for queued, owner in owners if owner and owner[1] == connector]


def move_on(instance: Instance, snapshot: Snapshot, changed: Iterable[str]) -> int:
    """After `changed` connectors were corrected, send on what waited for them.

    Deferred mail is tried at once. Marker mail has its next hop in the queue file,
    so it is requeued where that is not today's. Returns how many were moved.
    """
    names = set(changed)
    if not names:
        return 0
    waiting = list(listed(instance))
    stale = [q.queue_id for q in waiting if q.sender == NULL and _is_stale(instance, snapshot, q)]
    due = [
        q.queue_id
        for q in waiting
        if q.sender != NULL and q.queue == "deferred" and lane_of(snapshot, q.sender) in names
    ]
    if stale:
        instance.run("postsuper", "-r", "-", stdin="\n".join(stale) + "\n")
    for queue_id in due:
        instance.complaints("postqueue", "-i", queue_id)  # it may be gone by now
    return len(stale) + len(due)


def _is_stale(instance: Instance, snapshot: Snapshot, queued: Queued) -> bool:
    """Whether a marked message is not on today's way to its lane."""
    found = _marked(instance, snapshot, queued.queue_id)
    if found is None:
        return False
    today, stored = found
    on_hold = queued.queue == "hold"  # without a way by our rule: lane not applied yet, or gone
    return stored != today and on_hold is not bool(stored)


def is_overtaken(instance: Instance, snapshot: Snapshot, queue_id: str) -> bool:
    """Whether a marked message has a way in its queue file that is not today's."""
    found = _marked(instance, snapshot, queue_id)
    return found is not None and found[1] not in ("", found[0])


def _marked(instance: Instance, snapshot: Snapshot, queue_id: str) -> tuple[str, str] | None:
    """Of a marked message, today's way to its lane, and the one in its queue file or ''."""
    text = text_of(instance, queue_id)
    marked = _MARKED.search(text)
    lane = snapshot.lane(marked[2]) if marked and marked[1] in snapshot.tokens else None
    if lane is None or not lane.live:
        return None
    filtered = _FILTER.search(text)
    return lane.destination, filtered[1] if filtered else ""


def text_of(instance: Instance, queue_id: str) -> str:
    """Envelope and header of a message; empty if it has left meanwhile."""
    try:
        return instance.run("postcat", "-q", "-e", "-h", queue_id)
    except PostfixError:
        return ""
