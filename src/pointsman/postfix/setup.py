"""Wires a Postfix instance of our own: folders, key, database, tables, settings."""

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.locks import locked
from pointsman.postfix import wiring
from pointsman.postfix.apply import Applier
from pointsman.postfix.conf import Instance
from pointsman.postfix.reload import reload
from pointsman.postfix.render import CLEANUP
from pointsman.store import hosts
from pointsman.store.book import Edit, editing
from pointsman.store.database import Store
from pointsman.store.secrets import KeyFileError, Secrets, create_key_file

RETIRED_TOKENS = 5  # how many old markers may still be in the queue

Say = Callable[[str], None]


class SetupError(PointsmanError):
    """Setup could not be finished, and Postfix is as it was."""


def setup(config: Config, store: Store, say: Say) -> None:
    """Do all of it, saying each change first; done twice, it changes nothing more."""
    instance = Instance(config.postfix.config_directory)
    if os.geteuid() != 0:
        raise SetupError("setup changes Postfix's configuration: run it as root")
    _make_account(config, say)
    _make_folders(config, instance, say)
    say(f"database {store.shown_url}")
    store.create()
    with editing(store) as edit:
        if edit.book.sealed_tokens:
            _require_key(store, edit.book.sealed_tokens[0])
        else:
            if not config.secret_key_file.exists():
                say(f"create {config.secret_key_file}")
            create_key_file(config.secret_key_file)
            rotate_token(edit, store.secrets)
    wanted = wiring.parameters(config, instance)
    wiring.remember(config, instance, wanted)
    for change in Applier(config, store).apply().changes:
        say(change)
    with locked(config.apply_lock):
        _wire(instance, wanted, say)


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


def _make_account(config: Config, say: Say) -> None:
    try:
        pwd.getpwnam(config.user)
    except KeyError:
        say(f"create the system account {config.user}")
        command = ["useradd", "--system", "--user-group", "--no-create-home"]
        command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", config.user]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def _make_folders(config: Config, instance: Instance, say: Say) -> None:
    account = pwd.getpwnam(config.user)
    owner = instance.parameters("mail_owner")["mail_owner"]
    postfix_group = pwd.getpwnam(owner).pw_gid
    # Postfix's daemons may reach the socket, and whatever is made here is their group's.
    _folder(config.milter_socket.parent, account.pw_uid, postfix_group, 0o2710, say)
    _folder(config.state_directory, account.pw_uid, account.pw_gid, 0o750, say)
    _folder(config.tables, 0, 0, 0o755, say)


def _folder(path: Path, user: int, group: int, mode: int, say: Say) -> None:
    if not path.exists():
        say(f"create {path}")
        path.mkdir(parents=True)
    shutil.chown(path, user, group)
    path.chmod(mode)


def _wire(instance: Instance, wanted: dict[str, str], say: Say) -> None:
    before = {path: path.read_bytes() for path in (instance.main_cf, instance.master_cf)}
    now = instance.explicit()
    changes = {name: value for name, value in wanted.items() if now.get(name) != value}
    pickup = not wiring.pickup_is_wired(instance)
    for name, value in changes.items():
        say(f"main.cf: {name} = {value}")
    if pickup:
        say(f"master.cf: pickup -o cleanup_service_name={CLEANUP}")
    if not changes and not pickup:
        return
    try:
        instance.set_parameters(changes)
        if pickup:
            instance.set_service_option(wiring.PICKUP, "cleanup_service_name", CLEANUP)
        instance.run("postfix", "check")
        if instance.running():
            reload(instance)
    except (PointsmanError, OSError) as error:
        for path, data in before.items():
            path.write_bytes(data)
        instance.test("postfix", "reload")
        raise SetupError(f"Postfix is as it was: {error}") from error
