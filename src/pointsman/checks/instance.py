"""Reads one Postfix instance: parameters, services, tables, and what it has not read itself."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pointsman.checks import maps
from pointsman.checks.facts import USUAL, Facts, Postfix, Service, Wiring, items
from pointsman.checks.overruling import (
    ANYBODY,
    CANONICAL,
    CARRIER,
    CHECKS,
    CLASSES,
    COPIES,
    DOMAINS,
    OURS_FIRST,
    PATTERNS,
    RESTRICTIONS,
    SENDERS,
    action_tables,
)
from pointsman.checks.services import DECODING, MACROS
from pointsman.config import Config
from pointsman.postfix import files, wiring
from pointsman.postfix.conf import Instance, PostfixError
from pointsman.postfix.lane import TABLE_TYPES
from pointsman.postfix.reload import queue_managers
from pointsman.postfix.wiring import AT_LEAST, FIXED

_NAMES = {
    *(*CHECKS, OURS_FIRST, *RESTRICTIONS, *COPIES, *DOMAINS, SENDERS, *MACROS, *FIXED, *AT_LEAST),
    *wiring.MILTERS,
    *(*CLASSES, *CLASSES.values(), *DECODING),
    "cleanup_service_name",
    "compatibility_level",
    "content_filter",
    "defer_transports",
    "inet_interfaces",
    "mail_owner",
    "mail_version",
    "maillog_file",
    "message_size_limit",
    "milter_default_action",
    "multi_instance_directories",
    "proxy_interfaces",
    "receive_override_options",
    "smtpd_milter_maps",
    "smtpd_proxy_filter",
    "soft_bounce",
    "transport_maps",
}
# The column in master.cf, and what `-` stands for.
_CHROOTED = (("y", "n"), ("y", "y"), ("-", "y"))
PATIENCE = 3.0  # seconds that a reload may take
_GRACE = 1.0  # seconds; the kernel counts in hundredths, and the clock may have been set


def read_postfix(config: Config, instance: Instance) -> Postfix:
    """Read everything about it; PostfixError if there is no Postfix to be read."""
    parameters = instance.parameters(*sorted(_NAMES))
    services = _services(config, instance, parameters["compatibility_level"])
    bare = Postfix(instance.config_directory, parameters=parameters, services=services)
    return Postfix(
        directory=instance.config_directory,
        queue=instance.queue_directory(),
        version=_numbers(parameters["mail_version"]),
        table_types=frozenset(instance.run("postconf", "-m").split()),
        sasl_clients=frozenset(instance.run("postconf", "-A").split()),
        parameters=parameters,
        milters=instance.parameters(*wiring.MILTERS, expand=False),
        services=services,
        tables={item: maps.rows(instance, item) for item in _tables(config, bare)},
        answers=dict(_answers(config, instance, parameters)),
        running=instance.running(),
        unread=_unread(config, instance),
        others=_others(config, instance, parameters),
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(
        int(part) for part in version.split("-", maxsplit=1)[0].split(".") if part.isdigit()
    )


def _services(config: Config, instance: Instance, level: str) -> dict[str, Service]:
    """All services but the lanes, which apply compares as a whole."""
    entries = {
        name: entry.split()
        for name, entry in instance.services().items()
        if not (name.startswith("pm-") and str(config.tables) in entry)
    }
    options = instance.service_parameters(*entries)
    # Since compatibility level 1 a `-` means that a service is not chrooted (master(5)).
    dash = "y" if (_numbers(level) or (0,)) < (1,) else "n"
    return {
        name: Service(
            name, tuple(words[:8]), options.get(name, {}), chrooted=(words[4], dash) in _CHROOTED
        )
        for name, words in entries.items()
    }


def _tables(config: Config, postfix: Postfix) -> Iterable[str]:
    """The tables whose rows matter, each once; not ours."""
    named = [*DOMAINS, "transport_maps", SENDERS]
    found = [item for name in named for item in items(postfix.value(name))]
    for service in postfix.of("smtpd"):
        found += items(postfix.value("smtpd_milter_maps", service))
    found += action_tables(Facts(config=config, postfix=postfix))
    ours = str(config.tables)
    return dict.fromkeys(i for i in found if ours not in i and (":" in i or i.startswith("/")))


def _answers(
    config: Config, instance: Instance, parameters: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], str]]:
    """Ask maps that can't be listed, or match what is not in them."""
    for name in CANONICAL:
        for item in items(parameters[name]):
            yield (name, item), instance.query(item, CARRIER)
    for item in items(parameters["transport_maps"]):
        if item.startswith(PATTERNS):
            yield ("transport_maps", item), instance.query(item, ANYBODY)
    for item in items(parameters[SENDERS]):
        if str(config.tables) not in item:
            yield (SENDERS, item), instance.query(item, ANYBODY)


def _unread(config: Config, instance: Instance) -> tuple[Path, ...]:
    """Files that are newer than the queue manager, which every reload replaces."""
    paths = [instance.main_cf, instance.master_cf, *sorted(files.present(config.tables))]
    changed = {path: path.stat().st_mtime for path in paths}
    deadline = max(changed.values()) + PATIENCE
    while True:
        started = max(map(_started, queue_managers(instance)), default=0.0)
        found = tuple(p for p, at in changed.items() if 0 < started < at - _GRACE)
        # Perhaps somebody is reloading: the next queue manager is not there at once.
        if not found or time.time() > deadline:
            return found
        time.sleep(0.1)


def _started(pid: int) -> float:
    """When a process began, in seconds since the epoch (proc(5))."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    ticks = int(text.rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def _others(
    config: Config, instance: Instance, parameters: Mapping[str, str]
) -> dict[Path, tuple[str, ...]]:
    """Other instances of this host, and which of their parameters name what is ours."""
    listed = [Path(word) for word in items(parameters["multi_instance_directories"])]
    found = {}
    for directory in dict.fromkeys([USUAL, *listed]):
        other = Instance(directory)
        if directory != instance.config_directory and other.main_cf.exists():
            try:
                explicit = other.explicit()
            except PostfixError:
                continue
            marks = (str(config.tables), str(config.milter_socket))
            found[directory] = tuple(
                name for name, value in explicit.items() if any(m in value for m in marks)
            )
    return {directory: names for directory, names in found.items() if names}


def read_wiring(config: Config, instance: Instance) -> Wiring:
    """Compare main.cf and master.cf with what setup would write now, as it was told last."""
    try:
        wiring.original(config)
        instance.require_tables(TABLE_TYPES)
    except wiring.NotSetUpError:
        return Wiring(done=False)
    except PostfixError:
        return Wiring()  # a finding of its own; nothing can be compared before it is mended
    choice = wiring.chosen_before(config)
    wanted = wiring.wiring(config, instance, choice)
    explicit = instance.explicit()
    return Wiring(
        wanted=wanted.parameters,
        present={name: explicit.get(name, "") for name in wanted.parameters},
        options=wanted.options,
        choice=choice,
        left_out=tuple(wanted.left_out),
    )
