"""Mail addresses: read as sent, compared in one normal form, carried exactly.

An address keeps the spelling it arrived with, because a carrier must give it
back to the letter, and has a key, under which links are found.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import idna

CARRIER_DOMAIN = "pm.invalid"

# A quoted string, a quoted pair or any other character: RFC 5321 4.1.2.
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\\(.)|([^"\\])', re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_DOT_ATOM = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_SIMPLE = re.compile(r"[A-Za-z0-9._+=-]+@[A-Za-z0-9.-]*[A-Za-z0-9]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_BLANK = " \t"
_CARRIER = re.compile(rf"([a-z0-9-]+)\.([a-z0-9-]+)\.{re.escape(CARRIER_DOMAIN)}")
_UNCARRIABLE_DOMAIN = re.compile(r'[=@"\\\s]')


class AddressError(ValueError):
    """Not an address that can be read without guessing."""


@dataclass(frozen=True, slots=True)
class Address:
    """Local part unquoted, domain without its trailing dot, both spelled as sent."""

    local: str
    domain: str

    @property
    def null(self) -> bool:
        """The null sender ``<>`` of RFC 5321 4.5.5."""
        return not self.local and not self.domain

    @property
    def key(self) -> str:
        """The form in which equal addresses are equal."""
        return f"{normal_local(self.local)}@{normal_domain(self.domain)}"

    def __str__(self) -> str:
        """Write the address as SMTP does, quoted where it must be."""
        if self.null:
            return ""
        return f"{quote_local(self.local)}@{self.domain}"


NULL = Address("", "")


@lru_cache(maxsize=4096)
def parse_path(path: str, myorigin: str = "") -> Address:
    """Read an SMTP path, ``<a@b>`` or ``a@b``; a bare name gets ``myorigin``.

    Source routes are dropped, as Postfix does (RFC 5321 appendix C), also where they only
    look like one: Postfix forgets the quotes first.
    Raises AddressError for unbalanced quotes.
    """
    text = path.strip(_BLANK)
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1].strip(_BLANK)
    if not text:
        return NULL
    if _is_route(text):
        text = text.partition(":")[2]
    address = split_address(text, myorigin)
    if _is_route(address.local):
        return Address(address.local.partition(":")[2], address.domain)
    return address


def _is_route(text: str) -> bool:
    return text.startswith("@") and ":" in text


def split_address(text: str, myorigin: str = "") -> Address:
    """Split at the last ``@`` outside quotes and take the quotes off."""
    if _SIMPLE.fullmatch(text):
        plain_local, _, plain_domain = text.rpartition("@")
        return Address(plain_local, plain_domain)
    return _split_words(text, myorigin)


def _split_words(text: str, myorigin: str) -> Address:
    local: list[str] = []
    at = bang = percent = -1
    end = 0
    for word in _WORD.finditer(text):
        if word.start() != end:
            break
        end = word.end()
        quoted, escaped, plain = word.groups()
        if plain == "@":
            at = len(local)
        elif plain == "!" and bang < 0:
            bang = len(local)
        elif plain == "%":
            percent = len(local)
        local.append(_PAIR.sub(r"\1", quoted) if quoted is not None else escaped or plain)
    if end != len(text):
        raise AddressError(f"unbalanced quotes in {text!r}")
    if at < 0 and bang >= 0:  # swap_bangpath, allow_percent_hack: rewrite.c does so first
        return Address("".join(local[bang + 1 :]), _domain(local[:bang]))
    if at < 0:
        at = percent
    if at < 0:
        return Address("".join(local), myorigin)
    return Address("".join(local[:at]), _domain(local[at + 1 :]))


def _domain(words: list[str]) -> str:
    return "".join(words).strip(_BLANK).rstrip(".")


def quote_local(local: str) -> str:
    """Quote a local part if RFC 5321 wants it quoted."""
    if _DOT_ATOM.fullmatch(local):
        return local
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def normal_local(local: str) -> str:
    """Fold case: no system in use tells ``Clerk`` from ``clerk``."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", local).casefold())


@lru_cache(maxsize=65536)
def normal_domain(domain: str) -> str:
    """Lower-case A-label form; what IDNA refuses stays as it is, and matches nothing."""
    folded = domain.lower()
    if not folded.isascii():
        folded = ".".join(map(_normal_label, _DOTS.split(folded)))
    return folded.rstrip(".")


def _normal_label(label: str) -> str:
    if label.isascii():
        return label
    try:
        return idna.encode(label, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return label.casefold()


def unicode_domain(domain: str) -> str:
    """The U-label form of a normal domain, or the domain itself if it has none."""
    if "xn--" not in domain:
        return domain
    try:
        return idna.decode(domain)
    except (idna.IDNAError, UnicodeError):
        return domain


@lru_cache(maxsize=4096)
def lookup_keys(address: Address) -> tuple[str, ...]:
    """The keys under which a link may stand, the most precise one first."""
    return tuple(_lookup_keys(address))


def _lookup_keys(address: Address) -> Iterator[str]:
    local, domain = normal_local(address.local), normal_domain(address.domain)
    yield f"{local}@{domain}"
    base, plus, _ = local.partition("+")
    if plus and base:
        yield f"{base}@{domain}"
    yield f"@{domain}"
    parent = domain
    while "." in parent:
        parent = parent.partition(".")[2]
        yield f"@.{parent}"


def is_carrier(address: Address) -> bool:
    """Whether the domain is one that only Pointsman may write."""
    domain = normal_domain(address.domain)
    return domain == CARRIER_DOMAIN or domain.endswith(f".{CARRIER_DOMAIN}")


def carrier_domain(agency: str, connector: str) -> str:
    """The domain that tells Postfix's table agency and lane."""
    return f"{agency}.{connector}.{CARRIER_DOMAIN}"


def carry(address: Address, agency: str, connector: str) -> str:
    """Write an address as a carrier that Postfix's maps can decode exactly.

    Raises AddressError for one that would not come out as it went in.
    """
    if not address.local or not address.domain:
        raise AddressError(f"<{address}> has no local part or no domain")
    if _UNCARRIABLE_DOMAIN.search(address.domain) or _CONTROL.search(str(address)):
        raise AddressError(f"<{address}> can't be carried exactly")
    local = f"{address.local}={address.domain}"
    if _is_route(local):
        raise AddressError(f"<{address}> can't be carried exactly: Postfix would read a route")
    return f"{quote_local(local)}@{carrier_domain(agency, connector)}"


def carried_by(address: Address) -> tuple[str, str] | None:
    """Agency and connector that a carrier names, or None for any other address."""
    match = _CARRIER.fullmatch(normal_domain(address.domain))
    return (match[1], match[2]) if match else None


# IDNA loads its tables at first use; a milter callback is no place to import in.
normal_domain("b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example")
unicode_domain("xn--bcher-kva.example")
