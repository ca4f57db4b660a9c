"""What setup wrote into main.cf, and what Postfix must be able to do. Pure."""

import shlex
from collections.abc import Iterator

from pointsman.checks.facts import Facts, items
from pointsman.checks.finding import Found
from pointsman.postfix.lane import TABLE_TYPES
from pointsman.postfix.render import CLEANUP
from pointsman.postfix.wiring import AT_LEAST, FIRST, FIXED, MILTER, MILTERS, PICKUP

OLDEST = (3, 5)  # several hosts in one next hop
# Postfix 3.9 has more words for it, each as safe.
_SAFE = {"smtpd_forbid_bare_newline": ("yes", "normalize", "reject")}
_KINDS = {"smtpd_forbid_bare_newline": "bare-newline", "enable_long_queue_ids": "short-queue-ids"}


def not_set_up(facts: Facts) -> Iterator[Found]:
    """Postfix is not wired: all mail passes by Pointsman."""
    if not facts.wiring.done:
        text = facts.wiring.trouble or "mail passes by Pointsman"
        where = facts.config.postfix.config_directory
        yield Found(f"Postfix in {where}", f"is not wired: {text}", facts.ours("setup"))


def _differing(facts: Facts) -> Iterator[tuple[str, str, str]]:
    wiring = facts.wiring
    for name, wanted in wiring.wanted.items():
        present = wiring.present.get(name, "")
        same = _items(facts, present) == _items(facts, wanted)
        if not same and present not in _SAFE.get(name, ()):
            yield name, present, wanted


def _items(facts: Facts, value: str) -> list[str]:
    """The items; whether each service reaches our milter by its path is asked elsewhere."""
    return [facts.without_path(i) if facts.means_milter(i) else i for i in items(value)]


def _ordered(facts: Facts, present: str, wanted: str) -> bool:
    """Whether everything is there, and only the order is wrong."""
    return sorted(_items(facts, present)) == sorted(_items(facts, wanted))


def _shown(present: str) -> str:
    return f"`{present}`" if present else "not set"


def changed_settings(facts: Facts) -> Iterator[Found]:
    """A line of main.cf is not as setup writes it: it was never written, or changed since."""
    for name, present, wanted in _differing(facts):
        if name in FIXED or name in AT_LEAST or _ordered(facts, present, wanted):
            continue
        text = f"is {_shown(present)}; setup writes `{wanted}`"
        yield Found(f"main.cf {name}", text, facts.ours("setup"))


def wrong_order(facts: Facts) -> Iterator[Found]:
    """Ours stands behind another item of a list, and Postfix obeys the first that matches."""
    for name, present, wanted in _differing(facts):
        if name not in MILTERS and _ordered(facts, present, wanted):
            place = "first" if name in FIRST or name.startswith(("smtp_", "lmtp_")) else "last"
            yield Found(
                f"main.cf {name}",
                f"is `{present}`: ours must be {place}, or another rule is obeyed instead",
                facts.ours("setup"),
            )


def milter_not_last(facts: Facts) -> Iterator[Found]:
    """Another milter comes after ours, and may change what ours has decided on."""
    for name, present, wanted in _differing(facts):
        if name in MILTERS and _ordered(facts, present, wanted):
            yield Found(
                f"main.cf {name}",
                f"is `{present}`: another milter may still change what ours has decided on",
                facts.ours("setup"),
            )


def bare_newline(facts: Facts) -> Iterator[Found]:
    """A client can hide a second message within the first (SMTP smuggling), with any From."""
    yield from _fixed(facts, "smtpd_forbid_bare_newline")


def short_queue_ids(facts: Facts) -> Iterator[Found]:
    """Postfix soon gives a queue id to another message; rates and held mail are known by it."""
    yield from _fixed(facts, "enable_long_queue_ids")


def _fixed(facts: Facts, name: str) -> Iterator[Found]:
    for _, present, wanted in (d for d in _differing(facts) if d[0] == name):
        text = f"is {_shown(present)}, not `{wanted}`"
        yield Found(f"main.cf {name}", text, facts.ours("setup"))
    for service in facts.postfix.of("smtpd", "cleanup") if name in facts.wiring.wanted else ():
        own = service.options.get(name, FIXED[name])
        if own not in _SAFE.get(name, (FIXED[name],)):
            fix = facts.taking_option(service, name)
            yield Found(f"service {service.name}", f"has `-o {name}={own}`", fix)


def small_active_queue(facts: Facts) -> Iterator[Found]:
    """The active queue, which all lanes share, is so small that a few slow ones fill it."""
    for name, present, wanted in _differing(facts):
        if name in AT_LEAST:
            text = f"is {_shown(present)}: a few slow lanes fill it, and all others wait"
            yield Found(f"main.cf {name}", f"{text}; setup writes {wanted}", facts.ours("setup"))


def pickup_elsewhere(facts: Facts) -> Iterator[Found]:
    """Requeued mail does not pass our cleanup service.

    `postsuper -r` frees held mail then, and null-sender mail loses its lane.
    """
    if (PICKUP, "cleanup_service_name") in facts.wiring.options:
        text = f"does not hand its mail to {CLEANUP}: requeued mail loses its lane, and its hold"
        yield Found(f"service {PICKUP}", text, facts.ours("setup"))


def old_postfix(facts: Facts) -> Iterator[Found]:
    """Postfix is older than 3.5, and reads several hosts of a connector as one."""
    if facts.postfix.version < OLDEST:
        version = ".".join(map(str, facts.postfix.version))
        text = f"is {version}: it reads several hosts of a connector as one"
        yield Found("Postfix", text, "`apt install postfix` from a newer Debian: 3.5 or later")


def missing_tables(facts: Facts) -> Iterator[Found]:
    """Postfix can't read lmdb, pcre or sqlite tables, and defers the mail that needs them."""
    for kind in TABLE_TYPES:
        if kind not in facts.postfix.table_types:
            text = f"reads no {kind} tables, and defers mail that needs one"
            yield Found("Postfix", text, f"`apt install postfix-{kind}`")


def second_instance(facts: Facts) -> Iterator[Found]:
    """Another Postfix instance has our milter or tables: its held mail is never let go."""
    for directory, names in facts.postfix.others.items():
        where = ["-c", str(directory)]
        away = shlex.join(["postconf", *where, "-X", *names])
        reload = shlex.join(["postfix", *where, "reload"])
        yield Found(
            f"instance {directory}",
            f"has our {names[0]} in its main.cf, but we look after {facts.postfix.directory} only",
            f"`{away} && {reload}`; to wire it too, give it a configuration file of its own "
            "(`pointsman --config FILE setup`)",
        )


def changed_services(facts: Facts) -> Iterator[Found]:
    """An option of a service in master.cf is not, or no longer, as setup writes it."""
    for (service, name), value in facts.wiring.options.items():
        if service != PICKUP and name != MILTER:  # of those that are left out
            text = f"lacks `-o {name}={value}`" if value is not None else f"has `-o {name}`"
            yield Found(f"service {service}", f"{text}; setup would change it", facts.ours("setup"))


def observing(facts: Facts) -> Iterator[Found]:
    """Pointsman only looks on: nothing is led, refused or held."""
    if facts.wiring.choice.observe:
        text = "decides and logs, and changes nothing; `pointsman observed` sums it up"
        yield Found("Pointsman", text, facts.ours("setup", "--enforce"))
