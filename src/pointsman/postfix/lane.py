"""What a lane states: every smtp(8) parameter that decides where, as whom and how safely.

A lane inherits main.cf, so what it does not state is at the mercy of the next
edit there. The list is closed: tests/postfix/test_postfix_hostile.py sets each of
these in main.cf to something hostile and sees no difference.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from pointsman.config import submit_socket
from pointsman.postfix.conf import service_entry
from pointsman.store.fields import settings
from pointsman.store.records import Connector

SYSTEM_CA_FILE = Path("/etc/ssl/certs/ca-certificates.crt")
TABLE_TYPES = ("lmdb", "pcre", "sqlite")  # packages of their own in Debian

# TLS mode: smtp_tls_security_level, smtp_tls_wrappermode. `secure` verifies the
# certificate against the host name that the admin wrote, not one that DNS gave.
_TLS = {
    "none": ("none", "no"),
    "may": ("may", "no"),
    "starttls": ("secure", "no"),
    "tls": ("secure", "yes"),
}
# What a lane waits for its server. The next hop is one that the admin chose, not any host of
# the Internet: RFC 5321's five minutes for a greeting would be five minutes for each spare host,
# and for each process of the lane. The end of the data keeps its ten (4.5.3.2.6): a message that
# is given up there may have been taken, and is then sent twice.
TIMEOUTS = {
    "smtp_connect_timeout": "30s",
    "smtp_helo_timeout": "60s",  # the greeting, EHLO, and AUTH
    "smtp_starttls_timeout": "60s",
    "smtp_mail_timeout": "120s",
    "smtp_rcpt_timeout": "120s",
    "smtp_data_init_timeout": "120s",
    "smtp_data_xfer_timeout": "180s",
    "smtp_data_done_timeout": "600s",
    "smtp_rset_timeout": "20s",
    "smtp_quit_timeout": "20s",
}
_FIELDS = settings(Connector)
LANE_FOLDERS = (
    "login",
    "ca",
    "identity",
    "submit",
)  # of files that one lane reads, each named after it


@dataclass(frozen=True)
class Tables:
    """Where Postfix finds what apply writes."""

    folder: Path
    sockets: Path = Path("/var/spool/postfix/pointsman")  # where our daemons listen

    @property
    def sender_transport(self) -> Path:
        """The table of senders: the source, beside which postmap keeps the lmdb."""
        return self.folder / "sender_transport"

    @property
    def senders(self) -> str:
        """The table of senders as main.cf names it: addresses, then domains for whole addresses.

        Postfix asks all tables of a list for the whole address before any for its domain: a
        table of the admin's that knows it would win over a carrier, or a link of a domain.
        """
        table = f"lmdb:{self.sender_transport}"
        return f"{table}, pipemap:{{sqlite:{self.folder / 'domain.cf'},{table}}}"

    def pcre(self, name: str) -> str:
        """A table of patterns, as a parameter names it."""
        return f"pcre:{self.folder / name}.pcre"

    def replies(self, *, login: bool) -> str:
        """What a lane reads into the server's replies."""
        # unionmap: at most one of them answers. pipemap: sqlite alone can answer two lines.
        insist = f"pipemap:{{{self.pcre('ehlo')},sqlite:{self.folder / 'insist.cf'}}}"
        more = f"{self.pcre('esmtp')},{insist}" if login else self.pcre("stranger")
        return f"unionmap:{{{self.pcre('replies')},{more}}}"

    # Other content, another name: a lane changes its files with its entry in master.cf,
    # all at once, and the running one keeps those that it was started with.

    def login(self, connector: Connector) -> Path:
        """The credentials of one lane."""
        mark = _mark(connector.username, connector.password)
        return self.folder / "login" / f"{connector.name}.{mark}"

    def ca(self, connector: Connector) -> Path:
        """The CA certificates of one lane."""
        return self.folder / "ca" / f"{connector.name}.{_mark(connector.ca)}.pem"

    def identity(self, connector: Connector) -> Path:
        """The client certificate of one lane: key, certificate, chain."""
        mark = _mark(connector.private_key, connector.certificate)
        return self.folder / "identity" / f"{connector.name}.{mark}.pem"


def _mark(*values: str) -> str:
    """A short name for values; of secrets these are the ciphertexts, which say nothing."""
    return sha256("\0".join(values).encode()).hexdigest()[:12]


def nexthop(connector: Connector, tables: Tables) -> str:
    """The next hops in Postfix's spelling; brackets, so no MX lookup, in order.

    Of an oauth2 connector it is the submission helper, which knows the rest.
    """
    if connector.auth == "oauth2":
        return f"unix:{submit_socket(tables.sockets, connector.name)}"
    return ",".join(f"[{host}]:{port}" for host, port in connector.addresses)


@lru_cache(maxsize=4096)
def lane_entry(connector: Connector, tables: Tables) -> str:
    """The lane's entry in master.cf; not chrooted, as its files and names lie outside."""
    program = "lmtp" if connector.auth == "oauth2" else "smtp"
    fields = f"pm-{connector.name} unix - - n - {connector.processes} {program}"
    return service_entry(fields, parameters(connector, tables))


def parameters(connector: Connector, tables: Tables) -> dict[str, str]:
    """All that the lane states."""
    if connector.auth == "oauth2":
        return _to_helper(connector, tables)
    return {
        "syslog_name": f"postfix/pm-{connector.name}",
        **_where(),
        **_source(connector),
        **_tls(connector, tables),
        **_login(connector, tables),
        **_content(tables),
        **TIMEOUTS,
        **_stated(connector),
    }


# What lmtp(8) spells otherwise than with another first letter, or lacks.
_LMTP_NAMES = {
    "smtp_helo_name": "smtp_lhlo_name",
    "smtp_discard_ehlo_keywords": "smtp_discard_lhlo_keywords",
    "smtp_discard_ehlo_keyword_address_maps": "smtp_discard_lhlo_keyword_address_maps",
    "smtp_always_send_ehlo": "",
    "smtp_never_send_ehlo": "",
}


def lmtp_name(name: str) -> str:
    """What lmtp(8) calls a parameter of smtp(8)'s; "" if it has none like it."""
    return _LMTP_NAMES.get(name, name).replace("smtp_", "lmtp_", 1)


def _to_helper(connector: Connector, tables: Tables) -> dict[str, str]:
    """The same for lmtp(8): in the clear to a socket of ours, where TLS and login begin."""
    plain = parameters(Connector(connector.name, tls="none"), tables)
    # The server's time limits and replies are the helper's business.
    stated = {
        lmtp_name(name): value
        for name, value in plain.items()
        if lmtp_name(name) and name not in TIMEOUTS
    }
    # The helper keeps connections, to the provider; each of ours is one message's.
    return {
        **stated,
        "lmtp_reply_filter": "",
        "lmtp_connection_cache_on_demand": "no",
        "lmtp_connection_cache_destinations": "",
    }


def _stated(connector: Connector) -> dict[str, str]:
    """The fields that one parameter says as they are."""
    values = {field.states: getattr(connector, n) for n, (field, _) in _FIELDS.items()}
    return {name: str(value) for name, value in values.items() if name and value}


def _source(connector: Connector) -> dict[str, str]:
    """Where connections come from; of the other family there must be none."""
    address = connector.source_address
    six = ":" in address
    return {
        "smtp_bind_address": "" if six else address,
        "smtp_bind_address6": address if six else "",
        "smtp_bind_address_enforce": "yes" if address else "no",
        **({"inet_protocols": "ipv6" if six else "ipv4"} if address else {}),
    }


def _where() -> dict[str, str]:
    return {
        "smtp_fallback_relay": "",
        # As getaddrinfo(3) says it, /etc/hosts included: what `connector test` tried.
        "smtp_host_lookup": "native",
        "smtp_dns_support_level": "enabled",
        "smtp_dns_resolver_options": "",
        "smtp_dns_reply_filter": "",
        "smtp_cname_overrides_servername": "no",
        "smtp_helo_name": "$myhostname",
        "smtp_always_send_ehlo": "yes",
        "smtp_never_send_ehlo": "no",
        "smtp_discard_ehlo_keywords": "",
        "smtp_discard_ehlo_keyword_address_maps": "",
        "smtp_send_xforward_command": "no",
    }


def _tls(connector: Connector, tables: Tables) -> dict[str, str]:
    level, wrapper = _TLS[connector.tls]
    level = "fingerprint" if connector.fingerprints else level
    name = connector.server_name or "nexthop"
    authority = tables.ca(connector) if connector.ca else SYSTEM_CA_FILE
    identity = tables.identity(connector) if connector.auth == "certificate" else ""
    return {
        "smtp_tls_security_level": level,
        "smtp_tls_wrappermode": wrapper,
        "smtp_use_tls": "no",
        "smtp_enforce_tls": "no",
        "smtp_tls_enforce_peername": "yes",
        "smtp_tls_policy_maps": _own_hosts_alone(connector, level),
        "smtp_tls_per_site": "",
        "smtp_tls_CAfile": str(authority),
        "smtp_tls_CApath": "",
        "tls_append_default_CA": "no",
        "smtp_tls_trust_anchor_file": "",
        "smtp_tls_secure_cert_match": name,
        "smtp_tls_verify_cert_match": name,
        "smtp_tls_fingerprint_cert_match": " ".join(connector.fingerprints),
        "smtp_tls_fingerprint_digest": "sha256",
        "smtp_tls_scert_verifydepth": "9",
        "smtp_tls_servername": "hostname",
        "smtp_tls_chain_files": str(identity),
        **{
            f"smtp_tls_{kind}{part}_file": ""
            for kind in ("", "d", "ec")
            for part in ("cert", "key")
        },
        "smtp_tls_protocols": ">=TLSv1",
        "smtp_tls_mandatory_protocols": ">=TLSv1.2",
        "smtp_tls_ciphers": "medium",
        "smtp_tls_mandatory_ciphers": "medium",
        "smtp_tls_exclude_ciphers": "",
        "smtp_tls_mandatory_exclude_ciphers": "",
        "smtp_tls_session_cache_database": "",
        "smtp_tls_connection_reuse": "no",
        "smtp_tls_block_early_mail_reply": "yes",
        "smtp_tls_force_insecure_host_tlsa_lookup": "no",
        "smtp_tls_loglevel": "1",
    }


def _own_hosts_alone(connector: Connector, level: str) -> str:
    """Defer mail for any other next hop: no server is shown another one's login.

    What leads to the lane is not changed in the same moment as the lane itself; and a
    marked message has its next hop in its queue file. The last word is no security
    level, so that smtp(8) logs it and does not connect.
    """
    own = ",".join(f"[{host}]:{port}={level}" for host, port in connector.addresses)
    return f"inline:{{{own}}},static:not_a_host_of_this_connector" if own else ""


def _login(connector: Connector, tables: Tables) -> dict[str, str]:
    login = connector.auth == "password"
    # Where TLS may be stripped off by an attacker, a password must not follow it.
    clear = "noanonymous, noplaintext" if connector.tls == "may" else "noanonymous"
    return {
        "smtp_sasl_auth_enable": "yes" if login else "no",
        "smtp_sasl_password_maps": f"regexp:{tables.login(connector)}" if login else "",
        "smtp_sasl_type": "cyrus",
        "smtp_sasl_path": "",
        "smtp_sasl_mechanism_filter": "",
        "smtp_sasl_security_options": clear,
        "smtp_sasl_tls_security_options": "noanonymous",
        "smtp_sasl_tls_verified_security_options": "noanonymous",
        "smtp_sasl_auth_soft_bounce": "yes",
        "smtp_sasl_auth_cache_name": "",
        "smtp_sender_dependent_authentication": "no",
        "smtp_send_dummy_mail_auth": "no",
        "smtp_reply_filter": tables.replies(login=login),
        "smtp_delivery_status_filter": tables.pcre("statuses"),
    }


def _content(tables: Tables) -> dict[str, str]:
    return {
        "smtp_generic_maps": tables.pcre("decode"),
        "smtp_header_checks": tables.pcre("strip"),
        "smtp_mime_header_checks": tables.pcre("strip"),
        "smtp_nested_header_checks": tables.pcre("strip"),
        "smtp_body_checks": tables.pcre("strip_body"),
        "smtp_quote_rfc821_envelope": "yes",
    }


def credentials(username: str, password: str) -> str:
    """One line that answers any key with exactly this login.

    `regexp` with an empty group at the end is the only format of Postfix's found to
    keep `$`, `#`, quotes, backslashes and trailing blanks; any key, because a lookup
    without an answer would let Postfix go on unauthenticated.
    """
    text = f"{username}:{password}".replace("$", "$$")
    return f"/^()/ {text}$1\n"
