"""What an admin should look at: found by `pointsman check`, and by the agent once a day. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from pointsman.oauth.timing import pause_after, renew_at
from pointsman.store.certificates import facts
from pointsman.store.providers import ASKING, account_of, endpoints
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


def ailing_tokens(
    connectors: Iterable[Connector],
    lives: Mapping[tuple[str, str], tuple[float, float]],
    now: float,
) -> Iterator[Finding]:
    """Live connectors without an access token, or with one that should be a newer one by now.

    `lives`: when each token was obtained and when it ends, by connector and account.
    """
    for connector in connectors:
        if connector.auth != "oauth2" or connector.state != "live":
            continue
        obtained, expires = lives.get((connector.name, account_of(connector)), (0.0, 0.0))
        name, fix = f"connector {connector.name}", _token_fix(connector)
        if expires <= now:
            yield Finding(
                ERROR, name, "token-ended", "has no access token, and its mail waits", fix
            )
        elif renew_at(obtained, expires) + pause_after(1) < now:
            left = f"minutes left: {(expires - now) / 60:.0f}"
            yield Finding(WARNING, name, "token", f"gets no new access token, {left}", fix)


def _token_fix(connector: Connector) -> str:
    """What the log says, and what helps most often."""
    again = f"`pointsman connector authorize {connector.name}`"
    end = f", then {again}" if endpoints(connector).flow in ASKING else ""
    return f"see why in the log (grep 'connector {connector.name} '), is the agent running?{end}"
