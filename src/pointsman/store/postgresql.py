"""PostgreSQL, which several hosts may share: no connection waits for ever, one alone writes.

Imported only where the database is one: the driver, psycopg, is an extra of its own.
"""

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg import waiting
from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

SILENCE = 10.0  # seconds without an answer, after which the server counts as gone
CONNECT_TIMEOUT = 5  # seconds, for each host of the URL
IDLE = 2  # connections that a program keeps; more are closed after use
MOST = 20  # connections that one program may have: the agent renews 8 tokens at once, by two each
# Advisory locks, each database's own: of all who write, and of those who do what is named.
WRITING, TURN = 0x706D, 0x706E

_RO, _LOCKED, _CANCELLED = "25006", "55P03", "57014"  # SQLSTATE, appendix A of the manual
_THEIRS = {"42501", "42P01", "42703", "3F000"}  # rights, tables, columns or schemas are missing

_SERVER = (psycopg.OperationalError, psycopg.InternalError, psycopg.InterfaceError)

_T = TypeVar("_T")
_Waiting = Generator[Any, Any, _T]


class Patient(psycopg.Connection[Any]):
    """A connection that gives up when the server says nothing for long.

    libpq would wait for ever for a server that was stopped, and for a quarter of an hour
    for one behind a network that is gone.
    """

    def wait(self, gen: _Waiting[_T], *arguments: Any, **options: Any) -> _T:
        """Do whatever the driver waits for."""
        return super().wait(self._while_it_answers(gen), *arguments, **options)

    def _while_it_answers(self, gen: _Waiting[_T]) -> _Waiting[_T]:
        heard = time.monotonic()
        ready = None
        while True:
            try:
                wanted = gen.send(ready)
            except StopIteration as end:
                result: _T = end.value
                return result
            ready = yield wanted
            if ready != waiting.Ready.NONE:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE:
                self.pgconn.finish()
                raise psycopg.OperationalError(f"no answer within {SILENCE:.0f} s")


def engine_of(url: URL, patience: float) -> Engine:
    """The engine; `patience`: seconds that a writer waits for another."""
    driver = url.set(drivername="postgresql+psycopg")
    engine = create_engine(
        driver,
        pool_pre_ping=True,
        pool_size=IDLE,
        max_overflow=MOST - IDLE,
        pool_timeout=CONNECT_TIMEOUT,
        use_native_hstore=False,
    )
    event.listen(engine, "do_connect", _connecting(_session(patience)))
    event.listen(engine, "begin", _begin)
    return engine


def _session(patience: float) -> str:
    """A client that hangs must not keep the others waiting, nor its lock for ever."""
    milliseconds = {
        "lock_timeout": patience * 1000,
        "statement_timeout": SILENCE * 800,
        "idle_in_transaction_session_timeout": SILENCE * 3000,
    }
    return " ".join(f"-c {name}={value:.0f}" for name, value in milliseconds.items())


def _connecting(session: str) -> Callable[..., Patient]:
    """What the URL says counts more than what we would."""

    def connect(_dialect: Any, _record: Any, _arguments: Any, given: dict[str, Any]) -> Patient:
        known = {"connect_timeout": CONNECT_TIMEOUT, "application_name": "pointsman", **given}
        known["options"] = f"{session} {given.get('options', '')}"
        # Nothing is prepared: a pooler between us, or a migration, would make it an error.
        return Patient.connect(**known, prepare_threshold=None)

    return connect


def _begin(connection: Connection) -> None:
    """Alone may write who has the lock; it ends with the transaction."""
    if connection.get_execution_options().get("write", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITING})")


def reading(engine: Engine) -> Engine:
    """For transactions that see one state from their first statement on."""
    return engine.execution_options(isolation_level="REPEATABLE READ")


def writing(engine: Engine) -> Engine:
    """For transactions that see what was committed before they got the lock."""
    return engine.execution_options(write=True, isolation_level="READ COMMITTED")


def take_turn(connection: Connection, name: str) -> bool:
    """Whether no other host is in a transaction of this name; ours lasts up to five minutes."""
    # A server that takes no changes refuses this: what is done in turn is to be written down.
    connection.exec_driver_sql("SELECT version_num FROM alembic_version FOR KEY SHARE")
    connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '5min'")
    lock = func.pg_try_advisory_xact_lock(TURN, func.hashtext(name))
    return bool(connection.scalar(select(lock)))


def sentence_of(error: DBAPIError, shown_url: str, _user: str, patience: float) -> str | None:
    """What is wrong with the database, for people; None if it is our own fault."""
    cause = error.orig
    code = getattr(cause, "sqlstate", None)
    reason = reason_of(cause)
    if code == _RO:
        return (
            f"the database {shown_url} takes no changes, it is read-only: a standby, or being "
            "switched over"
        )
    if code == _LOCKED:
        return (
            f"the database {shown_url} has been locked by another program for {patience} s: try "
            "again"
        )
    if code == _CANCELLED:
        return f"the database {shown_url} takes too long: try again"
    if isinstance(cause, psycopg.DataError):
        return f"the database {shown_url} can't keep a value: {reason}"
    if code in _THEIRS or isinstance(cause, _SERVER):
        return f"the database {shown_url} can't be used: {reason}"
    return None


def reason_of(error: BaseException | None) -> str:
    """The server's or the driver's own words, on one line."""
    lines = [line.strip(" \t-") for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):  # several addresses were tried
        del lines[0]
    return lines[0] if lines else "unknown"
