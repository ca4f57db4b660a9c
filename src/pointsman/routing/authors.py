"""Whose message it is by its own header: the mailboxes of From, and the one that decides."""

from collections.abc import Sequence
from dataclasses import dataclass

from pointsman.routing.address import NULL, Address, AddressError
from pointsman.routing.lanes import By, route_of
from pointsman.routing.mailbox import mailboxes
from pointsman.routing.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Authors:
    """All that a message claims to be from, and by which of them its way is chosen."""

    mailboxes: Sequence[Address]
    decider: Address | None
    by: By = "from"


def authors_of(snapshot: Snapshot, froms: Sequence[str], senders: Sequence[str]) -> Authors:
    """Read From and, where it has several mailboxes, Sender (RFC 5322 3.6.2), both as sent.

    Raises AddressError for what can't be read, or leaves open who decides.
    """
    if not froms:
        return Authors((), None)
    found = _one_field("From", froms)
    if len(found) == 1:
        return Authors(found, found[0])
    if senders:
        decider = _one_field("Sender", senders)
        if len(decider) > 1:
            raise AddressError("The Sender field has several mailboxes")
        return Authors([*found, decider[0]], decider[0], "sender")
    known = (route_of(snapshot, author, "from", NULL) for author in found)
    routes = {(r.agency, r.connector, r.ways, r.turn) for r in known}
    if len(routes) > 1:
        raise AddressError("The From field names several agencies or ways, and no Sender decides")
    return Authors(found, found[0])


def _one_field(name: str, fields: Sequence[str]) -> Sequence[Address]:
    if len(fields) > 1:
        raise AddressError(f"More than one {name} field")
    try:
        found = mailboxes(fields[0])
    except AddressError as error:
        raise AddressError(f"The {name} field can't be read: {error}") from None
    if not found:
        raise AddressError(f"The {name} field has no address")
    return found
