"""The unit ring: no Postfix, no network, milliseconds a test; one PostgreSQL for the store's."""

import shutil
from ipaddress import ip_network
from itertools import count
from types import SimpleNamespace

import Milter
import pytest
from hypothesis import HealthCheck, settings

from lab.city import new_folder
from lab.postgres import Postgres
from pointsman import logs
from pointsman.config import Config
from pointsman.milter.session import Session
from pointsman.routing.snapshot import Agency, Lane, Link, Snapshot, Surroundings
from pointsman.store.database import Store
from pointsman.store.secrets import create_key_file
from tests.unit.smtp_session import Connection, Policy

NUMBERS = count(1)  # of databases

# The machine may be busy: a slow example is no failure.
settings.register_profile(
    "unit", deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unit")


@pytest.fixture(scope="session")
def town():
    """Agencies a (login, networks) and b (login); lanes in every state; links of every kind."""
    return Snapshot(
        revision=7,
        tokens=("0" * 31 + "a", "0" * 31 + "b"),
        agencies={
            "default": Agency("default", any_client=True),
            "a": Agency(
                "a",
                frozenset({"a-app", "shared-app"}),
                (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
            ),
            "b": Agency("b", frozenset({"b-app", "shared-app"})),
            "open": Agency("open", any_client=True),
        },
        lanes={
            "a": Lane("a", "[h1.test]:587"),
            "b": Lane("b", "[h2.test]:587"),
            "tax": Lane("tax", "[h3.test]:465"),
            "off": Lane("off", "[h4.test]:25", live=False),
            "own": Lane("own", "[h5.test]:587", align=True),
        },
        links={
            "clerk@a.test": Link("a", "a"),
            "clerk+vip@a.test": Link("a", "tax"),
            "@a.test": Link("a", "a"),
            "@.a.test": Link("a", "tax"),
            "@xn--bcher-kva.test": Link("a", "a"),
            "@b.test": Link("b", "b"),
            "@open.test": Link("open", "a"),
            "@off.test": Link("open", "off"),
            "@own.test": Link("open", "own"),
        },
        around=Surroundings(
            myorigin="mx.test",
            hosted=frozenset({"mx.test", "town.test"}),
            hosted_parents=frozenset({"relay.test"}),
            aliased=frozenset({"boss@ext.test", "@aliased.test"}),
            foreign=frozenset({"pm-fax"}),
        ),
    )


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """A database as `pointsman setup` leaves it, made once: migrations take their time."""
    folder = tmp_path_factory.mktemp("database")
    store = Store(Config(database=f"sqlite:///{folder}/pm.db", secret_key_file=folder / "key"))
    store.create()
    return folder / "pm.db"


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL of our own, with a database as `pointsman setup` leaves it."""
    folder = new_folder()
    server = Postgres(folder / "postgres").create()
    url = server.create_database("set_up")
    Store(Config(database=url)).create()
    yield server
    server.kill()
    shutil.rmtree(folder)


@pytest.fixture
def sqlite_database(tmp_path, empty_database):
    """The URL of a fresh database in a file of its own."""
    shutil.copy(empty_database, tmp_path / "pm.db")
    return f"sqlite:///{tmp_path}/pm.db"


@pytest.fixture
def postgresql_database(postgres):
    """The URL of a fresh database on a server."""
    return postgres.create_database(f"pm{next(NUMBERS)}", "set_up")


@pytest.fixture(params=["sqlite", "postgresql"])
def either_database(request):
    """A fresh database of each kind, one after the other."""
    return request.getfixturevalue(f"{request.param}_database")


@pytest.fixture
def database(sqlite_database):
    """Most tests need no more than a file; the store's own name `either_database` instead."""
    return sqlite_database


@pytest.fixture
def config(tmp_path, database):
    """A configuration of its own, with a key file and a fresh database."""
    create_key_file(tmp_path / "secret.key")
    return Config(
        database=database,
        secret_key_file=tmp_path / "secret.key",
        state_directory=tmp_path,
        user="nobody",
    )


@pytest.fixture
def store(config):
    """Its database."""
    return Store(config)


@pytest.fixture
def log(tmp_path, monkeypatch):
    """The lines of the log, without time, host and program."""
    monkeypatch.setattr(logs, "_sinks", [])
    logs.start("test", str(tmp_path / "log"))
    return lambda: [
        line.partition("]: ")[2]
        for line in (tmp_path / "log").read_text(encoding="utf-8").split("\n")[:-1]
    ]


@pytest.fixture
def policy():
    """The policy daemon that the milter asks: everything may go."""
    return Policy()


@pytest.fixture
def connection(town, policy, monkeypatch):
    """An open SMTP session from 203.0.113.1."""
    monkeypatch.setattr(Milter, "factory", Session)
    monkeypatch.setattr(Session, "current", SimpleNamespace(snapshot=town, down=()), raising=False)
    monkeypatch.setattr(Session, "policy", policy, raising=False)
    Milter.set_flags(Milter.CHGHDRS | Milter.ADDHDRS | Milter.CHGFROM | Milter.QUARANTINE)
    return Connection().open()
