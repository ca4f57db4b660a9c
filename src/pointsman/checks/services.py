"""Services whose own options in master.cf lead mail past us. Pure."""

import re
from collections.abc import Iterator
from pathlib import Path

from pointsman.checks.facts import Facts, Service, items
from pointsman.checks.finding import Found
from pointsman.checks.overruling import RESTRICTIONS
from pointsman.postfix.lane import Tables
from pointsman.postfix.wiring import MILTER_LIMITS

_SAFE_ACTIONS = ("tempfail", "reject", "quarantine", "shutdown")
# What milter/session.py asks for, by the parameter that lists it.
MACROS = {
    "milter_mail_macros": {"{auth_authen}": "a client's login: nobody has one"},
    "milter_rcpt_macros": {"{rcpt_mailer}": "the way that Postfix would give each recipient"},
    "milter_end_of_data_macros": {"i": "the queue id, by which mail is held and logged"},
}


def _own(facts: Facts, service: Service, name: str) -> str:
    """Taking an option of master.cf away again."""
    return facts.then_reload("postconf", "-PX", f"{service.name}/{name}")


def _put(facts: Facts, service: Service, name: str, value: str) -> str:
    """Putting one there; postconf takes no blanks in it."""
    return facts.then_reload("postconf", "-P", f"{service.name}/{name}={value}")


def takes_back(facts: Facts, service: Service) -> bool:
    """Whether a content filter returns mail to this service, which has passed us before."""
    filtered = any(facts.postfix.value("content_filter", s) for s in facts.postfix.of("smtpd"))
    there = facts.postfix.value("content_filter", service)
    return filtered and not there and (service.loopback or "content_filter" in service.options)


def without_milter(facts: Facts) -> Iterator[Found]:
    """`-o smtpd_milters=` without ours: the service's mail is not led, checked or counted."""
    if not facts.wiring.done:
        return
    for service in facts.postfix.of("smtpd"):
        found = facts.milter_items(service)
        if any(map(facts.means_milter, found)) or takes_back(facts, service):
            continue
        if "smtpd_milters" in service.options:
            own = " ".join(found)
            text = f"has `-o smtpd_milters={own}`: its mail is not led, checked or counted"
            yield Found(f"service {service.name}", text, _own(facts, service, "smtpd_milters"))


def unreachable_milter(facts: Facts) -> Iterator[Found]:
    """A chrooted daemon looks for the milter in another place than one that is not."""
    wired = [(s, "smtpd_milters") for s in facts.postfix.of("smtpd")]
    wired += [(s, "non_smtpd_milters") for s in facts.postfix.of("cleanup")]
    for service, name in wired:
        meant = [i for i in facts.milter_items(service, name) if facts.means_milter(i)]
        if not meant or facts.asks_milter(service, name):
            continue
        seen, there = facts.path_of(meant[0], service), facts.config.milter_socket
        how = "is chrooted and" if service.chrooted else "is not chrooted, and"
        yield Found(
            f"service {service.name}",
            f"{how} looks for the milter at {seen}, but it listens at {there}",
            _reaching(facts, service, name),
        )


def _reaching(facts: Facts, service: Service, name: str) -> str:
    """A path relative to the queue directory is right in a chroot and outside of it."""
    queue, socket = facts.postfix.queue, facts.config.milter_socket
    if not socket.is_relative_to(queue):
        where = f'milter: {{socket: "unix:{queue}/pointsman/milter.sock"}}'
        return f"write {where} into {facts.config.path}, then {facts.ours('setup')}"
    item = f"{{ unix:{socket.relative_to(queue)}, {MILTER_LIMITS} }}"
    others = [i for i in facts.milter_items(service, name) if not facts.means_milter(i)]
    setting = facts.command("postconf", "-e", f"pointsman_{name}={', '.join([*others, item])}")
    option = facts.command("postconf", "-P", f"{service.name}/{name}=$pointsman_{name}")
    return f"`{setting} && {option} && {facts.command('postfix', 'reload')}`"


def milters_off(facts: Facts) -> Iterator[Found]:
    """`receive_override_options=no_milters`: the same as no milter at all."""
    name = "receive_override_options"
    for service in facts.postfix.of("smtpd", "pickup"):
        given = items(facts.postfix.value(name, service))
        if "no_milters" not in given or takes_back(facts, service):
            continue
        rest = ",".join(option for option in given if option != "no_milters")
        text = "has `no_milters`: its mail is not led, checked or counted"
        if name not in service.options:
            fix = facts.then_reload("postconf", "-e", f"{name}={rest}")
        elif rest:
            fix = _put(facts, service, name, rest)
        else:
            fix = _own(facts, service, name)
        yield Found(f"service {service.name}", text, fix)


def exempted_clients(facts: Facts) -> Iterator[Found]:
    """`smtpd_milter_maps` lets some clients pass by the milter."""
    for service in facts.postfix.of("smtpd"):
        for item in items(facts.postfix.value("smtpd_milter_maps", service)):
            rows = facts.postfix.tables.get(item)
            past = [r for r in rows or () if not any(map(facts.means_milter, items(r.value)))]
            if rows is not None and not past:
                continue
            which = f"line {past[0].where}" if past else f"table {item}, which can't be listed,"
            yield Found(
                f"service {service.name}",
                f"asks other milters of some clients: {which} does not name ours",
                f"put unix:{facts.config.milter_socket} behind the others in each line, then "
                f"`{facts.command('postfix', 'reload')}`",
            )


def accepting_milter(facts: Facts) -> Iterator[Found]:
    """While the milter is away, a service accepts mail unchecked."""
    for service in facts.postfix.of("smtpd"):
        for item in filter(facts.means_milter, facts.milter_items(service)):
            stated = re.search(r"default_action\s*=\s*(\w+)", item)
            action = stated[1] if stated else facts.postfix.value("milter_default_action", service)
            if action in _SAFE_ACTIONS:
                continue
            text = f"has `{action}` for when the milter is away: mail goes unchecked then"
            yield Found(f"service {service.name}", text, _safe_action(facts, service))


def _safe_action(facts: Facts, service: Service) -> str:
    if "smtpd_milters" in service.options:
        return _own(facts, service, "smtpd_milters")
    return facts.ours("setup")


def missing_macros(facts: Facts) -> Iterator[Found]:
    """Postfix does not tell the milter the login, the recipient's way or the queue id."""
    for name, needed in MACROS.items():
        given = facts.postfix.value(name).split()
        for macro, what in needed.items():
            if given and macro not in given:
                text = f"leaves out `{macro}`, so the milter does not learn {what}"
                yield Found(f"main.cf {name}", text, facts.then_reload("postconf", "-X", name))


def proxy_filter(facts: Facts) -> Iterator[Found]:
    """Behind `smtpd_proxy_filter` the milter sees neither header nor body."""
    name = "smtpd_proxy_filter"
    for service in facts.postfix.of("smtpd"):
        proxy = facts.postfix.value(name, service)
        if proxy:
            text = f"passes its mail through the filter at {proxy}: the milter sees no header"
            yield Found(f"service {service.name}", text, _after_queue(facts, service, proxy))


def _after_queue(facts: Facts, service: Service, proxy: str) -> str:
    """The same filter, asked after the queue: the milter has decided by then."""
    host, _, port = proxy.removeprefix("inet:").rpartition(":")
    filter_ = f"smtp:[{(host or '127.0.0.1').strip('[]')}]:{port}"
    inside = "smtpd_proxy_filter" in service.options
    where = (
        ["-PX", f"{service.name}/smtpd_proxy_filter"] if inside else ["-X", "smtpd_proxy_filter"]
    )
    away = facts.command("postconf", *where)
    put = facts.command("postconf", "-P", f"{service.name}/content_filter={filter_}")
    return (
        f"filter after the queue: `{away} && {put} && {facts.command('postfix', 'reload')}`; "
        "the filter must then let mail through or bounce it, and can't refuse it any more"
    )


def filter_returns(facts: Facts) -> Iterator[Found]:
    """A content filter gives mail back to a service that asks the milter again.

    Mail is counted twice, its login is gone, and carriers are refused.
    """
    for service in facts.postfix.of("smtpd"):
        given = items(facts.postfix.value("receive_override_options", service))
        asked = facts.asks_milter(service) and "no_milters" not in given
        if not takes_back(facts, service) or not asked:
            continue
        rest = [item for item in facts.milter_items(service) if not facts.means_milter(item)]
        text = (
            "takes mail back from a content filter and asks the milter again: it is counted twice, "
            "its login is gone, and carriers are refused"
        )
        value = ",".join([*given, "no_milters"])
        fix = (
            _put(facts, service, "receive_override_options", value)
            if not rest
            else _put(facts, service, "smtpd_milters", ",".join(rest))
        )
        yield Found(f"service {service.name}", text, fix)


def filter_by_pipe(facts: Facts) -> Iterator[Found]:
    """A content filter gives mail back by sendmail(1): the milter is asked again."""
    pipes = {s.fields[0] for s in facts.postfix.of("pipe")}
    for service in facts.postfix.of("smtpd"):
        name = facts.postfix.value("content_filter", service).partition(":")[0]
        if name in pipes:
            yield Found(
                f"service {service.name}",
                f"has the content filter {name}, a pipe(8): what it gives back by sendmail(1) "
                "passes the milter again, without a login",
                "have the filter take and return mail by SMTP, to a service of its own with "
                "-o content_filter= -o receive_override_options=no_milters (FILTER_README, "
                '"Advanced content filter")',
            )


def filter_refuses_carriers(facts: Facts) -> Iterator[Found]:
    """A service to which a content filter gives mail back refuses carriers.

    DNS does not know their domain.
    """
    for service in filter(lambda s: takes_back(facts, s), facts.postfix.of("smtpd")):
        for name in RESTRICTIONS:
            rules = items(facts.postfix.value(name, service))
            if "reject_unknown_sender_domain" not in rules:
                continue
            rest = ",".join(r for r in rules if r != "reject_unknown_sender_domain")
            text = f"takes mail back from a filter, and its {name} refuse carriers (.pm.invalid)"
            yield Found(f"service {service.name}", text, _put(facts, service, name, rest))


def without_policy(facts: Facts) -> Iterator[Found]:
    """Postfix asks the policy daemon itself, but a service has other restrictions."""
    socket = "/".join(facts.config.policy_socket.parts[-2:])
    for name in RESTRICTIONS:
        if socket not in facts.postfix.value(name):
            continue
        for service in facts.postfix.of("smtpd"):
            own = service.options.get(name)
            if own is None or socket in own or takes_back(facts, service):
                continue
            value = ",".join(["check_policy_service", f"unix:{socket}", *items(own)])
            text = f"has `-o {name}` of its own, which leave out the policy daemon"
            yield Found(f"service {service.name}", text, _put(facts, service, name, value))


def unreachable_policy(facts: Facts) -> Iterator[Found]:
    """A chrooted smtpd looks for the policy daemon where it is not."""
    ours = facts.config.policy_socket
    for service in facts.postfix.of("smtpd"):
        for name in RESTRICTIONS:
            for item in items(facts.postfix.value(name, service)):
                path = Path(item.removeprefix("unix:"))
                if not item.startswith("unix:") or path.parts[-2:] != ours.parts[-2:]:
                    continue
                if facts.path_of(item, service) != ours:
                    text = f"looks for the policy daemon at {facts.path_of(item, service)}"
                    right = f"unix:{'/'.join(ours.parts[-2:])}"
                    yield Found(
                        f"service {service.name}",
                        f"{text} ({name}), but it listens at {ours}",
                        f"write {right} instead of {item}, relative to the queue directory",
                    )


def marker_overruled(facts: Facts) -> Iterator[Found]:
    """A cleanup service has `milter_header_checks` of its own: null senders lose their lane."""
    name, ours = "milter_header_checks", Tables(facts.config.tables).pcre("marker")
    for service in facts.postfix.of("cleanup"):
        own = service.options.get(name)
        if own is not None and items(own)[:1] != [ours]:
            text = f"has `-o {name}={own}`: null-sender mail loses its lane"
            yield Found(f"service {service.name}", text, _own(facts, service, name))


DECODING = {
    "smtp_generic_maps": "decode",
    "smtp_header_checks": "strip",
    "smtp_mime_header_checks": "strip",
    "smtp_nested_header_checks": "strip",
    "smtp_body_checks": "strip_body",
}


def carriers_shown(facts: Facts) -> Iterator[Found]:
    """An smtp or lmtp service of yours does not take carriers and markers off again."""
    tables = Tables(facts.config.tables)
    for service in facts.postfix.of("smtp", "lmtp"):
        for spelled, table in DECODING.items():
            name = spelled.replace("smtp_", f"{service.command}_", 1)
            own = service.options.get(name)
            if own is None or items(own)[:1] == [tables.pcre(table)]:
                continue
            value = ",".join([tables.pcre(table), *items(own)])
            text = f"has `-o {name}={own}`: carriers or markers leave by it as they are"
            yield Found(f"service {service.name}", text, _put(facts, service, name, value))
