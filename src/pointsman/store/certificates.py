"""Client certificates: read from PKCS#12, kept as PEM, described for people. Pure.

PKCS#12 (RFC 7292) is what Windows and most providers hand out, as .pfx or .p12: a key, its
certificate and, with luck, those of the issuers, under one password.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from pointsman.errors import UsageError

MAX_SIZE = 100_000  # bytes; a file with a long chain has 10,000
# pbeWithSHAAnd128BitRC4, 40BitRC4, 128BitRC2-CBC, 40BitRC2-CBC (RFC 7292, appendix C), in DER.
_OLD_CIPHER = re.compile(rb"\x06\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01[\x01\x02\x05\x06]")
_CONVERT = (  # a pipe will not do: openssl reads its input twice
    "openssl pkcs12 -legacy -in OLD.pfx -nodes -out KEY.pem && "
    "openssl pkcs12 -export -in KEY.pem -out NEW.pfx && rm KEY.pem"
)


class PasswordError(UsageError):
    """The password does not open the file."""


@dataclass(frozen=True)
class Identity:
    """What a lane shows to a server: key, and certificate with its chain, both PEM."""

    private_key: str
    certificate: str


@dataclass(frozen=True)
class Facts:
    """A certificate for people."""

    subject: str
    issuer: str
    fingerprint: str  # SHA-256
    not_after: datetime

    def days_left(self, now: datetime) -> int:
        """Whole days until it ends; negative once it has."""
        return (self.not_after - now).days


def read_pfx(data: bytes, password: str, now: datetime) -> Identity:
    """Read key, certificate and chain; the chain in order, and no strangers in it.

    Raises UsageError with what is wrong and what to do, PasswordError if it may be the password.
    """
    if len(data) > MAX_SIZE:
        raise UsageError(f"it has more than {MAX_SIZE:,} bytes, and is no client certificate")
    _refuse_other_formats(data)
    content = _opened(data, password)
    found = [c.certificate for c in (content.cert, *content.additional_certs) if c]
    if content.key is None:
        raise UsageError("it holds no key: export it again with its private key")
    if not found:
        raise UsageError("it holds no certificate: export it again with the key's certificate")
    leaf = next((c for c in found if c.public_key() == content.key.public_key()), None)
    if leaf is None:
        raise UsageError("its key does not fit its certificate: export two that belong together")
    _check_dates(leaf, now)
    key = content.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = [leaf, *_issuers(leaf, found)]
    return Identity(key.decode(), "".join(c.public_bytes(Encoding.PEM).decode() for c in chain))


def _refuse_other_formats(data: bytes) -> None:
    if not data:
        raise UsageError("it is empty")
    if b"-----BEGIN " in data:
        raise UsageError(
            "it is PEM text, not PKCS#12: convert it, `openssl pkcs12 -export -in FILE.pem "
            "-inkey KEY.pem -out NEW.pfx`"
        )
    try:
        x509.load_der_x509_certificate(data)
    except ValueError:
        return
    raise UsageError("it is a certificate without its key: export both, as PKCS#12 (.pfx)")


def _opened(data: bytes, password: str) -> pkcs12.PKCS12KeyAndCertificates:
    try:
        return pkcs12.load_pkcs12(data, password.encode())
    except UnsupportedAlgorithm:
        raise UsageError(f"it is encrypted in a way that can't be read here: {_CONVERT}") from None
    except ValueError as error:
        # The library tells apart only these two.
        if "password" not in str(error).lower():
            raise UsageError("it is not a PKCS#12 file (.pfx, .p12), or damaged") from None
    if _OLD_CIPHER.search(data):
        raise PasswordError(
            "the password is wrong, or the file is encrypted as old programs do (RC2, RC4), which "
            f"this host does not read; convert it: {_CONVERT}"
        )
    raise PasswordError("the password does not open it" if password else "it needs its password")


def _check_dates(leaf: x509.Certificate, now: datetime) -> None:
    if leaf.not_valid_after_utc <= now:
        raise UsageError(f"its certificate expired on {_day(leaf.not_valid_after_utc)}: renew it")
    if leaf.not_valid_before_utc > now:
        raise UsageError(
            f"its certificate is not valid before {_day(leaf.not_valid_before_utc)}: wait until "
            "then, or look at this host's clock"
        )


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _issuers(leaf: x509.Certificate, found: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The leaf's issuer, that one's issuer and so on, as far as the file has them."""
    chain: list[x509.Certificate] = []
    last, rest = leaf, [c for c in found if c != leaf]
    while not _issued(last, last):
        issuer = next((c for c in rest if _issued(last, c)), None)
        if issuer is None:
            break
        rest.remove(issuer)
        chain.append(issuer)
        last = issuer
    return chain


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def facts(certificate: str) -> Facts:
    """Describe the first certificate of PEM text."""
    leaf = x509.load_pem_x509_certificates(certificate.encode())[0]
    return Facts(
        _printable(leaf.subject.rfc4514_string()),
        _printable(leaf.issuer.rfc4514_string()),
        leaf.fingerprint(SHA256()).hex(":").upper(),
        leaf.not_valid_after_utc,
    )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def concerns(certificate: str) -> list[str]:
    """What may make a server refuse a certificate that is right in itself."""
    leaf, *issuers = x509.load_pem_x509_certificates(certificate.encode())
    found = []
    if not issuers and not _issued(leaf, leaf):
        issuer = _printable(leaf.issuer.rfc4514_string())
        found.append(
            f"the file has no certificate of its issuer {issuer}; a server that does not know that "
            "one will refuse it: export it with the whole chain"
        )
    if not _may_be_shown_by_clients(leaf):
        found.append("its extended key usage does not allow clients; many servers will refuse it")
    return found


def _may_be_shown_by_clients(leaf: x509.Certificate) -> bool:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    allowed = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return not allowed.isdisjoint(usage)
