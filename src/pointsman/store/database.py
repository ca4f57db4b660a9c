"""Opens the database and guards it: schema, locks, ownership, errors as sentences."""

import os
import pwd
import random
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoneFreeError

from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.store import sqlite, tables
from pointsman.store.secrets import Secrets

SCHEMA = "0007"  # the newest migration
BUSY_TIMEOUT = 5  # seconds to wait for another writer
POSTGRESQL = ("postgresql", "postgresql+psycopg")


class Backend(Protocol):
    """What differs from one kind of database to another: a module each."""

    def engine_of(self, url: URL, patience: float) -> Engine: ...  # noqa: D102
    def reading(self, engine: Engine) -> Engine: ...  # noqa: D102
    def writing(self, engine: Engine) -> Engine: ...  # noqa: D102
    def take_turn(self, connection: Connection, name: str) -> bool: ...  # noqa: D102
    def sentence_of(  # noqa: D102
        self, error: DBAPIError, shown_url: str, user: str, patience: float
    ) -> str | None: ...


class StoreError(PointsmanError):
    """The database can't be used as it is."""


class BusyError(PointsmanError):
    """Another host is at it."""


class Store:
    """The database of one configuration; opens a connection for each use."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.secrets = Secrets(config.secret_key_file)
        self._url = _url(config)
        self._complete = False  # whether all columns were seen to be there
        try:
            self.backend = _backend(self._url)
            self.engine = self.backend.engine_of(self._url, BUSY_TIMEOUT)
        except (ArgumentError, ImportError) as error:
            raise StoreError(f"{config.path}: database: {error}") from None
        weakref.finalize(self, self.engine.dispose)  # which may keep connections

    @property
    def is_shared(self) -> bool:
        """Whether other hosts may use it, too."""
        return self.path is None

    @property
    def path(self) -> Path | None:
        """The file, if it is SQLite."""
        if self._url.get_backend_name() != "sqlite":
            return None
        return Path(self._url.database or "")

    @property
    def shown_url(self) -> str:
        """The URL without a password."""
        hidden = {name: "..." for name in self._url.query if "password" in name}  # libpq's own
        return self._url.update_query_dict(hidden).render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database."""
        self._require_file()
        engine = self.backend.reading(self.engine)
        with _sentences(self), engine.connect() as connection, connection.begin():
            self._require_schema(connection)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that alone may write; all of it is kept, or nothing."""
        self._require_file()
        with _sentences(self):
            engine = self.backend.writing(self.engine)
            with engine.connect() as connection, connection.begin():
                self._require_schema(connection)
                yield connection
        self._give_to_user()

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Let no other host do what is named meanwhile; raises BusyError if one does it now.

        Programs of this host lock files: see locks.py.
        """
        self._require_file()
        with _sentences(self):
            connection = self.backend.reading(self.engine).connect()
            try:
                if not self.backend.take_turn(connection, name):
                    raise BusyError(f"{name}: another host is at it, try again")
                yield
            finally:
                with suppress(DBAPIError):
                    connection.close()

    def revision(self) -> int:
        """The number of the newest change."""
        with self.reading() as connection:
            return connection.scalar(select(tables.revision.c.number)) or 0

    def create(self) -> None:
        """Create the database, or bring an older one up to this version's schema."""
        from pointsman.store.migrate import upgrade  # noqa: PLC0415 - slow to import

        if self.path is not None:
            if not self.path.parent.exists():
                self.path.parent.mkdir(parents=True)
                self._give(self.path.parent)  # SQLite makes files beside its own
            self.path.touch(mode=0o640)
        with _sentences(self):
            upgrade(self.backend.writing(self.engine))
        self._give_to_user()

    def _require_file(self) -> None:
        if self.path is None:
            return
        try:
            self.path.stat()
        except FileNotFoundError:
            raise StoreError(
                f"there is no database at {self.path}: run `pointsman setup`"
            ) from None
        except OSError as error:
            raise StoreError(
                f"the database {self.path} can't be used: {error.strerror}; run as root or as "
                f"{self.config.user}"
            ) from None

    def _require_schema(self, connection: Connection) -> None:
        _require_schema(connection)
        if not self._complete:
            _require_columns(connection)
            self._complete = True

    def _give_to_user(self) -> None:
        """Leave SQLite's files to the account that the daemons run as."""
        if self.path is not None:
            for suffix in ("", "-wal", "-shm"):
                self._give(Path(f"{self.path}{suffix}"))

    def _give(self, path: Path) -> None:
        if os.geteuid() != 0:
            return
        # No such account yet; and SQLite takes its own files away with the last connection.
        with suppress(KeyError, FileNotFoundError):
            account = pwd.getpwnam(self.config.user)
            os.chown(path, account.pw_uid, account.pw_gid)


def jittered(seconds: float) -> float:
    """How long to wait for a database that is away: hosts must not all come back at once."""
    return random.uniform(0.5, 1.5) * seconds  # noqa: S311 - it may be guessed


def _url(config: Config) -> URL:
    try:
        return make_url(config.database)
    except ArgumentError:
        raise StoreError(f"{config.path}: database: not an SQLAlchemy URL") from None


def _backend(url: URL) -> Backend:
    if url.get_backend_name() == "sqlite":
        return sqlite
    if url.drivername not in POSTGRESQL:
        raise ArgumentError(
            f"{url.drivername} is none that Pointsman knows: write sqlite:////path or "
            "postgresql://user:password@host/database"
        )
    try:
        from pointsman.store import postgresql  # noqa: PLC0415 - only where it is one
    except ImportError:
        raise ImportError(
            f"PostgreSQL needs a driver: run `{sys.prefix}/bin/pip install 'psycopg[binary]'`"
        ) from None
    return postgresql


def _require_schema(connection: Connection) -> None:
    try:
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    except (OperationalError, ProgrammingError) as error:
        if "alembic_version" not in str(error.orig):
            raise
        found = None
    if found is None:
        raise StoreError("the database is empty: run `pointsman setup`")
    if found != SCHEMA:
        newer = str(found) > SCHEMA
        raise StoreError(
            f"the database has schema {found}, this program needs {SCHEMA}: "
            + ("install the newer Pointsman" if newer else "run `pointsman setup`")
        )


def _require_columns(connection: Connection) -> None:
    """An older program does not mind columns that it does not know: they have defaults."""
    for kind in tables.TABLES:
        for field in tables.missing_fields(connection, kind):
            raise StoreError(
                f"the database has no column for {kind.__name__.lower()} {field.name} yet: run "
                "`pointsman setup`"
            )


@contextmanager
def _sentences(store: Store) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        user = store.config.user
        sentence = store.backend.sentence_of(error, store.shown_url, user, BUSY_TIMEOUT)
        if sentence is None:
            raise
        store.engine.dispose()  # where it was switched over, the next connection finds the new one
        raise StoreError(sentence) from None
    except NoneFreeError:
        raise StoreError(
            f"the database {store.shown_url} is too slow: all connections of ours are in use"
        ) from None
