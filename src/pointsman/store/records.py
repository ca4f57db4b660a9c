"""What the admin manages. One list of fields feeds table, CLI, docs and lanes.

Each field of a record is declared once, by `setting`: the database column, the
CLI option, the listing, the generated reference and, for a connector, the lane's
statement (postfix/lane.py) all follow from it.
"""

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from cryptography import x509

from pointsman.errors import UsageError
from pointsman.routing.address import (
    Address,
    AddressError,
    is_carrier,
    normal_domain,
    normal_local,
    split_address,
)
from pointsman.routing.snapshot import DEFAULT_AGENCY, NONE, POSTFIX

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
_HOST = re.compile(r"(?=.{1,253}$)\w[\w-]{0,62}(\.[\w-]{1,63})*", re.ASCII)
_LITERAL = re.compile(r"[0-9.]+|[0-9a-f:.]*:[0-9a-f:.]*", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\\.')
_UNKEEPABLE = re.compile(r"[\x00\r\n]")

TLS_MODES = ("none", "may", "starttls", "tls")
DEFAULT_PORTS = {"none": 25, "may": 25, "starttls": 587, "tls": 465}
MAX_PASSWORD = 1024  # bytes
MAX_PORT = 65535

Check = Callable[[str], str]


@dataclass(frozen=True)
class Setting:
    """How a field looks to people: option, help and what is allowed."""

    help: str
    choices: Sequence[str] = ()
    check: Check | None = None
    metavar: str | None = None
    secret: bool = False  # kept encrypted, never shown
    file: bool = False  # the option names a file that holds the value


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


def checked_name(name: str, reserved: Sequence[str] = ()) -> str:
    """Accept the name of an agency or connector."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a name: use a-z, 0-9 and '-', beginning with a letter or digit, "
            "at most 30 characters"
        )
    if name in reserved:
        raise UsageError(f"{name!r} is built in: choose another name")
    return name


def checked_host(text: str) -> str:
    """Accept ``host``, ``host:port``, an address, or ``[address]:port``."""
    host, port = split_host(text)
    if not (_LITERAL.fullmatch(host) or _HOST.fullmatch(host)):
        raise UsageError(f"{text!r} is not a host: write smtp.example.com or smtp.example.com:587")
    if _LITERAL.fullmatch(host):
        _address(host, text)
    if port is not None and not 1 <= port <= MAX_PORT:
        raise UsageError(f"{text!r}: a port is a number from 1 to {MAX_PORT}")
    return text.lower()


def _address(host: str, text: str) -> None:
    try:
        ip_network(host)
    except ValueError:
        raise UsageError(f"{text!r} is neither a host name nor an IP address") from None


def split_host(text: str) -> tuple[str, int | None]:
    """Split off the port, if one is given."""
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d{1,6}))?", text)
    plain = re.fullmatch(r"([^:]*)(?::(\d{1,6}))?", text)
    match = bracketed or plain
    if match is None:
        return text, None
    return match[1], int(match[2]) if match[2] else None


def checked_network(text: str) -> str:
    """Accept an address or CIDR network, host bits clear."""
    try:
        network = ip_network(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a network: {error}") from None
    if getattr(network.network_address, "ipv4_mapped", None):
        raise UsageError(f"{text!r}: write an IPv4 network as such, clients are compared that way")
    return str(network)


def checked_sender(text: str) -> str:
    """Accept ``user@domain``, ``@domain`` or ``@.parent`` and return its key."""
    bad = UsageError(
        f"{text!r} is not a sender: write user@domain, @domain or @.parent for its subdomains"
    )
    try:
        address = split_address(text)
    except AddressError:
        raise bad from None
    domain = normal_domain(address.domain.removeprefix("."))
    if is_carrier(Address("", domain)) or "@" in _QUOTED.sub("", text.rpartition("@")[0]):
        raise bad
    subdomains = address.domain.startswith(".")
    if not _HOST.fullmatch(domain) or (subdomains and address.local) or _spaced(address.local):
        raise bad
    return f"{normal_local(address.local)}@{'.' if subdomains else ''}{domain}"


def _spaced(local: str) -> bool:
    return local != local.strip() or bool(re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", local))


def checked_text(text: str) -> str:
    """Accept one line of text."""
    if not text.isprintable():
        raise UsageError(f"{text!r}: one line of printable text, please")
    return text


def checked_username(text: str) -> str:
    """Accept a login that Postfix's ``user:password`` can hold (before 3.9, no colon)."""
    if ":" in text or not text.strip() or text[0] == " " or _UNKEEPABLE.search(text):
        raise UsageError("a user name can't be empty or hold ':', NUL or a line break")
    return checked_text(text)


def checked_password(text: str) -> str:
    """Accept a password that reaches the server exactly as given."""
    if not text or _UNKEEPABLE.search(text):
        raise UsageError("a password can't be empty or hold NUL or a line break")
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise UsageError("a password must be UTF-8 text") from None
    if size > MAX_PASSWORD:
        raise UsageError(f"a password has at most {MAX_PASSWORD:,} bytes, this one has {size:,}")
    return text


def checked_certificates(text: str) -> str:
    """Accept PEM text with at least one certificate."""
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise UsageError("the CA file holds no certificate in PEM format") from None
    return text


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
    description: str = setting("", "A note for people.", check=checked_text)


@dataclass(frozen=True)
class Connector:
    """A named way out."""

    name: str
    host: str = setting(
        "",
        "The server to send to; the port is 587 for starttls, 465 for tls, else 25.",
        check=checked_host,
        metavar="HOST[:PORT]",
    )
    tls: str = setting(
        "starttls",
        "Encryption. none: never; may: if the server offers it; starttls: required, and the "
        "certificate verified; tls: the same from the first byte.",
        choices=TLS_MODES,
    )
    auth: str = setting("none", "How to log in to the server.", choices=("none", "password"))
    username: str = setting("", "The login at the server.", check=checked_username)
    password: str = setting(
        "",
        "A file that holds the password and no more, or - for standard input.",
        check=checked_password,
        secret=True,
        file=True,
    )
    ca: str = setting(
        "",
        "CA certificates (PEM) that the server's must come from, instead of the system's.",
        check=checked_certificates,
        file=True,
    )
    envelope: str = setting(
        "keep",
        "Keep the envelope sender, or align it with the From address where a provider "
        "accepts only its own.",
        choices=("keep", "align"),
    )
    description: str = setting("", "A note for people.", check=checked_text)
    state: str = "new"  # new, live, disabled: only enable and disable change it

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = split_host(self.host)
        return host, port or DEFAULT_PORTS[self.tls]


@dataclass(frozen=True)
class Sender:
    """A link: mail of this address or domain belongs to an agency and takes a connector."""

    key: str
    agency: str
    connector: str


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
    if not connector.host:
        raise UsageError(f"connector {connector.name} needs --host")
    if connector.auth == "password" and not (connector.username and connector.password):
        raise UsageError("--auth password needs --username and --password-file")
    if connector.auth == "none" and (connector.username or connector.password):
        raise UsageError("a user name or password is only for --auth password")
    if connector.ca and connector.tls in ("none", "may"):
        raise UsageError(f"--ca-file has no effect with --tls {connector.tls}: use starttls or tls")
    return connector


def check_agency(agency: Agency) -> Agency:
    """Insist that somebody may send for an agency."""
    if agency.name != DEFAULT_AGENCY and not (
        agency.logins or agency.networks or agency.any_client
    ):
        raise UsageError(
            f"who may send for agency {agency.name}? Give --login, --network or --any-client"
        )
    return agency
