"""Services whose own options in master.cf lead mail past us. Pure."""

import re
from collections.abc import Iterator
from pathlib import Path

from pointsman.checks.facts import Facts, Service, items
from pointsman.checks.finding import Found
from pointsman.checks.overruling import RESTRICTIONS
from pointsman.postfix.lane import Tables
from pointsman.postfix.services import Smtpd
from pointsman.postfix.wiring import MILTER

_SAFE_ACTIONS = ("tempfail", "reject", "quarantine", "shutdown")
# What milter/session.py asks for, by the parameter that lists it.
MACROS = {
    "milter_mail_macros": {"{auth_authen}": "a client's login: nobody has one"},
    "milter_rcpt_macros": {"{rcpt_mailer}": "the way that Postfix would give each recipient"},
    "milter_end_of_data_macros": {"i": "the queue id, by which mail is held and logged"},
}


def without_milter(facts: Facts) -> Iterator[Found]:
    """`-o smtpd_milters=` or `no_milters`: mail of the service is not led, checked or counted."""
    for smtpd in facts.wiring.left_out:
        if smtpd.without_milters and smtpd.name not in facts.wiring.choice.services:
            text = f"has `-o {smtpd.without_milters}`: its mail is not led, checked or counted"
            yield Found(f"service {smtpd.service}", text, _asking_again(facts, smtpd))


def _asking_again(facts: Facts, smtpd: Smtpd) -> str:
    """Take away what keeps milters off; setup then takes the service in."""
    name, _, _ = smtpd.without_milters.partition("=")
    given = items(smtpd.options.get(name, ""))
    rest = ",".join(word for word in given if word != "no_milters")
    if rest:
        return facts.then_setup("postconf", "-P", f"{smtpd.service}/{name}={rest}")
    return facts.then_setup("postconf", "-PX", f"{smtpd.service}/{name}")


def left_out(facts: Facts) -> Iterator[Found]:
    """`setup --services` leaves a service out: its mail is not led, checked or counted."""
    chosen = facts.wiring.choice.services
    for smtpd in facts.wiring.left_out if chosen else ():
        yield Found(
            f"service {smtpd.service}",
            "does not ask the milter, as you said at setup",
            "if it is to: " + facts.ours("setup", "--services", ",".join([*chosen, smtpd.name])),
        )


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
    """The socket must be where the service can see it."""
    queue = facts.postfix.queue
    if facts.config.milter_socket.is_relative_to(queue):
        return _by_parameter(facts, service, name)
    where = f'milter: {{socket: "unix:{queue}/pointsman/milter.sock"}}'
    return f"write {where} into {facts.config.path}, then {facts.ours('setup')}"


def _by_parameter(facts: Facts, service: Service, name: str) -> str:
    """Name our milter as setup does, behind the service's own."""
    own = [i for i in facts.milter_items(service, name) if not facts.means_milter(i)]
    if name not in service.options:
        return facts.ours("setup")
    return facts.putting_option(service, name, ",".join([*own, f"${MILTER}"]))


def milters_off(facts: Facts) -> Iterator[Found]:
    """`receive_override_options=no_milters`: the same as no milter at all."""
    name = "receive_override_options"
    given = items(facts.postfix.value(name))
    if "no_milters" in given:
        rest = ",".join(word for word in given if word != "no_milters")
        text = "has `no_milters`: no mail is led, checked or counted"
        yield Found(f"main.cf {name}", text, facts.then_reload("postconf", "-e", f"{name}={rest}"))
    for service in facts.postfix.of("pickup"):
        if "no_milters" in items(service.options.get(name, "")):
            text = "has `no_milters`: mail from sendmail(1) is not led, checked or counted"
            yield Found(f"service {service.name}", text, facts.taking_option(service, name))


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
    if facts.wiring.choice.observe:
        return  # looking on must cost no mail
    for service in facts.postfix.of("smtpd"):
        for item in filter(facts.means_milter, facts.milter_items(service)):
            stated = re.search(r"default_action\s*=\s*(\w+)", item)
            action = stated[1] if stated else facts.postfix.value("milter_default_action", service)
            if action in _SAFE_ACTIONS:
                continue
            text = f"has `{action}` for when the milter is away: mail goes unchecked then"
            fix = _by_parameter(facts, service, "smtpd_milters")
            yield Found(f"service {service.name}", text, fix)


def missing_macros(facts: Facts) -> Iterator[Found]:
    """Postfix does not tell the milter the login, the recipient's way or the queue id."""
    for name, needed in MACROS.items():
        given = items(facts.postfix.value(name))
        for macro, what in needed.items():
            if given and macro not in given:
                text = f"leaves out `{macro}`, so the milter does not learn {what}"
                yield Found(f"main.cf {name}", text, facts.then_reload("postconf", "-X", name))


def without_policy(facts: Facts) -> Iterator[Found]:
    """Postfix asks the policy daemon itself, but a service has other restrictions."""
    socket = "/".join(facts.config.policy_socket.parts[-2:])
    for name in RESTRICTIONS:
        if socket not in facts.postfix.value(name):
            continue
        for service in facts.postfix.of("smtpd"):
            own = service.options.get(name)
            if own is None or socket in own or "content_filter" in service.options:
                continue
            value = ",".join(["check_policy_service", f"unix:{socket}", *items(own)])
            text = f"has `-o {name}` of its own, which leave out the policy daemon"
            yield Found(f"service {service.name}", text, facts.putting_option(service, name, value))


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
            yield Found(f"service {service.name}", text, facts.taking_option(service, name))


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
            yield Found(f"service {service.name}", text, facts.putting_option(service, name, value))
