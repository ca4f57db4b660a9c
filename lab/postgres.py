"""A PostgreSQL server of our own: its data in one folder, on a port that nobody else uses."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab.instance import free_port, wait_until

BINARIES = Path("/usr/lib/postgresql")  # Debian's, a folder for each version
DEFAULTS = {"fsync": "off", "max_connections": "40", "log_min_messages": "warning"}
PASSWORD = "sw1tch b0x"


def _binary(name: str) -> str:
    found = sorted(BINARIES.glob(f"*/bin/{name}"), key=lambda p: int(p.parts[-3]))
    if not found:
        raise RuntimeError(f"there is no {name} below {BINARIES}: run ./bootstrap")
    return str(found[-1])


@dataclass
class Postgres:
    """One server; the folder must be in one that others may look into."""

    folder: Path
    addresses: Sequence[str] = ("127.0.0.1",)
    clients: str = "127.0.0.0/8"  # who may log in, by password
    port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "server.log"

    def url(self, database: str = "pm", user: str = "pm", host: str = "") -> str:
        """How Pointsman finds a database of it."""
        password = PASSWORD.replace(" ", "%20")
        return f"postgresql://{user}:{password}@{host or self.addresses[0]}:{self.port}/{database}"

    def create(self, certificate: Path | None = None) -> "Postgres":
        """Make the cluster, start it, and give it a role of ours.

        With a certificate, and its key in the same file, it offers TLS.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.chown(self.folder, *self._account())
        self._run("initdb", "-D", str(self.data), "-A", "trust", "-U", "postgres", "--no-sync")
        (self.data / "pg_hba.conf").write_text(
            f"local all all trust\nhost all all {self.clients} scram-sha-256\n"
        )
        if certificate is not None:
            self._take(certificate)
        self.start()
        self.sql(f"CREATE ROLE pm LOGIN PASSWORD '{PASSWORD}'")
        return self

    def start(self) -> None:
        """Start it, and wait until it takes questions."""
        values = {
            **DEFAULTS,
            "port": str(self.port),
            "listen_addresses": ",".join(self.addresses),
            "unix_socket_directories": str(self.folder),
            **self.settings,
        }
        options = [f"--{name}={value}" for name, value in values.items()]
        command = [*self._as_account(), _binary("postgres"), "-D", str(self.data)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, *options], stdout=log, stderr=log)
        wait_until(self.answers, "PostgreSQL to answer", 30)

    def answers(self) -> bool:
        """Whether it takes questions."""
        try:
            return self.sql("SELECT 1") == "1"
        except subprocess.CalledProcessError:
            return False

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement as its superuser; returns what it printed."""
        options = ["-h", str(self.folder), "-p", str(self.port), "-U", "postgres", "-d", database]
        return self._run("psql", *options, "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement)

    def create_database(self, name: str = "pm", template: str = "template0") -> str:
        """A new database of our role's; returns its URL."""
        self.sql(f"CREATE DATABASE {name} OWNER pm TEMPLATE {template}")
        return self.url(name)

    def set(self, name: str, value: str) -> None:
        """Change a setting for all, as an admin would."""
        self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        self.sql("SELECT pg_reload_conf()")

    def _take(self, path: Path) -> None:
        own = self.folder / "server.pem"
        shutil.copy(path, own)
        shutil.chown(own, *self._account())
        own.chmod(0o600)
        self.settings |= {"ssl": "on", "ssl_cert_file": str(own), "ssl_key_file": str(own)}

    def stop(self) -> None:
        """Stop it at once, as `systemctl stop postgresql` does: no client is waited for."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Let nothing of it live."""
        self._end(signal.SIGQUIT)

    def _end(self, number: int) -> None:
        if self.process is None:
            return
        self.thaw()
        with suppress(ProcessLookupError, FileNotFoundError):
            os.kill(self._pid(), number)
        self.process.wait(30)
        self.process = None

    def freeze(self) -> None:
        """Stop all of its processes in their tracks: they keep their sockets, and say nothing."""
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """The postmaster, so that nobody is born, then its children."""
        try:
            parent = self._pid()
        except FileNotFoundError:
            return []
        children = Path(f"/proc/{parent}/task/{parent}/children")
        with suppress(FileNotFoundError):
            return [parent, *map(int, children.read_text().split())]
        return []

    def _pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split("\n")[0])

    def _run(self, program: str, *arguments: str) -> str:
        result = subprocess.run(
            [*self._as_account(), _binary(program), *arguments],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
        )
        return result.stdout.strip()

    def _account(self) -> tuple[int, int]:
        """PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return os.geteuid(), os.getegid()
        account = pwd.getpwnam("postgres")
        return account.pw_uid, account.pw_gid

    def _as_account(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
