"""Wires a Postfix instance: says each change, makes it, proves it, or takes it all back."""

import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.locks import locked
from pointsman.postfix import files, ground, probe, proving, sender_table, units, wiring
from pointsman.postfix.apply import Applier
from pointsman.postfix.conf import Instance
from pointsman.postfix.files import Undo
from pointsman.postfix.lane import TABLE_TYPES, Tables
from pointsman.postfix.reload import reload
from pointsman.postfix.wiring import Choice, Wiring
from pointsman.store import hosts
from pointsman.store.book import Edit, editing
from pointsman.store.database import Store
from pointsman.store.secrets import KeyFileError, Secrets, create_key_file

RETIRED_TOKENS = 5  # how many old markers may still be in the queue

Say = Callable[[str], None]


class SetupError(PointsmanError):
    """Setup could not be finished, and everything is as it was."""


def plan(config: Config, store: Store, choice: Choice) -> list[str]:
    """Each change that setup would make, in words; changes nothing."""
    instance = Instance(config.postfix.config_directory)
    instance.require_tables(TABLE_TYPES)
    new = store.path is not None and not store.path.exists()
    return [
        *ground.missing(config),
        *([f"create the database {store.shown_url}"] if new else []),
        *(units.plan() if choice.units and units.may_serve(config) else []),
        *_words(instance, wiring.wiring(config, instance, choice)),
    ]


def setup(config: Config, store: Store, choice: Choice, say: Say, *, prove: bool = True) -> None:
    """Do all of it, saying each change first; done twice, it changes nothing more.

    Raises SetupError if a step fails; then what this run made is taken away again.
    """
    if os.geteuid() != 0:
        raise SetupError("setup changes Postfix's configuration: run it as root")
    changes = plan(config, store, choice)
    for change in changes:
        say(change)
    undo = Undo()
    try:
        _do(config, store, choice, say, undo, prove=prove and bool(changes))
    except (PointsmanError, OSError) as error:
        _take_back(undo, error)
        raise SetupError(f"all is as it was: {error}") from error
    except BaseException:  # Ctrl-C
        undo.close()
        raise
    undo.done()


def _take_back(undo: Undo, error: Exception) -> None:
    try:
        undo.close()
    except (PointsmanError, OSError) as trouble:
        raise SetupError(
            f"{error}; and not all is as it was: {trouble}. What did not come back is beside its "
            f"place, as .main.cf.{Undo.MARK} is"
        ) from error


def _do(config: Config, store: Store, choice: Choice, say: Say, undo: Undo, *, prove: bool) -> None:
    instance = Instance(config.postfix.config_directory)
    running = instance.running()
    before = probe.greetings(instance) if prove and running else {}
    ground.prepare(config, instance, undo)
    _prepare_database(config, store, undo)
    _keep_files(config, instance, undo)
    if not wiring.theirs(config, instance).begun:
        wiring.theirs(config, instance).settle()
        wiring.remember(config, Choice(observe=True))  # until Postfix is wired, nobody is led
    applier = Applier(config, store)
    applier.apply()
    if choice.units and units.may_serve(config):
        units.bring_up(undo)
    with proving.daemons(config, say) if before else ExitStack():
        _wire(config, instance, choice, running=running)
        wiring.remember(config, choice)
        for change in applier.plan().describe():
            say(change)
        applier.apply()
        if before:
            proving.prove(config, instance, before)


def _require_key(store: Store, sealed: str) -> None:
    """A host that joins others seals with their key; a new one of its own would open nothing."""
    try:
        store.secrets.unseal(sealed)
    except KeyFileError as error:
        known = ", ".join(host.name for host in hosts.all_of(store))
        raise SetupError(
            f"the database is sealed with another key ({error}): copy the key file of "
            f"{known or 'the host that it was set up on'} to {store.secrets.path}, mode 600, and "
            "run setup again"
        ) from None


def rotate_token(edit: Edit, keys: Secrets) -> None:
    """Give new markers a new token; mail in the queue keeps its own for a while."""
    kept = edit.book.sealed_tokens[:RETIRED_TOKENS]
    edit.put_setting("tokens", [keys.seal(secrets.token_hex(16)), *kept], shown="rotated")


def _prepare_database(config: Config, store: Store, undo: Undo) -> None:
    if store.path is not None and not store.path.exists():
        for suffix in ("", "-wal", "-shm"):
            undo.callback(Path(f"{store.path}{suffix}").unlink, missing_ok=True)
    store.create()
    with editing(store) as edit:
        if edit.book.sealed_tokens:
            _require_key(store, edit.book.sealed_tokens[0])
            return
        if not config.secret_key_file.exists():
            undo.callback(config.secret_key_file.unlink, missing_ok=True)
            create_key_file(config.secret_key_file)
        rotate_token(edit, store.secrets)


def _keep_files(config: Config, instance: Instance, undo: Undo) -> None:
    """What Postfix and the daemons read comes back as it is now."""

    def bring_back() -> None:
        changed = sender_table.bring_back(instance, source, backup)
        backup.forget()
        if changed and instance.running():
            instance.run("postfix", "reload")

    source = Tables(config.tables).sender_transport
    paths = [instance.main_cf, instance.master_cf, config.snapshot, *files.present(config.tables)]
    backup = undo.keep([source, *paths, *(config.tables / files.WITHOUT).glob("*")])
    undo.callback(bring_back)


def _wire(config: Config, instance: Instance, choice: Choice, *, running: bool) -> None:
    wanted = wiring.wiring(config, instance, choice)
    changes = _changed(instance, wanted)
    if not changes and not wanted.options:
        return
    with locked(config.apply_lock), wiring.theirs(config, instance).editing():
        instance.set_parameters(changes)
        for (service, option), value in wanted.options.items():
            instance.set_service_option(service, option, value)
        instance.run("postfix", "check")
    if running:
        reload(instance)


def _changed(instance: Instance, wanted: Wiring) -> dict[str, str | None]:
    now = instance.explicit()
    return {n: value for n, value in wanted.parameters.items() if now.get(n) != value}


def _words(instance: Instance, wanted: Wiring) -> list[str]:
    now = instance.explicit()
    said = [f"main.cf: {name} = {value}" for name, value in _changed(instance, wanted).items()]
    said = [
        f"{line}  (was: {now[name]})" if (name := line[9:].partition(" = ")[0]) in now else line
        for line in said
    ]
    said += [
        f"master.cf: {service} -o {option}={value}" if value is not None
        else f"master.cf: {service} without -o {option}"
        for (service, option), value in wanted.options.items()
    ]  # fmt: skip
    said += [
        f"not asked: {smtpd.name}" + (f" ({why})" if (why := smtpd.without_milters) else "")
        for smtpd in wanted.left_out
    ]
    return said
