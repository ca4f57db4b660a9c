"""An admin's own rules that win over a lane, or change what it goes by. Pure."""

import re
from collections.abc import Iterator
from itertools import pairwise

from pointsman.checks.facts import Facts, Row, items
from pointsman.checks.finding import Found
from pointsman.routing.address import AddressError, normal_domain, split_address
from pointsman.routing.lanes import find_link
from pointsman.routing.snapshot import NONE, POSTFIX, Lane, Snapshot

CHECKS = ("header_checks", "mime_header_checks", "nested_header_checks", "body_checks")
OURS_FIRST = "milter_header_checks"
RESTRICTIONS = tuple(
    f"smtpd_{part}_restrictions"
    for part in ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data")
)
COPIES = ("always_bcc", "sender_bcc_maps", "recipient_bcc_maps")
DOMAINS = (
    "mydestination",
    "virtual_mailbox_domains",
    "virtual_alias_domains",
    "relay_domains",
)
CANONICAL = {
    "sender_canonical_maps": "sender_canonical_classes",
    "canonical_maps": "canonical_classes",
}
CLASSES = {**CANONICAL, "masquerade_domains": "masquerade_classes"}
SENDERS = "sender_dependent_default_transport_maps"
PATTERNS = ("pcre:", "regexp:")
# An address as the milter writes it, and any other: what do maps of patterns make of them?
CARRIER = "check=pointsman.example@default.check.pm.invalid"
ANYBODY = "check@pointsman.example"
_INLINE = (3, 7)  # the first Postfix that takes patterns within main.cf
_KEEP = r"/^(.+[.]pm[.]invalid)$/ $1"
_BLOCKS = ("error", "retry", "discard")
_SHOWN = 5  # of many alike


def access_tables(value: str) -> list[str]:
    """The access tables in a list of smtpd's restrictions."""
    words = items(value)
    return [table for word, table in pairwise(words) if re.fullmatch(r"check_\w+_access", word)]


def action_tables(facts: Facts) -> Iterator[str]:
    """All tables that may say FILTER or REDIRECT, but for ours."""
    for cleanup in facts.postfix.of("cleanup"):
        for name in (*CHECKS, OURS_FIRST):
            yield from items(facts.postfix.value(name, cleanup))
    for smtpd in facts.postfix.of("smtpd"):
        for name in RESTRICTIONS:
            yield from access_tables(facts.postfix.value(name, smtpd))


def _rows(facts: Facts, name: str) -> Iterator[Row]:
    """The rows of a list's tables, as far as they can be listed; ours left out."""
    for item in items(facts.postfix.value(name)):
        if str(facts.config.tables) not in item:
            yield from facts.postfix.tables.get(item) or ()


def _out(facts: Facts, row: Row, *, apply: bool = False) -> str:
    """How to take a line out of a table, so that it counts; some the milter must know, too."""
    reload = facts.command("postfix", "reload")
    reload += f" && {facts.pointsman('apply')}" if apply else ""
    if row.table:
        made = facts.command("postmap", row.table)
        return f"take {row.key} out of {row.table.partition(':')[2]}, then `{made} && {reload}`"
    return f"take this line out, then `{reload}`"


def _lanes(facts: Facts) -> list[Lane]:
    return list(facts.applied.snapshot.lanes.values()) if facts.applied.snapshot else []


def filters(facts: Facts) -> Iterator[Found]:
    """FILTER in a table of yours wins over the sender's lane; REDIRECT skips the milter."""
    wired = {facts.postfix.value("content_filter", s) for s in facts.postfix.of("smtpd")}
    for table in dict.fromkeys(action_tables(facts)):
        if str(facts.config.tables) in table:
            continue
        for row in facts.postfix.tables.get(table) or ():
            action, _, rest = row.value.partition(" ")
            if action.upper() == "REDIRECT":
                what = "skips the milter: that mail is not led, checked or counted"
            elif action.upper() == "FILTER" and rest.strip() not in wired:
                what = "wins over the sender's lane"
            else:
                continue
            yield Found(row.where, f"says `{row.value}`, which {what}", _out(facts, row))


def _domains(facts: Facts) -> frozenset[str]:
    """The domains that are hosted here, whatever the transport map says."""
    literal = {i for name in DOMAINS for i in items(facts.postfix.value(name)) if ":" not in i}
    listed = {row.key for name in DOMAINS for row in _rows(facts, name)}
    return frozenset(normal_domain(d.removeprefix(".")) for d in (literal | listed) if "@" not in d)


def transports(facts: Facts) -> Iterator[Found]:
    """A transport map leads some outbound recipients past the lanes, whoever sends."""
    hosted, outside = _domains(facts), []
    for row in _rows(facts, "transport_maps"):
        domain = normal_domain(row.key.rpartition("@")[2].removeprefix("."))
        blocked = row.value.partition(":")[0] in _BLOCKS
        parents = {domain[i + 1 :] for i, c in enumerate(domain) if c == "."}
        if (
            row.key != "*"
            and not blocked
            and row.value.strip(":")
            and not hosted & {domain, *parents}
        ):
            outside.append(row)
    if outside:
        more = f" and {len(outside) - _SHOWN} more" if len(outside) > _SHOWN else ""
        keys = ", ".join(row.key for row in outside[:_SHOWN])
        yield Found(
            "main.cf transport_maps",
            f"lead mail to {keys}{more} past the lanes, whoever sends it",
            f"if a sender's lane is to take such mail: {_out(facts, outside[0], apply=True)}",
        )


def every_recipient(facts: Facts) -> Iterator[Found]:
    """A transport map takes all mail, and no lane gets any."""
    for row in _rows(facts, "transport_maps"):
        if row.key == "*" and row.value.strip(":"):
            out = _out(facts, row, apply=True)
            yield Found(row.where, f"leads all mail to `{row.value}`: no lane gets any", out)
    for (name, item), answer in facts.postfix.answers.items():
        if name == "transport_maps" and item.startswith(PATTERNS) and answer.strip(":"):
            text = f"leads all mail to `{answer}`: no lane gets any"
            then = f"{facts.command('postfix', 'reload')} && {facts.pointsman('apply')}"
            yield Found(item, text, f"take the pattern that matches all out, then `{then}`")


def lane_for_recipient(facts: Facts) -> Iterator[Found]:
    """A transport map leads recipients to a lane: whoever writes to them uses its login."""
    lanes = {lane.transport for lane in _lanes(facts)}
    for row in _rows(facts, "transport_maps"):
        if row.value.partition(":")[0] in lanes:
            text = f"leads mail of any sender to the lane `{row.value}`, with its login"
            yield Found(row.where, text, _out(facts, row, apply=True))


def _other_sender_tables(facts: Facts) -> list[str]:
    tables = str(facts.config.tables)
    return [i for i in items(facts.postfix.value(SENDERS)) if tables not in i]


def answers_everybody(facts: Facts) -> Iterator[Found]:
    """A table of senders answers for everybody: mail without a link passes the default relay by."""
    default = facts.book.default
    if default == POSTFIX:
        return
    now = items(facts.postfix.value(SENDERS))
    for item in _other_sender_tables(facts):
        answer = facts.postfix.answers.get((SENDERS, item), "")
        if answer and answer.upper() != "DUNNO":
            rest = ", ".join(i for i in now if i != item)
            yield Found(
                f"main.cf {SENDERS}",
                f"has `{item}`, which answers `{answer}` for everybody: mail without a link goes "
                f"there, and not by the default relay {default}",
                facts.then_reload("postconf", "-e", f"{SENDERS}={rest}"),
            )


def rows_without_effect(facts: Facts) -> Iterator[Found]:
    """An address in a table of yours does nothing: the link of its domain wins."""
    snapshot = facts.applied.snapshot or Snapshot()
    for row in (r for i in _other_sender_tables(facts) for r in facts.postfix.tables.get(i) or ()):
        try:
            address = split_address(row.key)
        except AddressError:
            continue
        found = find_link(snapshot, address) if address.local else None
        if found and found[0] != address.key:
            text = f"leads {row.key} to `{row.value}`, but {found[0]} is linked, and that wins"
            yield Found(row.where, text, _out(facts, row, apply=True))


def carriers_rewritten(facts: Facts) -> Iterator[Found]:
    """Canonical maps or SRS rewrite carriers: their mail takes the default relay."""
    for name, classes in CANONICAL.items():
        if "envelope_sender" not in facts.postfix.value(classes):
            continue
        for item in items(facts.postfix.value(name)):
            answer = facts.postfix.answers.get((name, item), "")
            if answer and answer != CARRIER:
                text = f"has `{item}`, which rewrites carriers, so that their mail leaves no lane"
                yield Found(f"main.cf {name}", f"{text} (to {answer})", _keeping(facts, name))
            if answer:
                break


def _keeping(facts: Facts, name: str) -> str:
    """A first rule that leaves carriers as they are."""
    value = facts.postfix.parameters[name]
    if facts.postfix.version >= _INLINE:
        rule = _KEEP.replace("$", "$$")
        return facts.then_reload("postconf", "-e", f"{name}=pcre:{{{{{rule}}}}}, {value}")
    path = facts.postfix.directory / "carriers.pcre"
    first = facts.then_reload("postconf", "-e", f"{name}=pcre:{path}, {value}")
    return f"write the line {_KEEP} into {path}, then {first}"


def senders_rewritten(facts: Facts) -> Iterator[Found]:
    """Canonical maps, masquerading or SRS rewrite envelope senders.

    Pointsman copes: it carries each message of a linked sender.
    """
    for name, classes in CLASSES.items():
        given = items(facts.postfix.value(classes))
        if not facts.postfix.value(name) or "envelope_sender" not in given:
            continue
        rest = ", ".join(word for word in given if word != "envelope_sender")
        yield Found(
            f"main.cf {name}",
            "rewrites envelope senders, so that each message of a linked sender is carried",
            "if only header fields are to be rewritten: "
            + facts.then_reload("postconf", "-e", f"{classes}={rest}"),
        )


def copies(facts: Facts) -> Iterator[Found]:
    """With `always_bcc` or its like null-sender mail keeps to the default relay.

    To move it would move the copy as well.
    """
    names = [name for name in COPIES if facts.postfix.value(name)]
    live = [lane.connector for lane in _lanes(facts) if lane.live]
    if names and live and not facts.book.null_sender:
        choice = live[0] if len(live) == 1 else "NAME"
        name_one = facts.ours("connector", "default", choice, "--null-sender")
        yield Found(
            f"main.cf {names[0]}",
            "keeps null-sender mail from its agency's lane: it takes the default relay",
            f"name a connector for it: {name_one}; or "
            + facts.then_reload("postconf", "-X", *names),
        )


def deferred_lanes(facts: Facts) -> Iterator[Found]:
    """`defer_transports` names a live connector's lane: its mail waits without end."""
    given = items(facts.postfix.value("defer_transports"))
    live = {lane.transport for lane in _lanes(facts) if lane.live}
    named = [word for word in given if word in live]
    if named:
        rest = ", ".join(word for word in given if word not in live)
        yield Found(
            "main.cf defer_transports",
            f"names {', '.join(named)}: mail of a live connector waits without end",
            facts.then_reload("postconf", "-e", f"defer_transports={rest}"),
        )


def soft_bounces(facts: Facts) -> Iterator[Found]:
    """`soft_bounce` makes a temporary answer of every refusal."""
    name = "soft_bounce"
    text = "turns refusals into 4xx: clients try forbidden mail again for days"
    if facts.postfix.value(name) == "yes":
        fix = facts.then_reload("postconf", "-e", f"{name}=no")
        yield Found(f"main.cf {name}", text, fix)
    for service in facts.postfix.services.values():
        if service.options.get(name) == "yes":
            fix = facts.taking_option(service, name)
            yield Found(f"service {service.name}", f"has `-o {name}=yes`, which {text}", fix)


def no_default_relay(facts: Facts) -> Iterator[Found]:
    """The default relay is `none`: mail of senders that are not linked is refused."""
    if facts.book.default == NONE:
        yield Found(
            "default relay",
            "is none: mail of senders that are not linked gets 550",
            f"if such mail is to leave: {facts.ours('connector', 'default', 'postfix')}",
        )
