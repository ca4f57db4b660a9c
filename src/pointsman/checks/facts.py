"""What is known about Postfix, the daemons and this host when the checks begin.

gather.py fills it in. A value left out is a healthy one, so that no check complains of
what was not looked at.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pointsman.config import DEFAULT_PATH, Config
from pointsman.postfix.lane import TABLE_TYPES
from pointsman.postfix.services import Smtpd
from pointsman.postfix.wiring import MILTER, Choice
from pointsman.routing.snapshot import Snapshot
from pointsman.store.book import Book
from pointsman.store.hosts import Host as Neighbour

USUAL = Path("/etc/postfix")
_ITEM = re.compile(r"\{(?:[^{}]|\{[^{}]*\})*\}|[^\s,{}]+(?:\{(?:[^{}]|\{[^{}]*\})*\})?")
_SOCKET = re.compile(r"(?:unix|local):([^\s,}]+)")
EMPTY_BOOK = Book(0, {}, {}, {})


def items(value: str) -> list[str]:
    """The items of a list parameter; one in braces is one."""
    return _ITEM.findall(value)


@dataclass(frozen=True)
class Service:
    """One entry of master.cf, and what its own options say."""

    name: str  # `submission/inet`
    fields: tuple[str, ...] = ("", "inet", "n", "-", "n", "-", "-", "smtpd")
    options: Mapping[str, str] = field(default_factory=dict)  # expanded
    chrooted: bool = False

    @property
    def command(self) -> str:
        """The daemon."""
        return self.fields[7]

    @property
    def loopback(self) -> bool:
        """Whether it is bound to an address that only this host reaches."""
        host = self.fields[0].rpartition(":")[0].strip("[]")
        return host.startswith("127.") or host in ("localhost", "::1")


class Row(NamedTuple):
    """One line of a lookup table."""

    where: str  # `/etc/postfix/header_checks:3`, or the table and the key
    key: str  # or pattern
    value: str
    table: str = ""  # which postmap makes of its source, if it is one of those


@dataclass(frozen=True)
class Postfix:
    """The instance."""

    directory: Path = USUAL
    queue: Path = Path("/var/spool/postfix")
    version: tuple[int, ...] = (3, 7, 11)
    table_types: frozenset[str] = frozenset(TABLE_TYPES)
    sasl_clients: frozenset[str] = frozenset({"cyrus"})
    parameters: Mapping[str, str] = field(default_factory=dict)  # effective, expanded
    milters: Mapping[str, str] = field(default_factory=dict)  # the lists of milters, as written
    services: Mapping[str, Service] = field(default_factory=dict)
    tables: Mapping[str, tuple[Row, ...] | None] = field(default_factory=dict)  # None: unreadable
    # What maps make of a carrier or of anybody, by parameter and item.
    answers: Mapping[tuple[str, str], str] = field(default_factory=dict)
    running: bool = True
    # Files that were edited after the queue manager started: nobody has reloaded since.
    unread: tuple[Path, ...] = ()
    others: Mapping[Path, tuple[str, ...]] = field(default_factory=dict)  # instances with ours

    def value(self, name: str, service: Service | None = None) -> str:
        """What a parameter is, for one service if that is given; '' if Postfix has none such."""
        own = service.options if service else {}
        if MILTER in own and name not in own and name in self.milters:
            # smtpd expands main.cf with its own options in mind.
            return self.milters[name].replace(f"${MILTER}", own[MILTER])
        return own.get(name, self.parameters.get(name, ""))

    def of(self, *commands: str) -> Iterator[Service]:
        """The services that run one of these daemons."""
        return (s for s in self.services.values() if s.command in commands)

    def cleanup(self, service: Service) -> Service:
        """The cleanup service that a service hands its mail to."""
        name = self.value("cleanup_service_name", service) or "cleanup"
        return self.services.get(f"{name}/unix", Service(f"{name}/unix"))


@dataclass(frozen=True)
class Wiring:
    """What setup writes, and what is there."""

    done: bool = True
    trouble: str = ""  # why Postfix can't even be read
    wanted: Mapping[str, str] = field(default_factory=dict)  # main.cf
    present: Mapping[str, str] = field(default_factory=dict)  # the same names; "" if not set
    # What setup would change in master.cf: None to take an option away.
    options: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    choice: Choice = field(default_factory=Choice)
    left_out: tuple[Smtpd, ...] = ()  # services that don't ask us


@dataclass(frozen=True)
class Applied:
    """How Postfix's tables, the snapshot and the database compare."""

    snapshot: Snapshot | None = field(default_factory=Snapshot)
    revision: int = 0  # the database's
    trouble: str = ""  # why they could not be compared
    differences: tuple[str, ...] = ()
    snapshot_differs: bool = False
    lmdb_differs: str = ""  # in which row


@dataclass(frozen=True)
class Daemons:
    """Who answers."""

    milter: bool = True
    policy: str = ""  # why it does not answer
    policy_revision: int | None = None
    submit: tuple[str, ...] = ()  # connectors whose helper does not answer
    agent: bool = True
    silent: Mapping[str, str] = field(default_factory=dict)  # smtpd service: what it says instead


class Status(NamedTuple):
    """Who owns a file, and who may use it."""

    owner: str
    group: str
    mode: int
    socket: bool = False


class Disk(NamedTuple):
    """The room where a folder is, in bytes and files."""

    free: int
    size: int
    free_files: int
    files: int


@dataclass(frozen=True)
class Host:
    """The machine."""

    status: Mapping[Path, Status] = field(default_factory=dict)
    disks: Mapping[Path, Disk] = field(default_factory=dict)
    mail_owner: str = "postfix"
    mail_group: str = "postfix"
    user_group: str = "pointsman"
    mail_log: Path | None = Path("/var/log/mail.log")
    mechanisms: frozenset[str] = frozenset({"plain", "login"})
    units: frozenset[str] = frozenset()  # daemons that systemd knows
    # Of connectors' hosts: their addresses that are this machine's.
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """All of it."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    config: Config = field(default_factory=Config)
    postfix: Postfix = field(default_factory=Postfix)
    wiring: Wiring = field(default_factory=Wiring)
    applied: Applied = field(default_factory=Applied)
    daemons: Daemons = field(default_factory=Daemons)
    host: Host = field(default_factory=Host)
    book: Book = EMPTY_BOOK
    database: str = ""  # why it can't be read
    sqlite: Path | None = None  # its file
    tokens: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    touched: Mapping[str, datetime] = field(default_factory=dict)  # connectors' last change
    newest: datetime | None = None  # change in the database
    hosts: tuple[Neighbour, ...] = ()  # those that share it

    def path_of(self, item: str, service: Service) -> Path | None:
        """The unix socket that an item of a list leads a service to, as seen from outside."""
        found = _SOCKET.search(item)
        if not found:
            return None
        path = found[1]
        inside = service.chrooted or not path.startswith("/")
        return self.postfix.queue / path.lstrip("/") if inside else Path(path)

    def milter_items(self, service: Service, name: str = "smtpd_milters") -> list[str]:
        """The milters that a service asks."""
        return items(self.postfix.value(name, service))

    def asks_milter(self, service: Service, name: str = "smtpd_milters") -> bool:
        """Whether a service reaches our milter."""
        found = self.milter_items(service, name)
        return any(self.path_of(item, service) == self.config.milter_socket for item in found)

    def means_milter(self, item: str) -> bool:
        """Whether an item was written for our milter, whoever can reach it."""
        found = _SOCKET.search(item)
        ours = self.config.milter_socket.parts[-2:]
        return found is not None and Path(found[1]).parts[-2:] == ours

    def without_path(self, item: str) -> str:
        """An item of a list of milters, wherever its socket is."""
        return _SOCKET.sub("unix:", item)

    def ours(self, *words: str) -> str:
        """A command of ours, as it is to be typed."""
        return f"`{self.pointsman(*words)}`"

    def pointsman(self, *words: str) -> str:
        """The same as a part of a longer one."""
        where = [] if self.config.path == DEFAULT_PATH else ["--config", str(self.config.path)]
        return shlex.join(["pointsman", *where, *words])

    def command(self, program: str, *words: str) -> str:
        """A command of Postfix's, on this instance."""
        directory = self.postfix.directory
        where = [] if directory == USUAL else ["-c", str(directory)]
        return shlex.join([program, *where, *words])

    def then_reload(self, program: str, *words: str) -> str:
        """The same, in force at once."""
        return f"`{self.command(program, *words)} && {self.command('postfix', 'reload')}`"

    def then_setup(self, program: str, *words: str) -> str:
        """The same, where setup has to look at it again; it reloads only what it changes."""
        return f"{self.then_reload(program, *words)[:-1]} && {self.pointsman('setup')}`"

    def taking_option(self, service: Service, name: str) -> str:
        """Taking an option of master.cf away again."""
        return self.then_reload("postconf", "-PX", f"{service.name}/{name}")

    def putting_option(self, service: Service, name: str, value: str) -> str:
        """Putting one there; postconf takes no blanks in it."""
        return self.then_reload("postconf", "-P", f"{service.name}/{name}={value}")

    @property
    def reloading(self) -> str:
        """Making Postfix read its configuration."""
        return f"`{self.command('postfix', 'reload')}`"
