"""What an admin should look at: found by `pointsman check`, and by the agent once a day. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from pointsman.store.certificates import facts
from pointsman.store.records import Connector

WARNING, ERROR = "warning", "error"
SOON, URGENT = 30, 7  # days that a certificate is still good for


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or will be."""

    severity: str
    name: str  # what it is about: `connector court-smtp`
    kind: str  # the same word in the log
    text: str
    fix: str


def ending_certificates(connectors: Iterable[Connector], now: datetime) -> Iterator[Finding]:
    """Client certificates that end soon, or have; of a disabled connector nobody needs one."""
    for connector in connectors:
        if not connector.certificate or connector.state == "disabled":
            continue
        found = facts(connector.certificate)
        days = found.days_left(now)
        if days >= SOON:
            continue
        word, left = ("ended", "") if days < 0 else ("ends", f", days left: {days}")
        yield Finding(
            ERROR if days < URGENT else WARNING,
            f"connector {connector.name}",
            "certificate-ended" if days < 0 else f"certificate-{URGENT if days < URGENT else SOON}",
            f"has a client certificate that {word} on {found.not_after:%Y-%m-%d}{left}",
            f"get a new one, then `pointsman connector set {connector.name} --pfx FILE`",
        )
