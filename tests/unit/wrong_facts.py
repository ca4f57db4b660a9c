"""Facts with one thing wrong: an example for each kind of finding."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pointsman.checks.facts import (
    EMPTY_BOOK,
    Applied,
    Daemons,
    Disk,
    Facts,
    Host,
    Postfix,
    Row,
    Service,
    Status,
    Wiring,
)
from pointsman.config import Config
from pointsman.postfix.services import Smtpd
from pointsman.postfix.wiring import Choice
from pointsman.routing.snapshot import Lane, Link, Snapshot
from pointsman.store.hosts import Host as Neighbour
from pointsman.store.records import Agency, Connector, Sender

CONFIG = Config()
NOW = datetime(2026, 6, 1, tzinfo=UTC)
MILTER = "{ unix:pointsman/milter.sock, default_action=tempfail }"
CHROOTED = "{ unix:/pointsman/milter.sock, default_action=tempfail }"
MARKER = "pcre:/etc/postfix/pointsman/marker.pcre"
DECODE = "pcre:/etc/postfix/pointsman/decode.pcre"
SENDERS = "sender_dependent_default_transport_maps"
POLICY = "check_policy_service unix:pointsman/policy.sock"
HEALTHY = {
    "smtpd_milters": MILTER,
    "non_smtpd_milters": MILTER,
    "milter_header_checks": MARKER,
    "milter_mail_macros": "i {auth_type} {auth_authen}",
    "milter_rcpt_macros": "i {rcpt_mailer}",
    "milter_end_of_data_macros": "i",
    "message_size_limit": "10240000",
}
SMTPD = ("smtp", "inet", "n", "-", "y", "-", "-", "smtpd")
SERVICES = (
    Service("smtp/inet", SMTPD, chrooted=True),
    Service("pickup/unix", ("pickup", "unix", "n", "-", "y", "60", "1", "pickup")),
    Service("cleanup/unix", ("cleanup", "unix", "n", "-", "y", "-", "0", "cleanup"), chrooted=True),
    Service("relay/unix", ("relay", "unix", "-", "-", "y", "-", "-", "smtp")),
)
SNAPSHOT = Snapshot(
    revision=3,
    lanes={"court": Lane("court", "[h.test]:587")},
    links={"@court.test": Link("court", "court")},
)
COURT = Connector("court", hosts=("h.test:587",), auth="password", username="u", state="live")


def facts(*services: Service, book=EMPTY_BOOK, applied=None, **parameters: str) -> Facts:
    """A stock Debian that is wired; services of the same name are replaced."""
    named = {s.name: s for s in (*SERVICES, *services)}
    postfix = Postfix(parameters={**HEALTHY, **parameters}, services=named)
    return Facts(NOW, CONFIG, postfix, applied=applied or Applied(SNAPSHOT, 3), book=book)


def smtpd(port: str = "submission", *, chrooted: bool = True, **options: str) -> Service:
    """One more smtpd service."""
    return Service(f"{port}/inet", (port, *SMTPD[1:]), options, chrooted)


def having(**tables: tuple[tuple[str, str], ...]) -> Facts:
    """With tables of an admin's, each in the parameter of its name."""
    found = facts(**{name: f"hash:/etc/{name}" for name in tables})
    rows = {
        f"hash:/etc/{name}": tuple(Row(f"/etc/{name}:{i}", *pair) for i, pair in enumerate(t, 1))
        for name, t in tables.items()
    }
    return replace(found, postfix=replace(found.postfix, tables=rows))


def wired(**lines: tuple[str, str]) -> Facts:
    """With lines of main.cf: what is there, and what setup would write."""
    wiring = Wiring(
        wanted={name: wanted for name, (_, wanted) in lines.items()},
        present={name: present for name, (present, _) in lines.items()},
    )
    return replace(facts(), wiring=wiring)


def choosing(choice: Choice, *left_out: Smtpd) -> Facts:
    """What an admin said at setup."""
    return replace(facts(), wiring=Wiring(choice=choice, left_out=left_out))


def leaving_out(*services: Smtpd) -> Facts:
    """Services that don't ask the milter, although nobody said so."""
    return choosing(Choice(), *services)


def optional(options: dict[tuple[str, str], str | None]) -> Facts:
    """Options of master.cf that setup would change."""
    return replace(facts(), wiring=Wiring(options=options))


def book(*records: Agency | Connector | Sender, **settings: str):
    """A database of these."""
    return replace(
        EMPTY_BOOK,
        agencies={r.name: r for r in records if isinstance(r, Agency)},
        connectors={r.name: r for r in records if isinstance(r, Connector)},
        senders={r.key: r for r in records if isinstance(r, Sender)},
        settings=settings,
    )


def postfix(**changes) -> Facts:
    """A Postfix that is otherwise."""
    found = facts()
    return replace(found, postfix=replace(found.postfix, **changes))


def host(**values) -> Facts:
    """A machine that is otherwise."""
    return replace(facts(book=book(COURT)), host=Host(**values))


def owned(path: Path, *status) -> Facts:
    """A file with an owner, a group and a mode."""
    return host(status={path: Status(*status)})


def answering(name: str, table: str, answer: str, **parameters: str) -> Facts:
    """A map of patterns that answers what it is asked."""
    found = facts(**{name: table, **parameters})
    return replace(found, postfix=replace(found.postfix, answers={(name, table): answer}))


def applied(**values) -> Facts:
    """Postfix and database that don't agree."""
    return facts(applied=Applied(**{"snapshot": SNAPSHOT, "revision": 3, **values}))


def daemons(**values) -> Facts:
    """Daemons that don't answer."""
    return replace(facts(), daemons=Daemons(**values))


FILTERED = smtpd("smtp", content_filter="scan:[127.0.0.1]:10024")
NEW = replace(COURT, state="new")
LINK = Sender("@court.test", "court", "court")

WRONG = {
    "not-set-up": replace(facts(), wiring=Wiring(done=False)),
    "setting": wired(smtp_generic_maps=("hash:/etc/generic", f"{DECODE}, hash:/etc/generic")),
    "order": wired(milter_header_checks=(f"pcre:/own, {MARKER}", f"{MARKER}, pcre:/own")),
    "milter-order": wired(smtpd_milters=(f"{MILTER} inet:h:1", f"inet:h:1, {MILTER}")),
    "pickup": optional({("pickup/unix", "cleanup_service_name"): "pointsman-cleanup"}),
    "bare-newline": wired(smtpd_forbid_bare_newline=("no", "yes")),
    "short-queue-ids": wired(enable_long_queue_ids=("", "yes")),
    "active-queue": wired(qmgr_message_active_limit=("20000", "100000")),
    "postfix-version": postfix(version=(3, 4, 23)),
    "table-type": postfix(table_types=frozenset({"lmdb", "pcre"})),
    "second-instance": postfix(others={Path("/etc/postfix-out"): ("smtpd_milters",)}),
    "observing": choosing(Choice(observe=True)),
    "service": optional({("submission/inet", "smtpd_milters"): "inet:h:1,$pointsman_milter"}),
    "no-milter": leaving_out(Smtpd("submission/inet", {"smtpd_milters": ""}, "")),
    "left-out": choosing(Choice(services=("smtp",)), Smtpd("submission/inet", {}, "")),
    "milter-unreachable": facts(smtpd(chrooted=False, smtpd_milters=CHROOTED)),
    "no-milters": facts(receive_override_options="no_milters"),
    "milter-maps": having(smtpd_milter_maps=(("192.0.2.1", "DISABLE"),)),
    "milter-action": facts(
        smtpd_milters="unix:pointsman/milter.sock", milter_default_action="accept"
    ),
    "milter-macros": facts(milter_mail_macros="i {mail_addr}"),
    "proxy-filter": facts(smtpd("smtp", smtpd_proxy_filter="127.0.0.1:10024")),
    "filter-return": facts(FILTERED, smtpd("127.0.0.1:10025")),
    "no-policy": facts(
        smtpd(smtpd_recipient_restrictions="permit"), smtpd_recipient_restrictions=POLICY
    ),
    "policy-unreachable": facts(
        smtpd_recipient_restrictions=f"check_policy_service unix:{CONFIG.policy_socket}"
    ),
    "marker": facts(replace(SERVICES[2], options={"milter_header_checks": ""})),
    "carrier-shown": facts(replace(SERVICES[3], options={"smtp_generic_maps": ""})),
    "filter": having(header_checks=(("/^X-Slow/", "FILTER smtp:[h.test]"),)),
    "transport-all": having(transport_maps=(("*", "smtp:[h.test]"),)),
    "transport-map": having(transport_maps=(("special.test", "smtp:[h.test]"),)),
    "transport-lane": having(
        mydestination=(("here.test", "x"),),
        transport_maps=(("here.test", "pm-court:[h.test]:587"),),
    ),
    "sender-everybody": answering(SENDERS, "pcre:/etc/own", "smtp:", book=book(default="court")),
    "sender-table": having(**{SENDERS: (("boss@court.test", "smtp:[h.test]"),)}),
    "carrier-rewritten": answering(
        "sender_canonical_maps",
        "tcp:h:10001",
        "SRS0=x@mx.test",
        sender_canonical_classes="envelope_sender",
    ),
    "sender-rewritten": facts(
        masquerade_domains="court.test", masquerade_classes="envelope_sender, header_sender"
    ),
    "bcc": facts(always_bcc="archive@here.test"),
    "deferred-lane": facts(defer_transports="pm-court"),
    "soft-bounce": facts(soft_bounce="yes"),
    "default-none": facts(book=book(default="none")),
    "database": replace(facts(), database="it is locked"),
    "not-comparable": applied(trouble="no key opens it"),
    "not-applied": applied(revision=4),
    "edited": applied(differences=("write /etc/postfix/pointsman/marker.pcre",)),
    "snapshot": applied(snapshot_differs=True),
    "lmdb": applied(lmdb_differs="`@court.test pm-court:[h.test]:587`"),
    "not-reloaded": postfix(unread=(Path("/etc/postfix/main.cf"),)),
    "other-host": replace(facts(), hosts=(Neighbour("mx9", "1", 0, 0.0, 0.0),)),
    "clock": replace(facts(), newest=NOW + timedelta(hours=1)),
    "postfix": postfix(running=False),
    "smtpd": daemons(silent={"smtp/inet": ""}),
    "milter": daemons(milter=False),
    "policy": daemons(policy="is it running?"),
    "policy-revision": daemons(policy_revision=2),
    "submit": daemons(submit=("court",)),
    "agent": daemons(agent=False),
    "mail-log": host(mail_log=None),
    "permissions": owned(CONFIG.snapshot, "root", "pointsman", 0o644),
    "table-permissions": owned(CONFIG.tables / "decode.pcre", "nobody", "root", 0o644),
    "configuration-permissions": owned(CONFIG.path, "root", "root", 0o666),
    "database-permissions": replace(owned(Path("/db"), "root", "root", 0o640), sqlite=Path("/db")),
    "disk-full": host(disks={Path("/q"): Disk(15_000_000, 10**12, 10**6, 10**7)}),
    "disk": host(disks={Path("/q"): Disk(10**9, 10**12, 10**6, 10**7)}),
    "loop": replace(
        facts(smtpd("587"), book=book(COURT), inet_interfaces="all"),
        host=Host(own={"h.test": ("192.0.2.1",)}),
    ),
    "sasl": host(mechanisms=frozenset()),
    "connector-waits": replace(
        facts(book=book(NEW, LINK)), touched={"court": NOW - timedelta(days=2)}
    ),
    "any-client": facts(book=book(Agency("court", any_client=True))),
    "loopback": facts(book=book(Agency("court", networks=("127.0.0.0/8",)))),
}
