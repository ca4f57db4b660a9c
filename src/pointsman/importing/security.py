"""How safely Postfix talks to a next hop, said in a connector's words. Pure.

Where the two do not match, the connector takes the stricter one: the test that comes before
it goes live says if that fails, and until then mail goes as before.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pointsman.errors import UsageError
from pointsman.importing.hops import Hop
from pointsman.importing.read import Odd, Service
from pointsman.importing.tables import find
from pointsman.postfix.lane import SYSTEM_CA_FILE
from pointsman.store.checks import checked_certificates, checked_fingerprint, checked_hostname

_UNVERIFIED = ("encrypt", "dane", "dane-only", "half-dane", "opportunistic-dane")
_VERIFIED = ("verify", "secure")
_OF_THE_HOST = ("hostname", "nexthop")
_SUBDOMAINS = "dot-nexthop"
_ATTRIBUTE = re.compile(r"\{\s*([\w_]+)\s*=\s*([^}]*?)\s*\}|([\w_]+)=([^\s,]*)")


@dataclass(frozen=True)
class Security:
    """A connector's fields about TLS, and what is otherwise than before."""

    tls: str
    server_name: str = ""
    fingerprints: tuple[str, ...] = ()
    ca: str = field(default="", repr=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    def noting(self, *notes: str) -> "Security":
        """The same, with more to say."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass(frozen=True)
class _Policy:
    level: str
    attributes: tuple[tuple[str, str], ...] = ()

    def values(self, name: str, separator: str) -> list[str]:
        """All that an attribute says, which may stand there several times."""
        texts = [value for key, value in self.attributes if key == name]
        return [item for text in texts for item in text.split(separator) if item]


def security(service: Service, hop: Hop, file: Callable[[str], str]) -> Security | Odd:
    """What counts for one next hop: its policy, else the service's level."""
    policy = _policy(service, hop)
    wrapper = service.is_on("smtp_tls_wrappermode")
    level = policy.level
    if level in ("none", "may") and not wrapper:
        return Security(level)
    mode = "tls" if wrapper else "starttls"
    if level == "fingerprint":
        return _pinned(service, policy, mode)
    if level not in (*_UNVERIFIED, *_VERIFIED, "none", "may"):
        return Odd(f"its TLS level {level!r} is none that Postfix knows")
    found = _verified(service, policy, hop, Security(mode), file)
    if isinstance(found, Odd) or level in _VERIFIED:
        return found
    return found.noting(
        f"TLS level {level} did not check the server's certificate against its name; the connector "
        "does. If `connector enable` says that this fails, give it --ca-file, --server-name or "
        "--fingerprint"
    )


def _policy(service: Service, hop: Hop) -> _Policy:
    """The policy of a next hop as spelled; a bare name's parents count, too (TLS_README)."""
    keys = [hop.spelled]
    if re.fullmatch(r"[\w.-]+", hop.spelled):
        keys += [hop.spelled[at:] for at, letter in enumerate(hop.spelled) if letter == "." and at]
    found = next(filter(None, (find(service.policies, key) for key in keys)), None)
    if found is None:
        return _Policy(_level(service))
    level, _, rest = found.value.replace(",", " ").strip().partition(" ")
    pairs = ((m[1] or m[3], m[2] or m[4]) for m in _ATTRIBUTE.finditer(rest))
    return _Policy(level.lower(), tuple((name.lower(), value) for name, value in pairs))


def _level(service: Service) -> str:
    """smtp_tls_security_level, or what came before it (Postfix 2.2)."""
    level = service.says("smtp_tls_security_level").lower()
    if level:
        return level
    if service.is_on("smtp_enforce_tls"):
        return "encrypt" if service.says("smtp_tls_enforce_peername") == "no" else "verify"
    return "may" if service.is_on("smtp_use_tls") else "none"


def _pinned(service: Service, policy: _Policy, mode: str) -> Security:
    pins = policy.values("match", "|")
    pins = pins or service.says("smtp_tls_fingerprint_cert_match").replace(",", " ").split()
    digest = service.says("smtp_tls_fingerprint_digest")
    try:
        checked = tuple(map(checked_fingerprint, pins))
    except UsageError:
        checked = ()
    if digest == "sha256" and checked:
        return Security(mode, fingerprints=checked)
    return Security(mode).noting(
        f"the server's certificate was pinned by {digest or 'md5'}; a connector's pin is SHA-256: "
        "give it --fingerprint. As it stands, the certificate's name and issuer count"
    )


def _verified(
    service: Service, policy: _Policy, hop: Hop, start: Security, file: Callable[[str], str]
) -> Security | Odd:
    with_ca = _authorities(service, policy, start, file)
    return with_ca if isinstance(with_ca, Odd) else _named(service, policy, hop, with_ca)


def _authorities(
    service: Service, policy: _Policy, start: Security, file: Callable[[str], str]
) -> Security | Odd:
    own = policy.values("tafile", "\n") or [service.says("smtp_tls_CAfile")]
    paths = [path for path in own if path and path != str(SYSTEM_CA_FILE)]
    try:
        text = "".join(map(file, paths))
        ca = checked_certificates(text) if text else ""
    except OSError as error:
        return Odd(f"CA file {error.filename}: {error.strerror}")
    except UsageError as error:
        return Odd(f"{', '.join(paths)}: {error}")
    found = replace(start, ca=ca)
    if not paths and service.says("smtp_tls_CApath") not in ("", "/etc/ssl/certs"):
        return found.noting(
            f"smtp_tls_CApath = {service.says('smtp_tls_CApath')} is a folder, and a connector "
            "trusts the system's CAs or one --ca-file"
        )
    return found


def _named(service: Service, policy: _Policy, hop: Hop, start: Security) -> Security:
    """The name that the certificate must have; of several, the host's own if it is among them."""
    which = "verify" if policy.level == "verify" else "secure"
    names = policy.values("match", ":") if policy.level in _VERIFIED else []
    names = names or re.split(r"[\s,:]+", service.says(f"smtp_tls_{which}_cert_match"))
    names = [name.lower() for name in names if name]
    sent = policy.values("servername", " ") or [service.says("smtp_tls_servername")]
    if policy.level not in _VERIFIED or not names:
        names = ["nexthop"]
    own = {*_OF_THE_HOST, hop.host}
    name = "" if own.intersection(names) else names[0]
    if name.startswith(".") or name == _SUBDOMAINS:
        return start.noting(
            f"the certificate could have any name of {name}; now it needs the host's"
        )
    rest = [n for n in names if n not in (name, *own, _SUBDOMAINS)]
    asked = sent[0] if sent[0] not in ("", "hostname", "nexthop", hop.host) else ""
    try:
        found = replace(start, server_name=checked_hostname(name or asked) if name or asked else "")
    except UsageError as error:
        return start.noting(f"{error}: the certificate needs the host's name now")
    if rest:
        return found.noting(f"the certificate could have other names, too: {', '.join(rest)}")
    return found
