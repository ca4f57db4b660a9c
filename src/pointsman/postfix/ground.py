"""What Pointsman needs on a host besides Postfix: account and folders."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.postfix.conf import Instance


class GroundError(PointsmanError):
    """The account can't be made, or removed."""


def missing(config: Config) -> Iterator[str]:
    """Name what is to be made."""
    if not _has_account(config):
        yield f"create the system account {config.user}"
    folders = (config.milter_socket.parent, config.state_directory, config.tables)
    things = (*folders, config.secret_key_file)
    yield from (f"create {path}" for path in things if not path.exists())


def prepare(config: Config, instance: Instance, undo: ExitStack) -> None:
    """Make it, with the right owners; `undo` learns how to take it away again."""
    if not _has_account(config):
        command = ["useradd", "--system", "--user-group", "--no-create-home"]
        command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", config.user]
        _run(*command)
        undo.callback(_run, "userdel", config.user)
    account = pwd.getpwnam(config.user)
    owner = instance.parameters("mail_owner")["mail_owner"]
    postfix_group = pwd.getpwnam(owner).pw_gid
    # Postfix's daemons may reach the socket, and whatever is made here is their group's.
    _folder(config.milter_socket.parent, account.pw_uid, postfix_group, 0o2710, undo)
    _folder(config.state_directory, account.pw_uid, account.pw_gid, 0o750, undo)
    _folder(config.tables, 0, 0, 0o755, undo)


def _has_account(config: Config) -> bool:
    try:
        pwd.getpwnam(config.user)
    except KeyError:
        return False
    return True


def _run(*command: str) -> None:
    environment = {**os.environ, "PATH": f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}"}
    result = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, env=environment, check=False
    )
    if result.returncode != 0:
        raise GroundError(f"{' '.join(command)}: {result.stderr.strip()}")


def _folder(path: Path, user: int, group: int, mode: int, undo: ExitStack) -> None:
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    if new:
        undo.callback(shutil.rmtree, new[-1], ignore_errors=True)
        path.mkdir(parents=True)
    shutil.chown(path, user, group)
    path.chmod(mode)
