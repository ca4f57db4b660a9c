"""SQLite, the database of one host: one file, one writer at a time."""

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError
from sqlalchemy.pool import NullPool


def engine_of(url: URL, patience: float) -> Engine:
    """The engine; `patience`: seconds that a writer waits for another."""
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": patience})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined] # we say BEGIN ourselves
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Take the write lock at once: a lock taken later could find its reading stale."""
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def reading(engine: Engine) -> Engine:
    """For transactions that see one state, as SQLite's all do."""
    return engine


def writing(engine: Engine) -> Engine:
    """For transactions that alone may write."""
    return engine.execution_options(write=True)


def take_turn(_connection: Connection, _name: str) -> bool:
    """Other hosts have another file: it is always ours."""
    return True


def sentence_of(error: DBAPIError, shown_url: str, user: str, patience: float) -> str | None:
    """What is wrong with the database, for people; None if it is our own fault."""
    reason = next(iter(str(error.orig).strip().splitlines()), "unknown")
    if "locked" in reason:
        return (
            f"the database {shown_url} has been locked by another program for {patience} s: try "
            "again"
        )
    if "readonly" in reason:
        return f"the database {shown_url} is read-only for you: run as root or as {user}"
    if isinstance(error, OperationalError) or type(error) is DatabaseError:
        return f"the database {shown_url} can't be used: {reason}"
    return None
