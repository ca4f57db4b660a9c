"""What the admin manages. One list of fields feeds table, CLI, docs and lanes.

Each field is declared once, by `setting`: database column, option, listing, generated
reference and, for a connector, the lane's statement (postfix/lane.py) follow from it.
"""

from dataclasses import dataclass
from typing import Any

from pointsman.routing.turns import TURNS
from pointsman.store.checks import (
    checked_address,
    checked_certificates,
    checked_fingerprint,
    checked_host,
    checked_hostname,
    checked_network,
    checked_password,
    checked_rate,
    checked_service_account,
    checked_share,
    checked_text,
    checked_url,
    checked_username,
    split_host,
)
from pointsman.store.fields import setting
from pointsman.store.modes import DEFAULT_PORTS, LOGINS, TLS_MODES
from pointsman.store.presets import OTHER, PRESETS
from pointsman.store.providers import AUTO, FLOWS, PROVIDERS


@dataclass(frozen=True)
class Agency:
    """A tenant: who may send for it."""

    name: str
    logins: tuple[str, ...] = setting(
        (), "A SASL login that may send for the agency; repeatable.", check=checked_text
    )
    networks: tuple[str, ...] = setting(
        (),
        "A network whose clients may send for it; repeatable.",
        check=checked_network,
        metavar="CIDR",
    )
    any_client: bool = setting(False, "Let every client that Postfix relays for send for it.")
    rate: str = setting(
        "50/minute",
        "How much may leave: N/window, messages or recipients, several parts with ';', or "
        "unlimited.",
        check=checked_rate,
        metavar="RATE",
    )
    over_limit: str = setting(
        "delay",
        "What happens beyond the rate. delay: accept and hold, let go as the rate allows; "
        "defer: answer 450, the client tries again; reject: answer 550.",
        choices=("delay", "defer", "reject"),
    )
    held_max: int = setting(10_000, "Messages held at most; beyond that new ones get a 450.")
    exempt: bool = setting(
        True, "Do not count null-sender mail, postmaster's, and mail to hosted recipients only."
    )
    description: str = setting("", "A note for people.", check=checked_text)


@dataclass(frozen=True)
class Connector:
    """A named way out."""

    name: str
    preset: str = setting(
        OTHER,
        "The provider: fills in host, TLS, rate and what else it asks for, where you don't say.",
        choices=tuple(PRESETS),
    )
    hosts: tuple[str, ...] = setting(
        (),
        "The server to send to; the port is 587 for starttls, 465 for tls, else 25. Repeatable: "
        "the next is tried where one does not answer.",
        check=checked_host,
        metavar="HOST[:PORT]",
    )
    tls: str = setting(
        "starttls",
        "Encryption. none: never; may: if the server offers it; starttls: required, and the "
        "certificate verified; tls: the same from the first byte.",
        choices=TLS_MODES,
    )
    auth: str = setting("none", "How to log in to the server.", choices=tuple(LOGINS))
    username: str = setting(
        "", "The login at the server.", check=checked_username, auths=("password", "oauth2")
    )
    password: str = setting(
        "",
        "A file that holds the password and no more, or - for standard input.",
        check=checked_password,
        secret=True,
        file=True,
        auths=("password",),
    )
    certificate: str = setting(
        "",
        "The client certificate and its chain, PEM.",
        check=checked_certificates,
        file=True,
        auths=("certificate",),
        made_from="pfx",
    )
    private_key: str = setting(
        "", "Its key, PEM.", secret=True, auths=("certificate",), made_from="pfx"
    )
    oauth_provider: str = setting(
        AUTO,
        "Who gives the access tokens. auto: the preset's provider, else other.",
        choices=(AUTO, *PROVIDERS),
        auths=("oauth2",),
    )
    oauth_flow: str = setting(
        AUTO,
        "How to come by them. device, browser: a person agrees once, by `connector authorize`; "
        "client-credentials (Microsoft), service-account (Google): the provider's admin agreed. "
        "auto: device, with Google browser.",
        choices=(AUTO, *FLOWS),
        auths=("oauth2",),
    )
    tenant: str = setting(
        "",
        "Microsoft's directory: its id or a domain of it.",
        check=checked_hostname,
        auths=("oauth2",),
    )
    client_id: str = setting(
        "",
        "The application's id at the provider.",
        check=checked_text,
        metavar="ID",
        auths=("oauth2",),
    )
    client_secret: str = setting(
        "",
        "A file that holds the application's secret and no more, or - for standard input.",
        check=checked_password,
        secret=True,
        file=True,
        auths=("oauth2",),
    )
    service_account: str = setting(
        "",
        "Google's JSON key of a service account with domain-wide delegation.",
        check=checked_service_account,
        secret=True,
        file=True,
        lines=True,
        auths=("oauth2",),
    )
    token_url: str = setting(
        "",
        "Where tokens are asked for, instead of the provider's own.",
        check=checked_url,
        auths=("oauth2",),
    )
    consent_url: str = setting(
        "",
        "Where a person's consent begins, instead of the provider's own: the device "
        "authorization endpoint, or with browser the authorization endpoint.",
        check=checked_url,
        auths=("oauth2",),
    )
    scope: str = setting(
        "",
        "What the token is for, where it is not the provider's own.",
        check=checked_text,
        auths=("oauth2",),
    )
    ca: str = setting(
        "",
        "CA certificates (PEM) that the server's must come from, instead of the system's.",
        check=checked_certificates,
        file=True,
    )
    server_name: str = setting(
        "",
        "The name that the server's certificate must have, where it is not the host's.",
        check=checked_hostname,
        metavar="NAME",
        states="smtp_tls_servername",
    )
    fingerprints: tuple[str, ...] = setting(
        (),
        "SHA-256 fingerprint of the server's certificate, which then counts instead of its name "
        "and issuer; repeatable.",
        check=checked_fingerprint,
        metavar="HEX",
    )
    source_address: str = setting(
        "",
        "The address of this host to send from; the other family of addresses is not used then.",
        check=checked_address,
        metavar="IP",
    )
    helo: str = setting(
        "",
        "The name to greet the server with, instead of this Postfix's own.",
        check=checked_hostname,
        metavar="NAME",
        states="smtp_helo_name",
    )
    processes: int = setting(5, "Connections to the server at the same time, at most.")
    envelope: str = setting(
        "keep",
        "Keep the envelope sender, or align it with the From address where a provider "
        "accepts only its own.",
        choices=("keep", "align"),
    )
    rate: str = setting(
        "unlimited",
        "How much may leave by it, all agencies together: a provider's limit.",
        check=checked_rate,
        metavar="RATE",
    )
    backlog: int = setting(
        2_000,
        "Messages on their way out at most; beyond that new ones are held, so that a slow "
        "server does not fill the queue that all share.",
    )
    description: str = setting("", "A note for people.", check=checked_text)
    state: str = "new"  # new, live, disabled: only enable and disable change it

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Hosts and ports, in the order in which they are tried."""
        split = map(split_host, self.hosts)
        return [(host, port or DEFAULT_PORTS[self.tls]) for host, port in split]

    @property
    def servers(self) -> str:
        """The same for people."""
        return ", ".join(f"{host}:{port}" for host, port in self.addresses)


@dataclass(frozen=True)
class Sender:
    """A link: mail of this address or domain belongs to an agency and takes a connector."""

    key: str
    agency: str
    connectors: str  # in order, with blanks between: 100,000 are read fast
    rate: str = setting("", "Its own rate, within its agency's.", check=checked_share)
    turn: str = setting("", "How several connectors take turns.", choices=("", *TURNS))
    description: str = setting("", "A note for people.", check=checked_text)
    off: bool = setting(False, "Switched off: its mail gets 450.")

    @property
    def ways(self) -> list[str]:
        """The connectors."""
        return self.connectors.split(" ")

    @property
    def state(self) -> str:
        """Whether its mail is taken."""
        return "off" if self.off else "on"


@dataclass(frozen=True)
class Pause:
    """An agency or connector whose mail waits until it is resumed."""

    name: str  # `agency court` or `connector court-smtp`
    who: str
    at: str  # ISO 8601, UTC
    until: str  # the same; "" for no end
    reason: str


@dataclass(frozen=True)
class Diversion:
    """A connector whose mail another one takes for a while."""

    name: str  # of the connector
    to: str
    who: str
    at: str  # ISO 8601, UTC
    until: str  # the same; "" for no end
    reason: str


@dataclass(frozen=True)
class Change:
    """One edit, as history keeps it; secrets only as ciphertext."""

    revision: int
    at: str
    who: str
    host: str
    action: str
    name: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None
