"""The settings by which Postfix is led through Pointsman, and what was there before.

contrib/postfix/README.md explains each of them; a test compares the two.
"""

import json
import re
from collections.abc import Mapping

from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.postfix.conf import Instance, spell_list
from pointsman.postfix.lane import Tables
from pointsman.postfix.render import CLEANUP

PICKUP = "pickup/unix"

# Where our item goes in a list that may hold the admin's own.
FIRST = ("sender_dependent_default_transport_maps", "milter_header_checks")
STRIPPED = ("smtp_header_checks", "smtp_mime_header_checks", "smtp_nested_header_checks")
GENERIC = ("smtp_generic_maps", "lmtp_generic_maps")
MILTERS = {"smtpd_milters": "smtpd", "non_smtpd_milters": "cleanup"}
FIXED = {"enable_long_queue_ids": "yes", "smtpd_forbid_bare_newline": "yes"}
# The active queue is all lanes' together: with the default, ten slow ones would fill it.
AT_LEAST = {"qmgr_message_active_limit": 100_000, "qmgr_message_recipient_limit": 100_000}

# Postfix's own limits would keep a client waiting for minutes when we hang.
MILTER_LIMITS = (
    "connect_timeout=5s, command_timeout=10s, content_timeout=10s, default_action=tempfail"
)


_ITEM = re.compile(r"\{[^}]*\}|[^\s,{}]+")


class NotSetUpError(PointsmanError):
    """Postfix is not wired yet: run `pointsman setup`."""


def parameters(config: Config, instance: Instance) -> dict[str, str]:
    """What main.cf should say, given what it says now; the same when asked twice."""
    tables = Tables(config.tables)
    first = {
        FIRST[0]: f"lmdb:{tables.sender_transport}",
        FIRST[1]: tables.pcre("marker"),
        **dict.fromkeys(GENERIC, tables.pcre("decode")),
        **dict.fromkeys(STRIPPED, tables.pcre("strip")),
        "smtp_body_checks": tables.pcre("strip_body"),
    }
    last = {
        "virtual_alias_maps": tables.pcre("decode"),
        **{name: milter(config, instance, daemon) for name, daemon in MILTERS.items()},
    }
    now = instance.parameters(*first, *last, expand=False)
    ours = (str(tables.folder), config.milter_socket.name)
    return {
        **{n: spell_list(item, *_others(now[n], ours)) for n, item in first.items()},
        **{n: spell_list(*_others(now[n], ours), item) for n, item in last.items()},
        **FIXED,
        **_at_least(instance),
    }


def _at_least(instance: Instance) -> dict[str, str]:
    """Limits raised; an admin who allows more keeps that."""
    now = instance.parameters(*AT_LEAST)
    return {name: str(max(least, int(now[name]))) for name, least in AT_LEAST.items()}


def _others(value: str, ours: tuple[str, ...]) -> list[str]:
    """The items of a list that an earlier setup has not put there."""
    return [item for item in _ITEM.findall(value) if not any(mark in item for mark in ours)]


def milter(config: Config, instance: Instance, daemon: str) -> str:
    """The milter as one daemon has to be told: a chrooted one sees a shorter path."""
    path = str(config.milter_socket)
    entries = [e.split() for e in instance.services().values()]
    if any(entry[7] == daemon and entry[4] != "n" for entry in entries):
        queue = instance.parameters("queue_directory")["queue_directory"]
        path = path.removeprefix(queue)
    return f"{{ unix:{path}, {MILTER_LIMITS} }}"


def admin_checks(instance: Instance) -> dict[str, str]:
    """The header checks that requeued mail passed before, and still must."""
    return instance.parameters("header_checks", "nested_header_checks", "mime_header_checks")


def cleanup_chroot(instance: Instance) -> str:
    """Whether cleanup is chrooted, `y`, `n` or `-`: ours must see the milter where it does."""
    return instance.services()["cleanup/unix"].split()[4]


def pickup_is_wired(instance: Instance) -> bool:
    """Whether pickup hands its mail to our cleanup service."""
    return f"cleanup_service_name={CLEANUP}" in instance.services()[PICKUP]


def remember(config: Config, instance: Instance, names: Mapping[str, str]) -> None:
    """Keep what main.cf said before the first setup; later ones leave it alone."""
    path = config.state_directory / "before-setup.json"
    if path.exists():
        return
    explicit = instance.explicit()
    kept = {name: explicit.get(name) for name in [*names, "default_transport"]}
    path.write_text(json.dumps(kept, indent=1) + "\n")


def original(config: Config) -> dict[str, str | None]:
    """What main.cf said before setup; None for what it did not mention."""
    path = config.state_directory / "before-setup.json"
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        where = config.postfix.config_directory
        raise NotSetUpError(f"{where} is not set up yet: run `pointsman setup`") from None
    return dict(data)
