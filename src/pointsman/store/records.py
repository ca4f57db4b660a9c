"""What the admin manages. One list of fields feeds table, CLI, docs and lanes.

Each field of a record is declared once, by `setting`: the database column, the
CLI option, the listing, the generated reference and, for a connector, the lane's
statement (postfix/lane.py) all follow from it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.errors import UsageError
from pointsman.routing.snapshot import DEFAULT_AGENCY, NONE, POSTFIX
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
    checked_text,
    checked_url,
    checked_username,
    is_literal,
    split_host,
)
from pointsman.store.presets import OTHER, PRESETS, check_auth
from pointsman.store.providers import AUTO, FLOWS, PROVIDERS, check_oauth

TLS_MODES = ("none", "may", "starttls", "tls")
DEFAULT_PORTS = {"none": 25, "may": 25, "starttls": 587, "tls": 465}
# Each way to log in, and the fields that it can't do without.
LOGINS = {
    "none": (),
    "password": ("username", "password"),
    "certificate": ("certificate", "private_key"),
    "oauth2": ("username",),
}

Check = Callable[[str], str]


@dataclass(frozen=True)
class Setting:
    """How a field looks to people: option, help and what is allowed."""

    help: str
    choices: Sequence[str] = ()
    check: Check | None = None
    metavar: str | None = None
    secret: bool = False  # kept encrypted, never shown
    lines: bool = False  # a secret of several lines
    file: bool = False  # the option names a file that holds the value
    states: str = ""  # the parameter by which the lane states the value, where one will do
    auths: Sequence[str] = ()  # the ways to log in that it belongs to; () for all
    made_from: str = ""  # the option that it is made from, where it has none of its own

    def option(self, name: str) -> str:
        """The option by which a person gives the field of this name."""
        if self.made_from:
            return f"--{self.made_from}"
        return f"--{name.replace('_', '-')}{'-file' if self.file else ''}"


def setting(default: Any, help: str, **more: Any) -> Any:  # noqa: A002 - click's own word
    """Declare a record's field."""
    return dataclasses.field(default=default, metadata={"setting": Setting(help, **more)})


def settings(record: type) -> dict[str, tuple[Setting, Any]]:
    """The declared fields of a record, each with its default."""
    return {
        field.name: (field.metadata["setting"], field.default)
        for field in dataclasses.fields(record)
        if "setting" in field.metadata
    }


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
    connectors: str  # one or several, in order, with blanks between: 100,000 are read fast
    rate: str = ""  # of this sender alone, within its agency's
    turn: str = ""  # how several take turns: routing/turns.py
    description: str = ""
    off: bool = False

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


RESERVED_AGENCIES = (DEFAULT_AGENCY,)
RESERVED_CONNECTORS = (POSTFIX, NONE)


def check_values(record: type, values: dict[str, Any]) -> dict[str, Any]:
    """Check given values against the record's field list; return them in normal form."""
    known = settings(record)
    return {name: _checked(known[name][0], value) for name, value in values.items()}


def _checked(field: Setting, value: Any) -> Any:
    if field.choices and value not in field.choices:
        raise UsageError(f"{value!r}: choose from {', '.join(field.choices)}")
    if field.check is None or value in ("", False, True):
        return value
    if isinstance(value, tuple):
        return tuple(dict.fromkeys(field.check(item) for item in value))
    return field.check(value)


def check_connector(connector: Connector) -> Connector:
    """Refuse combinations that could not work or would not be safe."""
    if not connector.hosts:
        raise UsageError(f"connector {connector.name} needs --host")
    _check_tls(connector)
    check_auth(connector.preset, connector.auth)
    _check_login(connector)
    return connector


def _check_login(connector: Connector) -> None:
    """Insist on what the way to log in needs, and on nothing of the others."""
    auth, fields = connector.auth, settings(Connector)
    if not all(getattr(connector, name) for name in LOGINS[auth]):
        options = dict.fromkeys(fields[name][0].option(name) for name in LOGINS[auth])
        raise UsageError(f"--auth {auth} needs {' and '.join(options)}")
    for name, (field, default) in fields.items():
        if field.auths and auth not in field.auths and getattr(connector, name) != default:
            ways = " or ".join(field.auths)
            raise UsageError(f"{field.option(name)} is only for --auth {ways}")
    if auth == "certificate" and connector.tls in ("none", "may"):
        raise UsageError("--auth certificate needs --tls starttls or tls: it is shown in TLS alone")
    if auth == "oauth2":
        check_oauth(connector)


def _check_tls(connector: Connector) -> None:
    tls, pins, name = connector.tls, connector.fingerprints, connector.server_name
    verifying = {"--ca-file": connector.ca, "--fingerprint": pins, "--server-name": name}
    if tls in ("none", "may"):
        for option in (option for option, value in verifying.items() if value):
            raise UsageError(f"{option} has no effect with --tls {tls}: use starttls or tls")
        return
    if pins and connector.ca:
        raise UsageError("--fingerprint counts instead of --ca-file: give one of the two")
    for host, _ in connector.addresses:
        if is_literal(host) and not (pins or name):
            raise UsageError(
                f"--tls {tls} verifies the certificate by host name: give the server's name, not "
                "its address, or --server-name, or --fingerprint"
            )


def check_agency(agency: Agency) -> Agency:
    """Insist that somebody may send for an agency."""
    if agency.name != DEFAULT_AGENCY and not (
        agency.logins or agency.networks or agency.any_client
    ):
        raise UsageError(
            f"who may send for agency {agency.name}? Give --login, --network or --any-client"
        )
    return agency
