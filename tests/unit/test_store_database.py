"""The database file: who owns it, and every trouble with it as a sentence."""

import os
import pwd
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import select, text

from pointsman.store import database, tables
from pointsman.store.database import Store, StoreError
from tests.unit.store_sentences import why


@pytest.fixture
def raw(config):
    """The database as another program would open it."""
    with closing(sqlite3.connect(config.database.removeprefix("sqlite:///"))) as connection:
        connection.isolation_level = None
        yield connection


def test_tables_made_from_the_field_lists_are_the_migrated_ones(store, tmp_path):
    """Columns, types, keys and what may be empty are the same both ways."""

    def columns(connection):
        names = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'alembic_version'"
        ).scalars()
        return {
            name: connection.exec_driver_sql(f"PRAGMA table_info({name})").all()
            for name in sorted(names)
        }

    fresh = Store(replace(store.config, database=f"sqlite:///{tmp_path}/fresh.db"))
    with fresh.engine.connect() as connection:
        tables.metadata.create_all(connection)
        made = columns(connection)
    with store.reading() as connection:
        migrated = columns(connection)

    def shape(found):
        return {name: sorted(row[1:] for row in rows) for name, rows in found.items()}

    def keyless(shape):
        return {n: [(c[0], c[1], c[2], bool(c[4])) for c in rows] for n, rows in shape.items()}

    assert keyless(shape(made)) == keyless(shape(migrated))


def test_journal_lets_readers_read_while_somebody_writes(raw):
    """WAL mode, kept in the file."""
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# Troubles.


def test_missing_database_is_a_sentence(store):
    """It is not made by the way."""
    store.path.unlink()
    assert why(store) == f"there is no database at {store.path}: run `pointsman setup`"
    assert not store.path.exists()


def test_empty_file_is_a_sentence(store):
    """Nothing was ever migrated into it."""
    store.path.write_bytes(b"")
    assert why(store) == "the database is empty: run `pointsman setup`"


@pytest.mark.parametrize(
    "content", [b"not a database at all\n" * 500, b"SQLite format 3\x00x" * 99]
)
def test_foreign_file_is_a_sentence(store, content):
    """And stays as it is."""
    store.path.write_bytes(content)
    assert why(store).startswith(f"the database sqlite:///{store.path} can't be used: ")
    assert store.path.read_bytes() == content


@pytest.mark.parametrize("damage", ["pages", "half", "schema"])
def test_damaged_file_is_a_sentence(store, damage):
    """A torn or overwritten file is named, with SQLite's own word."""
    data = bytearray(store.path.read_bytes())
    if damage == "pages":
        data[4096:] = b"\xa5" * (len(data) - 4096)
    elif damage == "half":
        data = data[: len(data) // 2]
    else:
        data[100:4096] = b"\xff" * 3996
    store.path.write_bytes(data)
    assert why(store).startswith(f"the database sqlite:///{store.path} can't be used: ")


def test_lost_table_is_a_sentence(store, raw):
    """Whoever took it away."""
    raw.execute("DROP TABLE sender")
    assert why(store).endswith("can't be used: no such table: sender")


@pytest.mark.parametrize("begin", ["BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"])
def test_locked_database_is_a_sentence(config, raw, monkeypatch, begin):
    """A writer waits, then says so; readers go on."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.01)
    store = Store(config)
    raw.execute(begin)
    with pytest.raises(StoreError, match="has been locked by another program"), store.writing():
        pass
    with store.reading() as connection:
        assert connection.execute(select(tables.sender)).all() == []
    raw.execute("ROLLBACK")
    with store.writing():
        pass


@pytest.mark.parametrize(
    "url",
    [
        "nonsense://",
        "nosuch://user:hunter2@host/db",
        "sqlite+nosuch:////tmp/x",
        "postgresql+nosuch://user:hunter2@host/db",
    ],
)
def test_url_of_no_known_database_is_a_sentence(config, url):
    """The driver is named, the password is not."""
    with pytest.raises(StoreError) as caught, Store(replace(config, database=url)).reading():
        pass
    assert "hunter2" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_url_is_shown_without_its_password(config):
    """In listings and errors alike."""
    store = Store(config)
    assert store.shown_url == config.database
    store._url = database.make_url("postgresql://pm:hunter2@db/pm")
    assert "hunter2" not in store.shown_url
    assert store.path is None


def test_file_belongs_to_the_daemons_account(store):
    """Whoever ran the CLI, root included."""
    with store.writing() as connection:
        connection.execute(text("UPDATE revision SET number = 1"))
    account = pwd.getpwnam("nobody")
    assert store.path.stat().st_uid == (account.pw_uid if os.geteuid() == 0 else os.geteuid())


def test_account_that_is_not_there_does_no_harm(config):
    """Before setup has made it, the file stays its maker's."""
    store = Store(replace(config, user="no-such-account"))
    with store.writing():
        pass
    assert store.path.stat().st_uid == os.geteuid()


def test_file_that_left_meanwhile_does_no_harm(store):
    """SQLite takes its -wal and -shm away when the last connection closes, any time."""
    store._give(store.path.with_name("gone-wal"))
