"""The settings by which Postfix is led through Pointsman.

contrib/postfix/README.md explains each of them; a test compares the two.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.postfix import files
from pointsman.postfix.conf import Instance, spell_list
from pointsman.postfix.lane import Tables
from pointsman.postfix.render import CLEANUP
from pointsman.postfix.services import WHOLE, Smtpd, chosen, filtered, smtpd_services
from pointsman.postfix.theirs import Theirs
from pointsman.postfix.without import ITEM, Ours, options
from pointsman.routing.decide import FRONT

PICKUP = "pickup/unix"
# A parameter of our own, so that one service can do without, and so that there is one truth.
MILTER = "pointsman_milter"
ROLE = "pointsman_role"

# Where our item goes in a list that may hold the admin's own.
FIRST = ("sender_dependent_default_transport_maps", "milter_header_checks")
STRIPPED = ("smtp_header_checks", "smtp_mime_header_checks", "smtp_nested_header_checks")
GENERIC = ("smtp_generic_maps", "lmtp_generic_maps")
MILTERS = ("smtpd_milters", "non_smtpd_milters")
FIXED = {"enable_long_queue_ids": "yes", "smtpd_forbid_bare_newline": "yes"}
# The active queue is all lanes' together: with the default, ten slow ones would fill it.
AT_LEAST = {"qmgr_message_active_limit": 100_000, "qmgr_message_recipient_limit": 100_000}

# Postfix's own limits would keep a client waiting for minutes when we hang.
MILTER_LIMITS = "connect_timeout=5s, command_timeout=10s, content_timeout=10s"


class NotSetUpError(PointsmanError):
    """Postfix is not wired yet: run `pointsman setup`."""


@dataclass(frozen=True)
class Choice:
    """What an admin said at setup, and this host goes by since."""

    observe: bool = False
    services: tuple[str, ...] = ()  # none named: all that may
    units: bool = True  # systemd's, where it runs


@dataclass(frozen=True)
class Wiring:
    """What main.cf and master.cf should say, given what they say now."""

    parameters: Mapping[str, str]
    options: Mapping[tuple[str, str], str | None]  # service, name: value; None to take it out
    asking: Sequence[Smtpd]
    left_out: Sequence[Smtpd]


def wiring(config: Config, instance: Instance, choice: Choice) -> Wiring:
    """What setup brings about; the same when asked twice."""
    values = instance.parameters("content_filter")
    entries = instance.services()
    services = smtpd_services(entries, values["content_filter"])
    asking = chosen(services, choice.services)
    roles = {s.service: s.role for s in filtered(services)}
    given = {
        service: options(entries[service]) for service in [PICKUP, *(s.service for s in services)]
    }
    changes: dict[tuple[str, str], str | None] = {
        (PICKUP, "cleanup_service_name"): CLEANUP,
        **{(s.service, MILTER): "" for s in services if s not in asking},
        **{(s.service, MILTER): None for s in asking if MILTER in s.options},
    }
    for smtpd in asking:
        changes |= _asked_by(smtpd, roles.get(smtpd.service, ""), values["content_filter"])
    return Wiring(
        parameters(config, instance, choice, values["content_filter"] if roles else None),
        {
            key: value
            for key, value in changes.items()
            if given.get(key[0], {}).get(key[1]) != value
        },
        asking,
        [s for s in services if s not in asking],
    )


def _asked_by(smtpd: Smtpd, role: str, content_filter: str) -> dict[tuple[str, str], str | None]:
    """The options of a service that has its own idea of milters, or a content filter."""
    found: dict[tuple[str, str], str | None] = {}
    if "smtpd_milters" in smtpd.options:
        own = _others(smtpd.options["smtpd_milters"], (MILTER,))
        found[smtpd.service, "smtpd_milters"] = ",".join([*own, f"${MILTER}"])
    overrides = ITEM.findall(smtpd.options.get("receive_override_options", ""))
    if "no_milters" in overrides:
        rest = [item for item in overrides if item != "no_milters"]
        found[smtpd.service, "receive_override_options"] = ",".join(rest)
    if role and role != (FRONT if content_filter else WHOLE):
        own = _others(smtpd.options.get("milter_macro_defaults", ""), (ROLE,))
        found[smtpd.service, "milter_macro_defaults"] = ",".join([*own, f"{ROLE}={role}"])
    return found


def parameters(
    config: Config, instance: Instance, choice: Choice, content_filter: str | None = None
) -> dict[str, str]:
    """What main.cf should say; `content_filter` is None where no service has one."""
    tables = Tables(config.tables)
    first = {
        FIRST[0]: tables.senders,
        FIRST[1]: tables.pcre("marker"),
        **dict.fromkeys(GENERIC, tables.pcre("decode")),
        **dict.fromkeys(STRIPPED, tables.pcre("strip")),
        "smtp_body_checks": tables.pcre("strip_body"),
    }
    last = {"virtual_alias_maps": tables.pcre("decode"), **dict.fromkeys(MILTERS, f"${MILTER}")}
    if content_filter is not None:
        last["milter_mail_macros"] = f"{{{ROLE}}}"
        last["milter_macro_defaults"] = f"{ROLE}={FRONT if content_filter else WHOLE}"
    now = instance.parameters(*first, *last, expand=False)
    marks = ours(config).marks
    return {
        MILTER: milter(config, instance, choice),
        **{n: spell_list(item, *_others(now[n], marks)) for n, item in first.items()},
        **{n: spell_list(*_others(now[n], marks), item) for n, item in last.items()},
        **({} if choice.observe else {**FIXED, **_at_least(instance)}),
    }


def _at_least(instance: Instance) -> dict[str, str]:
    """Limits raised; an admin who allows more keeps that."""
    now = instance.parameters(*AT_LEAST)
    return {name: str(max(least, int(now[name]))) for name, least in AT_LEAST.items()}


def _others(value: str, marks: Sequence[str]) -> list[str]:
    """The items of a list that an earlier setup has not put there."""
    return [item for item in ITEM.findall(value) if not any(mark in item for mark in marks)]


def milter(config: Config, instance: Instance, choice: Choice) -> str:
    """How the milter is reached: by a path seen from the queue directory, chrooted or not."""
    queue = instance.queue_directory()
    path = config.milter_socket
    shown = path.relative_to(queue) if path.is_relative_to(queue) else path
    action = "accept" if choice.observe else "tempfail"
    return f"{{ unix:{shown}, {MILTER_LIMITS}, default_action={action} }}"


def ours(config: Config) -> Ours:
    """How to know what is ours in main.cf and master.cf."""
    marks = (f"{config.tables}/", MILTER, ROLE, f"={CLEANUP}")
    least = {name: str(number) for name, number in AT_LEAST.items()}
    return Ours(marks, {**FIXED, **least, "default_transport": "pm-.*"})


def theirs(config: Config, instance: Instance) -> Theirs:
    """What the two files would be without us."""
    return Theirs(instance, config.tables / files.WITHOUT, ours(config))


def admin_checks(instance: Instance) -> dict[str, str]:
    """The header checks that requeued mail passed before, and still must."""
    return instance.parameters("header_checks", "nested_header_checks", "mime_header_checks")


def cleanup_chroot(instance: Instance) -> str:
    """Whether cleanup is chrooted, `y`, `n` or `-`: ours must see the milter where it does."""
    return instance.services()["cleanup/unix"].split()[4]


def original(config: Config) -> dict[str, str]:
    """What main.cf would say without us.

    Raises NotSetUpError before the first setup.
    """
    kept = theirs(config, Instance(config.postfix.config_directory))
    if not kept.begun:
        where = config.postfix.config_directory
        raise NotSetUpError(f"{where} is not set up yet: run `pointsman setup`")
    return Instance(kept.folder).explicit()


def begun(config: Config) -> bool:
    """Whether setup has been here."""
    return theirs(config, Instance(config.postfix.config_directory)).begun


def chosen_before(config: Config) -> Choice:
    """What the admin said at the last setup."""
    text = files.text_of(_choice_file(config))
    if text is None:
        return Choice()
    data = json.loads(text)
    return Choice(data["observe"], tuple(data["services"]), data.get("units", True))


def remember(config: Config, choice: Choice) -> None:
    """Keep what the admin said, where root alone may write."""
    text = json.dumps(asdict(choice))
    files.write(_choice_file(config), f"{text}\n", 0o600)


def _choice_file(config: Config) -> Path:
    return config.tables / files.WITHOUT / "choice.json"
