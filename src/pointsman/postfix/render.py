"""Turns the database into everything that Postfix and the daemons read. Pure.

The result is compared with what is there by apply.py, which alone writes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from pointsman.oauth.handover import way_text
from pointsman.postfix import replies
from pointsman.postfix.conf import service_entry, spell_list
from pointsman.postfix.lane import Tables, credentials, lane_entry
from pointsman.postfix.snapshot import snapshot_of
from pointsman.routing.address import carrier_domain, quote_local, unicode_domain
from pointsman.routing.snapshot import NO_TRANSPORT, NONE, POSTFIX, Snapshot, Surroundings
from pointsman.store.book import Book

CLEANUP = "pointsman-cleanup"

# A carrier's domain, and a carrier decoded: the quoted form first, since Postfix
# asks with the quotes on.
_DOMAIN = r"@[a-z0-9-]+\.[a-z0-9-]+\.pm\.invalid"
_QUOTED = rf'"(.+)=([^=@"\\]+)"{_DOMAIN}'
_PLAIN = rf'([^"].*)=([^=@"\\]+){_DOMAIN}'
DECODE = f"""/^{_QUOTED}$/ "$1"@$2
/^{_PLAIN}$/ $1@$2
"""
# Of an address the key of its domain. Not by a pattern: Postfix allows none to be substituted in a
# map that decides where mail goes.
_DOMAIN_KEY = "dbpath = {empty}\nquery = SELECT '@%d'\n"
# What Postfix writes about a message into a bounce of it, besides real header fields.
_TRACES = rf"""/^Return-Path: <.*{_DOMAIN}>$/ IGNORE
/^X-Postfix-Sender: rfc822; {_QUOTED}$/ REPLACE X-Postfix-Sender: rfc822; "$1"@$2
/^X-Postfix-Sender: rfc822; {_PLAIN}$/ REPLACE X-Postfix-Sender: rfc822; $1@$2
"""
STRIP = f"""/^X-Pointsman-(Lane|Held):/ IGNORE
{_TRACES}"""
# In a body only what could be a real marker, e.g. in a postmaster's notice; a
# check of each line for its first letters keeps the cost down.
STRIP_BODY = f"""if /^(X-Po|Return-Path)/
/^X-Pointsman-(Lane|Held): [0-9a-f]{{32}} / IGNORE
{_TRACES}endif
"""


@dataclass(frozen=True)
class Rendered:
    """All that apply has to bring about."""

    senders: str  # the source of sender_transport
    files: Mapping[str, str]  # by path within the tables' folder; world-readable
    secret_files: Mapping[str, str]  # the same, for root alone
    services: Mapping[str, str]  # master.cf
    parameters: Mapping[str, str | None]  # main.cf
    snapshot: Snapshot


def render(
    book: Book,
    around: Surroundings,
    tables: Tables,
    unseal: Callable[[str], str],
    cleanup_chroot: str,
    checks: Mapping[str, str],
    original: Mapping[str, str],
    now: datetime,
    *,
    observe: bool = False,
) -> Rendered:
    """Render one revision, with the diversions that are in force now.

    `cleanup_chroot` is as in master.cf; `checks` are the admin's own header_checks, which
    cleanup for requeued mail must keep; `original` is what main.cf would say without us.
    While we `observe`, no sender is led anywhere.
    """
    connectors = [c for c in book.connectors.values() if c.state != "new"]
    tokens = tuple(unseal(token) for token in book.sealed_tokens)
    snapshot = snapshot_of(book, around, connectors, tokens, tables, now)
    snapshot = replace(snapshot, observe=observe)
    markers = {name: _marked_destination(snapshot, name) for name in snapshot.lanes}
    return Rendered(
        senders="".join(f"{key} {value}\n" for key, value in sorted(_rows(book, snapshot))),
        files={
            "decode.pcre": DECODE,
            "domain.cf": _DOMAIN_KEY.format(empty=tables.folder / "empty.db"),
            "strip.pcre": STRIP,
            "strip_body.pcre": STRIP_BODY,
            **replies.files(tables.folder),
            "marker.pcre": _marker_checks(markers),
            **{f"ca/{tables.ca(c).name}": c.ca for c in connectors if c.ca},
            **{f"submit/{c.name}.json": way_text(c) for c in connectors if c.auth == "oauth2"},
        },
        secret_files={
            "requeue.pcre": _requeue_checks(markers, tokens),
            **{
                f"login/{tables.login(c).name}": credentials(c.username, unseal(c.password))
                for c in connectors
                if c.auth == "password"
            },
            **{
                f"identity/{tables.identity(c).name}": unseal(c.private_key) + c.certificate
                for c in connectors
                if c.auth == "certificate"
            },
        },
        services={
            **{f"pm-{c.name}/unix": lane_entry(c, tables) for c in connectors if c.state == "live"},
            f"{CLEANUP}/unix": _cleanup_entry(tables, cleanup_chroot, checks),
        },
        parameters={"default_transport": _default_transport(snapshot, original)},
        snapshot=snapshot,
    )


def _rows(book: Book, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    destinations = {name: _destination(snapshot, name) for name in snapshot.lanes}
    links = {} if snapshot.observe else snapshot.links
    for key, link in links.items():
        for spelling in table_keys(key):
            yield spelling, destinations[link.connector]
    for agency, connector in book.carriers:
        why = "is not live" if connector in book.connectors else "is gone"
        gone = f"retry:4.3.0 connector {connector} {why}"
        yield f"@{carrier_domain(agency, connector)}", destinations.get(connector, gone)
    if book.null_sender and not snapshot.observe:
        yield "<>", destinations[book.null_sender]


def _destination(snapshot: Snapshot, connector: str) -> str:
    """Where everything goes that leads to a connector."""
    return snapshot.lanes[snapshot.taken(connector)].destination


@lru_cache(maxsize=200_000)
def table_keys(key: str) -> tuple[str, ...]:
    """A link's keys in Postfix's table, which knows A- and U-labels as two domains.

    None for what its table can't say: subdomain rules, and keys that its source
    would read otherwise. Mail of those is carried.
    """
    local, _, domain = key.rpartition("@")
    if domain.startswith(".") or key.startswith("#") or (local and quote_local(local) != local):
        return ()
    return tuple(dict.fromkeys([key, f"{local}@{unicode_domain(domain)}"]))


def _marked_destination(snapshot: Snapshot, connector: str) -> str:
    lane = snapshot.lanes[snapshot.taken(connector)]
    if lane.live:
        return lane.destination
    return f"retry:4.3.0 connector {lane.connector} is disabled"


def _marker_checks(markers: Mapping[str, str]) -> str:
    """`milter_header_checks`: only a header made by a milter gets here.

    The last rule catches the marker of a lane that this cleanup process, started
    before an apply, does not know yet.
    """
    rules = [
        f"/^X-Pointsman-Lane: [0-9a-f]{{32}} {name}$/ FILTER {destination}"
        for name, destination in markers.items()
    ]
    return "\n".join([*rules, "/^X-Pointsman-Lane:/ HOLD lane not applied yet", ""])


def _requeue_checks(markers: Mapping[str, str], tokens: tuple[str, ...]) -> str:
    """`header_checks` of requeued mail, which passes no milter: the token proves the marker."""
    if not tokens:
        return ""
    known = f"({'|'.join(tokens)})"
    rules = [
        f"/^X-Pointsman-Lane: {known} {name}$/ FILTER {destination}"
        for name, destination in markers.items()
    ]
    return "\n".join(
        [
            *rules,
            f"/^X-Pointsman-Lane: {known} / HOLD connector is gone",
            f"/^X-Pointsman-Held: {known} / HOLD held until its rate allows",
            "",
        ]
    )


def _cleanup_entry(tables: Tables, chroot: str, checks: Mapping[str, str]) -> str:
    """The cleanup service behind pickup: our rules first, then the admin's own."""
    return service_entry(
        f"{CLEANUP} unix n - {chroot} - 0 cleanup",
        {
            "header_checks": spell_list(tables.pcre("requeue"), checks["header_checks"]),
            "nested_header_checks": checks["nested_header_checks"],
            "mime_header_checks": checks["mime_header_checks"],
        },
    )


def _default_transport(snapshot: Snapshot, original: Mapping[str, str]) -> str | None:
    """Where mail goes that no row of the table matches."""
    if snapshot.default == POSTFIX or snapshot.observe:
        return original.get("default_transport")
    if snapshot.default == NONE:
        # Not `error:`, which smtpd would answer at RCPT, before the From is seen.
        return f"{NO_TRANSPORT}:none"
    return _destination(snapshot, snapshot.default)
