"""What a message would look like if we did more than look on. Pure."""

from dataclasses import replace

from pointsman.routing.address import AddressError, parse_path
from pointsman.routing.decide import Message
from pointsman.routing.lanes import find_link
from pointsman.routing.recipients import is_outbound
from pointsman.routing.snapshot import POSTFIX, Snapshot


def as_enforced(snapshot: Snapshot, message: Message) -> Message:
    """The message as Postfix would show it if its table led to the lanes already."""
    try:
        envelope = parse_path(message.envelope, snapshot.around.myorigin)
    except AddressError:
        return message
    found = None if envelope.null else find_link(snapshot, envelope)
    default = snapshot.null_sender if envelope.null and snapshot.null_sender else snapshot.default
    mailer = snapshot.transport_of(found[1].connector if found else default)
    today = replace(snapshot, default=POSTFIX)  # while we observe, Postfix's own default counts
    recipients = [
        replace(r, mailer=mailer) if r.mailer is not None and is_outbound(today, r) else r
        for r in message.recipients
    ]
    return replace(message, recipients=recipients)
