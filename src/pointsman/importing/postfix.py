"""Reads a Postfix instance: its parameters, its services and the tables that they name."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import dns.exception
import dns.resolver

from pointsman.importing.library import Library
from pointsman.importing.links import TRANSPORTS
from pointsman.importing.read import Read, Remark, Service
from pointsman.importing.tables import Local
from pointsman.postfix.conf import Instance
from pointsman.postfix.maps import entries, items
from pointsman.postfix.surroundings import text_or_file

DNS_SECONDS = 5.0
_PASSWORDS = "smtp_sasl_password_maps"
_POLICIES = "smtp_tls_policy_maps"
LOGINS = "smtpd_sender_login_maps"
RELAYHOSTS = "sender_dependent_relayhost_maps"
# Of a service: what decides where, as whom and how safely it sends, and what a lane leaves out.
_PARAMETERS = (
    "myhostname",
    "smtp_bind_address",
    "smtp_bind_address6",
    "smtp_body_checks",
    "smtp_delivery_status_filter",
    "smtp_discard_ehlo_keyword_address_maps",
    "smtp_enforce_tls",
    "smtp_fallback_relay",
    "smtp_generic_maps",
    "smtp_header_checks",
    "smtp_helo_name",
    "smtp_mime_header_checks",
    "smtp_nested_header_checks",
    "smtp_reply_filter",
    "smtp_sasl_auth_enable",
    _PASSWORDS,
    "smtp_sasl_security_options",
    "smtp_sender_dependent_authentication",
    "smtp_tls_CAfile",
    "smtp_tls_CApath",
    "smtp_tls_cert_file",
    "smtp_tls_chain_files",
    "smtp_tls_enforce_peername",
    "smtp_tls_fingerprint_cert_match",
    "smtp_tls_fingerprint_digest",
    "smtp_tls_per_site",
    _POLICIES,
    "smtp_tls_secure_cert_match",
    "smtp_tls_security_level",
    "smtp_tls_servername",
    "smtp_tls_verify_cert_match",
    "smtp_tls_wrappermode",
    "smtp_use_tls",
)
_GENERAL = (
    TRANSPORTS,
    RELAYHOSTS,
    "default_transport",
    "disable_dns_lookups",
    "mydestination",
    "myorigin",
    "recipient_delimiter",
    "relay_domains",
    "relayhost",
    LOGINS,
    "transport_maps",
    "sender_canonical_maps",
    "canonical_maps",
)
# Of a transport: its name comes before it, or `default_`.
_PACE = ("destination_rate_delay", "transport_rate_delay", "destination_concurrency_limit")
_LANE = "pm-"


def read_postfix(instance: Instance, ours: Path, original_transport: str | None) -> Read:
    """Read an instance; `ours` is our tables' folder, whose items are left out.

    `original_transport` is default_transport before setup; None where main.cf did not say it.
    """
    values = instance.parameters(*_GENERAL)
    library = Library(instance, ours)
    transport = values["default_transport"]
    if transport.startswith(_LANE):
        transport = original_transport or "smtp"
    read = Read(
        default_transport=transport,
        relayhost=values["relayhost"],
        services=_services(instance, library),
        transports=library.tables(TRANSPORTS, values[TRANSPORTS], senders=True),
        relayhosts=library.tables(RELAYHOSTS, values[RELAYHOSTS], senders=True),
        logins=library.tables(LOGINS, values[LOGINS], senders=False),
        local=_local(values),
        exchangers=exchangers if values["disable_dns_lookups"] != "yes" else lambda _domain: (),
        file=lambda path: Path(path).read_text(),
    )
    remarks = (*library.remarks, *_staying(library, values))
    removable = tuple(
        f"{item} of {name}"
        for name in (TRANSPORTS, RELAYHOSTS)
        for item in library.shown(values[name])
    )
    return replace(read, remarks=remarks, removable=removable)


def _services(instance: Instance, library: Library) -> dict[str, Service]:
    general, explicit = instance.parameters(*_PARAMETERS), instance.explicit()
    own = instance.service_parameters()
    found = {}
    for name, entry in instance.services().items():
        service, kind = name.split("/")
        if kind != "unix" or service.startswith(_LANE):
            continue
        says = {**general, **own.get(name, {})}
        for listed in (n for n in says if n.endswith(("_checks", "generic_maps", "_filter"))):
            says[listed] = ", ".join(library.shown(says[listed]))
        for pace in _PACE:
            default = explicit.get(f"default_{pace}", "")
            says[pace] = explicit.get(f"{service}_{pace}", default)
        found[service] = _service(library, service, entry.split(), says)
    return found


def _service(library: Library, name: str, entry: list[str], says: dict[str, str]) -> Service:
    passwords, policies = says.pop(_PASSWORDS), says.pop(_POLICIES)
    most, program = entry[6:8]
    if program != "smtp":
        return Service(name, program, says)
    by_sender = says["smtp_sender_dependent_authentication"] == "yes"
    return Service(
        name,
        program,
        says,
        library.tables(_PASSWORDS, passwords, senders=by_sender),
        library.tables(_POLICIES, policies, senders=False),
        int(most) if most.isdigit() else 0,
    )


def _local(values: dict[str, str]) -> Local:
    named = [item.lower() for item in items(values["mydestination"]) if ":" not in item]
    origin = text_or_file(values["myorigin"]).lower()
    return Local(frozenset({origin, *named}), values["recipient_delimiter"])


def exchangers(domain: str) -> tuple[str, ...] | None:
    """A domain's MX hosts in order of preference; () if it has none, None if DNS fails."""
    try:
        answer = dns.resolver.resolve(domain, "MX", lifetime=DNS_SECONDS)
    except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
        return ()
    except (dns.exception.DNSException, OSError):
        return None
    found = sorted((r.preference, str(r.exchange).rstrip(".").lower()) for r in answer)
    return tuple(host for _, host in found)


def _staying(library: Library, values: dict[str, str]) -> Iterator[Remark]:
    """What concerns recipients, and stays Postfix's."""
    for item in library.shown(values["transport_maps"]):
        keys = entries(library.instance, item)
        if keys is None or "*" in keys:
            yield Remark(
                "goes by recipient, stays as it is, and overrules every connector where it matches"
                + (": * matches all mail" if keys else ", and can't be listed"),
                f"transport_maps {item}",
            )
        elif keys:
            yield Remark(
                f"goes by recipient ({_some(keys)}), stays as it is, and overrules every connector "
                "for these",
                f"transport_maps {item}",
            )
    yield from _relayed(library, values)
    if values["sender_canonical_maps"] or values["canonical_maps"]:
        yield Remark(
            "rewrites senders before their maps are asked: a link is for the address after that",
            "canonical_maps, sender_canonical_maps",
        )


def _relayed(library: Library, values: dict[str, str]) -> Iterator[Remark]:
    domains = [d for d in items(values["relay_domains"]) if d not in items(values["mydestination"])]
    if not domains:
        return
    yield Remark(
        "mail to these domains stays as it is in Postfix", f"relay_domains {_some(domains)}"
    )
    if library.shown(values[RELAYHOSTS]):
        yield Remark(
            "mail to relay_domains goes by it, too, and by no connector: keep the map if you count "
            "on that",
            RELAYHOSTS,
            keeps=True,
        )


def _some(keys: Iterable[str]) -> str:
    first = list(keys)
    more = f" and {len(first) - 5} more" if len(first) > 5 else ""  # noqa: PLR2004
    return ", ".join(first[:5]) + more
