"""Looks at this machine: who answers, who owns what, how much room there is."""

import grp
import os
import pwd
import socket
import stat
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from pointsman.checks.facts import Daemons, Disk, Host, Postfix, Status, items
from pointsman.config import Config
from pointsman.control import Control, ControlError
from pointsman.locks import is_locked
from pointsman.postfix import probe, unit_files
from pointsman.postfix.conf import Instance
from pointsman.postfix.maillog import log_of
from pointsman.store.records import Connector

PATIENCE = 3.0  # seconds in which a daemon takes in a new revision, and names are resolved
TIMEOUT = 10.0  # seconds
SASL_FOLDERS = ("/usr/lib/*/sasl2", "/usr/lib/sasl2", "/usr/lib64/sasl2", "/usr/local/lib/sasl2")
UNITS = [Path("/etc/systemd/system"), unit_files.FOLDER, *unit_files.OF_PACKAGES]
_UNIT = "pointsman-*.service"
# Plug-ins that a client can log in with by a password, as Cyrus names their files.
_PLUGINS = ("plain", "login", "crammd5", "digestmd5", "scram", "ntlm")
_QUESTION = b"request=smtpd_access_policy\nprotocol_state=CONNECT\nprotocol_name=ESMTP\n\n"


def read_daemons(
    config: Config, instance: Instance, connectors: Iterable[Connector], revision: int
) -> Daemons:
    """Ask each of them something; `revision` is the applied one."""
    trouble, told = _ask_policy(config, revision)
    helped = [c.name for c in connectors if c.auth == "oauth2" and c.state == "live"]
    return Daemons(
        milter=probe.milter_answers(config.milter_socket),
        policy=trouble,
        policy_revision=told,
        submit=tuple(n for n in helped if not _greets(config.submit_socket(n))),
        agent=is_locked(config.agent_lock),
        silent=_silent(instance) if instance.running() else {},
    )


def _silent(instance: Instance) -> dict[str, str]:
    """Services that don't greet: 220, or 4xx while a milter is away."""
    greetings = probe.greetings(instance).items()
    return {name: said for name, said in greetings if said[:1] not in ("2", "4")}


def _ask_policy(config: Config, revision: int) -> tuple[str, int | None]:
    """What is wrong with it, and the revision that it goes by."""
    deadline = time.monotonic() + PATIENCE
    try:
        with Control(config.control_socket) as control:
            told = control.ask("state", counters=[])["revision"]
            while told < revision and time.monotonic() < deadline:
                time.sleep(0.1)
                told = control.ask("state", counters=[])["revision"]
    except ControlError as error:
        return str(error), None
    answer = _talk(config.policy_socket, _QUESTION)
    if answer.startswith(b"action="):
        return "", told
    return f"no answer at {config.policy_socket}, where Postfix and the milter ask", told


def _greets(path: Path) -> bool:
    return _talk(path, b"QUIT\r\n").startswith(b"220")


def _talk(path: Path, words: bytes) -> bytes:
    """What somebody answers at a unix socket; b"" if nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, suppress(OSError):
        connection.settimeout(TIMEOUT)
        connection.connect(str(path))
        connection.sendall(words)
        return connection.recv(512)
    return b""


def read_host(
    config: Config,
    instance: Instance,
    postfix: Postfix,
    paths: Iterable[Path],
    connectors: Iterable[Connector],
) -> Host:
    """Look at files, disks and addresses."""
    owner = postfix.value("mail_owner") or "postfix"
    log = log_of(instance)
    folders = [f for f in (postfix.queue, config.state_directory) if f.is_dir()]
    hosts = {host for c in connectors if c.state != "disabled" for host, _ in c.addresses}
    return Host(
        status={path: found for path in paths if (found := _status(path))},
        disks={folder: _disk(folder) for folder in folders},
        mail_owner=owner,
        mail_group=_group_of(owner),
        user_group=_group_of(config.user),
        mail_log=log if log.exists() else None,
        mechanisms=_mechanisms(),
        units=frozenset(u.stem.removeprefix("pointsman-") for f in UNITS for u in f.glob(_UNIT)),
        own=_own_addresses(hosts, items(postfix.value("proxy_interfaces"))),
    )


def _status(path: Path) -> Status | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return Status(_user(found.st_uid), _group(found.st_gid), stat.S_IMODE(found.st_mode))


@lru_cache
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@lru_cache
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _group_of(user: str) -> str:
    try:
        return _group(pwd.getpwnam(user).pw_gid)
    except KeyError:
        return user


def _disk(folder: Path) -> Disk:
    found = os.statvfs(folder)
    size = found.f_frsize
    return Disk(found.f_bavail * size, found.f_blocks * size, found.f_favail, found.f_files)


def _mechanisms() -> frozenset[str]:
    """Cyrus SASL says nowhere what it can do; its plug-ins are files."""
    folders = (folder for pattern in SASL_FOLDERS for folder in Path("/").glob(pattern[1:]))
    names = {path.name for folder in folders for path in folder.iterdir()}
    return frozenset(p for p in _PLUGINS if any(n.startswith(f"lib{p}.so") for n in names))


def _own_addresses(hosts: Iterable[str], proxies: list[str]) -> dict[str, tuple[str, ...]]:
    """The addresses of each host that are this machine's, as far as they are known in time."""
    found: dict[str, tuple[str, ...]] = {}
    waiting = iter(sorted(hosts))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                host = next(waiting, None)
            if host is None:
                return
            found[host] = tuple(a for a in _addresses(host) if a in proxies or _is_own(a))

    # Threads that nobody waits for: a name server that hangs must not keep us.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(32)]
    deadline = time.monotonic() + PATIENCE
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {host: own for host, own in list(found.items()) if own}


def _addresses(host: str) -> list[str]:
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _is_own(address: str) -> bool:
    """Whether a socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
