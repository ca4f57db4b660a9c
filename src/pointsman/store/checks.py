"""What the CLI takes, checked value by value: returned in normal form, or refused in a sentence."""

import json
import re
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pointsman.errors import UsageError
from pointsman.rates.rate import UNLIMITED, parse_rate, spell_rate
from pointsman.routing.address import (
    Address,
    AddressError,
    is_carrier,
    normal_domain,
    normal_local,
    split_address,
)

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
_HOST = re.compile(r"(?=.{1,253}$)\w[\w-]{0,62}(\.[\w-]{1,63})*", re.ASCII)
_LITERAL = re.compile(r"[0-9.]+|[0-9a-f:.]*:[0-9a-f:.]*", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\\.')
_UNKEEPABLE = re.compile(r"[\x00\r\n]")
_THIS_HOST = ("localhost", "127.0.0.1", "::1")
MAX_PASSWORD = 1024  # bytes
MAX_PORT = 65535


def checked_name(name: str, reserved: tuple[str, ...] = ()) -> str:
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
    if not (is_literal(host) or _HOST.fullmatch(host)):
        raise UsageError(f"{text!r} is not a host: write smtp.example.com or smtp.example.com:587")
    if is_literal(host):
        _address(host, text)
    if port is not None and not 1 <= port <= MAX_PORT:
        raise UsageError(f"{text!r}: a port is a number from 1 to {MAX_PORT}")
    return text.lower()


def _address(host: str, text: str) -> None:
    try:
        ip_network(host)
    except ValueError:
        raise UsageError(f"{text!r} is neither a host name nor an IP address") from None


def is_literal(host: str) -> bool:
    """Whether a host is written as an IP address."""
    return bool(_LITERAL.fullmatch(host))


def checked_hostname(text: str) -> str:
    """Accept the name of a host, no address."""
    if is_literal(text) or not _HOST.fullmatch(text):
        raise UsageError(f"{text!r} is not a host name: write mail.example.com")
    return text.lower()


def checked_address(text: str) -> str:
    """Accept an address that a connection may come from."""
    try:
        address = ip_address(text)
    except ValueError:
        raise UsageError(f"{text!r} is not an IP address") from None
    if address.is_unspecified or address.is_multicast:
        raise UsageError(f"{text!r}: nothing can be sent from this address")
    return str(address)


def checked_fingerprint(text: str) -> str:
    """Accept a SHA-256 digest in hexadecimal, with or without colons."""
    digits = text.replace(":", "").upper()
    if not re.fullmatch(r"[0-9A-F]{64}", digits):
        raise UsageError(
            f"{text!r} is not a SHA-256 fingerprint: 64 hexadecimal digits, as `openssl x509 "
            "-noout -fingerprint -sha256` prints them"
        )
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


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


def checked_mailbox(text: str) -> str:
    """Accept ``user@domain`` as a test may send it."""
    try:
        address = split_address(text)
    except AddressError:
        address = Address("", "")
    if not (address.local and address.domain) or re.search(r"\s", text) or not text.isprintable():
        raise UsageError(f"{text!r} is not an address: write user@domain")
    return text


def _spaced(local: str) -> bool:
    return local != local.strip() or bool(re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", local))


def checked_rate(text: str) -> str:
    """Accept a rate, in its normal spelling."""
    return spell_rate(parse_rate(text))


def checked_share(text: str) -> str:
    """Accept a sender's own rate within its agency's; '' for none."""
    rate = checked_rate(text)
    return "" if rate == UNLIMITED else rate


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


def checked_service_account(text: str) -> str:
    """Accept Google's JSON key of a service account; returns it on one line."""
    bad = UsageError("this is no JSON key of a service account, as Google's console gives it")
    try:
        data = json.loads(text)
        key = load_pem_private_key(data["private_key"].encode(), None)
    except (ValueError, KeyError, TypeError, AttributeError, UnsupportedAlgorithm):
        raise bad from None
    if not isinstance(data.get("client_email"), str) or not isinstance(key, RSAPrivateKey):
        raise bad
    return json.dumps(data)


def checked_url(text: str) -> str:
    """Accept an address to which a secret may be sent: https, or this host itself."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not text.isprintable() or " " in text:
        raise UsageError(f"{text!r} is not an address: write https://login.example.com/token")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _THIS_HOST):
        raise UsageError(f"{text!r}: secrets go there, so it must begin with https://")
    return text


def checked_certificates(text: str) -> str:
    """Accept PEM text with at least one certificate."""
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise UsageError("the file holds no certificate in PEM format") from None
    return text
