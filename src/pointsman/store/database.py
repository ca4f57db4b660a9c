"""Opens the database and guards it: schema, locks, ownership, errors as sentences."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.store import tables
from pointsman.store.secrets import Secrets

SCHEMA = "0006"  # the newest migration
BUSY_TIMEOUT = 5  # seconds that SQLite waits for another writer


class StoreError(PointsmanError):
    """The database can't be used as it is."""


class Store:
    """The database of one configuration; opens a connection for each use."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.secrets = Secrets(config.secret_key_file)
        self._url = _url(config)
        self._complete = False  # whether all columns were seen to be there
        try:
            self.engine = _engine(config.database)
        except (ArgumentError, ImportError) as error:
            raise StoreError(f"{config.path}: database: {error}") from None

    @property
    def path(self) -> Path | None:
        """The file, if it is SQLite."""
        if self._url.get_backend_name() != "sqlite":
            return None
        return Path(self._url.database or "")

    @property
    def shown_url(self) -> str:
        """The URL without a password."""
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the database."""
        self._require_file()
        with _sentences(self), self.engine.connect() as connection, connection.begin():
            self._require_schema(connection)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that alone may write; all of it is kept, or nothing."""
        self._require_file()
        with _sentences(self):
            engine = self.engine.execution_options(write=True)
            with engine.connect() as connection, connection.begin():
                self._require_schema(connection)
                yield connection
        self._give_to_user()

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
            upgrade(self.engine)
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


def _url(config: Config) -> URL:
    try:
        return make_url(config.database)
    except ArgumentError:
        raise StoreError(f"{config.path}: database: not an SQLAlchemy URL") from None


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_TIMEOUT})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined] # we say BEGIN ourselves
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once: a lock taken later could find its reading stale."""
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _require_schema(connection: Connection) -> None:
    if not inspect(connection).has_table("alembic_version"):
        raise StoreError("the database is empty: run `pointsman setup`")
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
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
    url, user = store.shown_url, store.config.user
    try:
        yield
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "unknown"
        if "locked" in reason:
            raise StoreError(
                f"the database {url} has been locked by another program for {BUSY_TIMEOUT} s: "
                "try again"
            ) from None
        if "readonly" in reason:
            raise StoreError(
                f"the database {url} is read-only for you: run as root or as {user}"
            ) from None
        if isinstance(error, OperationalError) or type(error) is DatabaseError:
            raise StoreError(f"the database {url} can't be used: {reason}") from None
        raise
