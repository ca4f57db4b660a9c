"""The wire ring: the real programs, a real database file, no Postfix."""

import getpass
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import MetaData

from lab.city import new_folder
from lab.postgres import Postgres
from pointsman import config
from pointsman.cli.main import cli
from pointsman.store.database import Store
from pointsman.store.secrets import create_key_file
from tests.wire.policy_process import Daemon
from tests.wire.redis_process import Server

NUMBERS = count(1)  # of databases
PASSWORD = "hunter2 $ecret"


@dataclass
class Admin:
    """One configuration in a folder of its own, and the command line on it."""

    folder: Path
    url: str = ""  # of a database on a server; '' for a file in the folder

    @property
    def config_file(self):
        """The YAML file."""
        return self.folder / "pointsman.yaml"

    @property
    def database(self):
        """The SQLite file."""
        return self.folder / "pm.db"

    def configure(self, **changes):
        """Write the configuration, with some keys changed."""
        values = {
            "database": self.url or f"sqlite:///{self.database}",
            "secret_key_file": str(self.folder / "secret.key"),
            "state_directory": str(self.folder),
            "user": getpass.getuser(),
            "log": str(self.folder / "log"),
            "postfix": {"config_directory": str(self.folder / "postfix")},
            "milter": {"socket": f"unix:{self.folder}/milter.sock"},
        }
        self.config_file.write_text(yaml.safe_dump({**values, **changes}))

    def run(self, *arguments: str, stdin: str | bytes = "") -> Result:
        """Run `pointsman` with this configuration."""
        return CliRunner().invoke(cli, ["--config", str(self.config_file), *arguments], input=stdin)

    def do(self, *arguments: str, stdin: str | bytes = "") -> str:
        """Run a command that must succeed, and return what it printed."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, (arguments, result.output, result.exception)
        return result.stdout

    def write(self, name: str, content: str | bytes) -> str:
        """Write a file, and return its path as an argument."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    def dump(self) -> str | bytes:
        """Everything in the database, revision and history included."""
        if self.url:
            return self._rows()
        try:
            with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
                return "\n".join(connection.iterdump())
        except sqlite3.Error:
            return self.database.read_bytes() if self.database.is_file() else b""

    def _rows(self) -> str:
        with Store(config.load(self.config_file)).reading() as connection:
            known = MetaData()
            known.reflect(connection)
            tables = known.sorted_tables
            return "\n".join(
                sorted(f"{t} {row}" for t in tables for row in connection.execute(t.select()))
            )


def furnish(admin: Admin) -> None:
    """Two agencies, connectors in every state, links, a default relay."""
    admin.do("agency", "add", "court", "--login", "court-app", "--network", "192.0.2.0/24")
    admin.do("agency", "add", "empty", "--any-client")
    login = ("--auth", "password", "--username", "court", "--password-file", "-")
    for name in ("smtp", "stopped", "fresh", "relay"):
        admin.do("connector", "add", name, "--host", f"{name}.test", *login, stdin=PASSWORD)
    for name in ("smtp", "stopped", "relay"):
        admin.do("connector", "enable", name, "--untested")
    admin.do("connector", "disable", "stopped")
    admin.do("connector", "default", "relay")
    link = ("--agency", "court", "--connector")
    admin.do("sender", "link", "clerk@a.test", "@a.test", *link, "smtp")
    admin.do("sender", "link", "@stopped.test", *link, "stopped")


@pytest.fixture(scope="session")
def furnished(tmp_path_factory):
    """The folder that every test gets a copy of: migrations take their time."""
    admin = Admin(tmp_path_factory.mktemp("furnished"))
    admin.configure()
    create_key_file(admin.folder / "secret.key")
    Store(config.load(admin.config_file)).create()
    furnish(admin)
    return admin.folder


@pytest.fixture(scope="session")
def postgres(furnished):
    """A PostgreSQL of our own, whose database `furnished` every test gets a copy of."""
    folder = new_folder()
    server = Postgres(folder / "postgres").create()
    admin = Admin(folder, server.create_database("furnished"))
    shutil.copy(furnished / "secret.key", folder)
    admin.configure()
    Store(config.load(admin.config_file)).create()
    furnish(admin)
    # A database with a connection, if only an idle one of our own, can't be copied.
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pm'")
    yield server
    server.kill()
    shutil.rmtree(folder)


@pytest.fixture
def admin(furnished, tmp_path):
    """A configuration and a filled database for one test alone."""
    return moved_in(furnished, tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def either_admin(request, furnished, tmp_path):
    """The same with a database of each kind, one after the other."""
    url = ""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.create_database(f"pm{next(NUMBERS)}", "furnished")
    return moved_in(furnished, tmp_path, url)


def moved_in(furnished, tmp_path, url=""):
    """A copy of the folder; with an address, its database is there."""
    folder = tmp_path / "admin"
    shutil.copytree(furnished, folder)
    admin = Admin(folder, url)
    admin.configure()
    return admin


@pytest.fixture
def public_admin(furnished):
    """The same in a folder that other accounts may look into."""
    folder = Path(tempfile.mkdtemp(prefix="pointsman-"))
    folder.chmod(0o755)
    shutil.copytree(furnished, folder / "admin")
    (folder / "admin").chmod(0o755)
    admin = Admin(folder / "admin")
    admin.configure()
    yield admin
    for path in (folder, folder / "admin"):
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def password():
    """The password of every connector."""
    return PASSWORD


@pytest.fixture
def daemon(tmp_path):
    """A policy daemon's configuration with an applied snapshot; not started yet."""
    daemon = Daemon(tmp_path).configure().apply()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """One policy daemon for all tests that must not bring it down."""
    daemon = Daemon(tmp_path_factory.mktemp("policy")).configure().apply().start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    """A Redis server of our own; skipped where there is none to start."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server on this machine")
    server = Server(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.kill()
