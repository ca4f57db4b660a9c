"""Reads a dump of mailcow's database: domains and mailboxes with a sender-dependent transport.

What its Postfix makes of the tables is in the queries and the main.cf that mailcow ships.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pointsman.importing.dumps import Layout, Row, read_dump
from pointsman.importing.links import ANSWERS_ALL, TRANSPORTS
from pointsman.importing.postfix import exchangers
from pointsman.importing.read import Read, Remark, Service
from pointsman.importing.tables import Table, fixed

_LAYOUT = Layout(
    {
        "relayhosts": "id hostname username password",
        "domain": "domain relayhost",
        "alias_domain": "alias_domain target_domain",
        "alias": "address goto",
        "mailbox": "username attributes",
    },
    {
        "transports": "destination nexthop",
        "sender_acl": "logged_in_as send_as",
        "tls_policy_override": "dest policy parameters",
    },
)
_ENFORCED = "smtp_enforced_tls"
_MAIN_CF = {
    "smtp_sasl_auth_enable": "yes",
    "smtp_sender_dependent_authentication": "yes",
    "smtp_sasl_security_options": "",
    "smtp_tls_security_level": "dane",
    "smtp_tls_CAfile": "/etc/ssl/certs/ca-certificates.crt",
}
_SHIPPED = Remark(
    "TLS rules are those that mailcow ships (level dane, and no extra.cf)",
    "main.cf",
)


def read_mailcow(dump: str) -> Read:
    """A dump, read as mailcow's own Postfix asks its database."""
    return _read(read_dump(dump, _LAYOUT))


def _read(rows: dict[str, list[Row]]) -> Read:
    senders = _Senders(rows)
    ways, passwords = senders.ways(), senders.passwords()
    policies = (
        fixed(
            "tls_policy_override",
            {
                row["dest"]: f"{row['policy']} {row['parameters']}".strip()
                for row in _active(rows["tls_policy_override"])
            },
        ),
    )
    return Read(
        default_transport="smtp",
        relayhost="",
        services={
            name: Service(name, "smtp", {**_MAIN_CF, **own}, (passwords,), policies)
            for name, own in (("smtp", {}), (_ENFORCED, {"smtp_tls_security_level": "encrypt"}))
        },
        transports=(ways,),
        logins=(senders.owners(),),
        exchangers=exchangers,
        # No delimiter: the query answers the whole address, with its extension, first.
        remarks=(_SHIPPED, Remark(ANSWERS_ALL, f"mailcow's {TRANSPORTS}"), *senders.remarks()),
    )


def _active(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.get("active", "1") == "1"]


@dataclass
class _Senders:
    """The senders of a dump, and what each takes."""

    rows: dict[str, list[Row]]

    def __post_init__(self) -> None:
        self._relays = {row["id"]: row for row in _active(self.rows["relayhosts"])}
        self._domains = dict(self._of_domains())
        self._mailboxes = dict(self._of_mailboxes())

    def _of_domains(self) -> Iterator[tuple[str, Row]]:
        """Domains and alias domains with a relay host."""
        own = {row["domain"]: row["relayhost"] for row in self.rows["domain"]}
        alias = {
            row["alias_domain"]: own.get(row["target_domain"], "")
            for row in self.rows["alias_domain"]
        }
        for domain, relay in {**alias, **own}.items():
            if relay in self._relays:
                yield domain, self._relays[relay]

    def _of_mailboxes(self) -> Iterator[tuple[str, tuple[Row | None, bool]]]:
        """Addresses of mailboxes: their relay host, if any, and whether TLS is enforced."""
        known = {}
        for row in self.rows["mailbox"]:
            attributes = _attributes(row)
            relay = self._relays.get(str(attributes.get("relayhost", "")))
            enforced = (
                str(attributes.get("tls_enforce_out", "")) == "1" and row.get("active") == "1"
            )
            known[row["username"]] = relay, enforced
        for alias in _active(self.rows["alias"]):
            relay, enforced = known.get(alias["goto"], (None, False))
            if (relay or enforced) and not alias["address"].startswith("@"):
                yield alias["address"], (relay, enforced)

    def ways(self) -> Table:
        """sender_dependent_default_transport_maps."""
        found = {f"@{domain}": f"smtp:{row['hostname']}" for domain, row in self._domains.items()}
        for address, (relay, enforced) in self._mailboxes.items():
            row = relay or self._domains.get(address.rpartition("@")[2])
            service = _ENFORCED if enforced else "smtp"
            found[address] = f"{service}:{row['hostname'] if row else ''}"
        return fixed("relayhosts", found)

    def passwords(self) -> Table:
        """The login that belongs to the relay host; '' where it has none."""
        found = {f"@{domain}": _login(row) for domain, row in self._domains.items()}
        for address, (relay, _) in self._mailboxes.items():
            if relay:
                found[address] = _login(relay)
        return fixed("relayhosts", found)

    def owners(self) -> Table:
        """smtpd_sender_login_maps: the mailboxes behind each address."""
        found: dict[str, str] = {}
        for row in _active(self.rows["alias"]):
            found[row["address"]] = row["goto"].replace(",", " ")
        for row in self.rows["sender_acl"]:
            key = row["send_as"]
            found[key] = f"{found.get(key, '')} {row['logged_in_as']}".strip()
        return fixed("alias, sender_acl", found)

    def remarks(self) -> Iterator[Remark]:
        """What is otherwise than it was, and what stays."""
        for address, (relay, _) in self._mailboxes.items():
            of_domain = self._domains.get(address.rpartition("@")[2])
            if relay and of_domain and _login(of_domain) != _login(relay):
                yield Remark(
                    "mailcow sent this mailbox's mail to its own relay host with the login of the "
                    "domain's, since its two queries disagree; the connector has the login of the "
                    "host itself",
                    address,
                )
        for row in _active(self.rows["transports"]):
            yield Remark(
                "goes by recipient, and stays as it is",
                f"transports {row['destination']} to {row['nexthop']}",
            )
        for row in self.rows["domain"]:
            if row.get("backupmx") == "1":
                yield Remark(
                    "mail to it is relayed; that stays as it is", f"domain {row['domain']}"
                )
        for row in self.rows["relayhosts"]:
            if row["id"] not in self._relays:
                yield Remark("is not active, and is left out", f"relayhosts {row['hostname']}")


def _attributes(row: Row) -> Mapping[str, object]:
    try:
        found = json.loads(row.get("attributes") or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _login(relay: Row) -> str:
    return f"{relay['username']}:{relay['password']}" if relay["username"] else ""
