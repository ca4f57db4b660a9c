"""The database file: its schema, who may write when, and every trouble as a sentence."""

import os
import pwd
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select, text

from pointsman.store import database, tables
from pointsman.store.database import SCHEMA, Store, StoreError
from pointsman.store.migrate import alembic_config, upgrade
from pointsman.store.records import Connector


@pytest.fixture
def raw(config):
    """The database as another program would open it."""
    with closing(sqlite3.connect(config.database.removeprefix("sqlite:///"))) as connection:
        connection.isolation_level = None
        yield connection


def why(store):
    """The sentence of a StoreError, the same for readers and writers."""
    sentences = []
    for opened in (store.reading, store.writing):
        with pytest.raises(StoreError) as caught, opened() as connection:
            connection.execute(select(tables.sender)).all()
        sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]
    assert sentences[0].isprintable()
    return sentences[0]


# The schema.


def test_newest_migration_is_the_schema_that_the_program_knows():
    """SCHEMA is raised with every migration."""
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [SCHEMA]


def test_migrated_database_is_what_the_field_lists_say(store):
    """Alembic finds no difference between its tables and the records'."""
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


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


def test_migrating_twice_changes_nothing(store):
    """Setup may be run again."""
    upgrade(store.engine)
    store.create()
    assert store.revision() == 0


def test_new_field_gets_its_column_from_setup(store, raw):
    """No migration is written for a field, and what is there already gets its default."""
    with store.writing() as connection:
        connection.execute(insert(tables.connector), [asdict(Connector("a", hosts=("h.test",)))])
    for lost in ("description", "backlog"):
        raw.execute(f"ALTER TABLE connector DROP COLUMN {lost}")
    upgraded = Store(store.config)
    assert "no column for connector " in why(upgraded)
    upgraded.create()
    with upgraded.reading() as connection:
        (row,) = connection.execute(select(tables.connector)).mappings()
    assert (row["description"], row["backlog"]) == ("", 2_000)


def test_column_of_a_newer_program_does_no_harm(store, raw):
    """Two versions may share a database while one host after the other is upgraded."""
    raw.execute("ALTER TABLE connector ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'")
    with store.writing() as connection:
        connection.execute(insert(tables.connector), [asdict(Connector("a", hosts=("h.test",)))])


def test_fresh_database_has_the_built_in_agency(store):
    """`default` owns unmatched mail, and lets every client send."""
    with store.reading() as connection:
        (agency,) = connection.execute(select(tables.agency)).mappings()
        assert connection.execute(select(tables.connector)).all() == []
    assert (agency["name"], agency["any_client"]) == ("default", True)


def test_journal_lets_readers_read_while_somebody_writes(raw):
    """WAL mode, kept in the file."""
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("9999", f"has schema 9999, this program needs {SCHEMA}: install the newer Pointsman"),
        ("0000", f"has schema 0000, this program needs {SCHEMA}: run `pointsman setup`"),
        ("0001", f"has schema 0001, this program needs {SCHEMA}: run `pointsman setup`"),
    ],
)
def test_other_schema_is_refused(store, raw, version, words):
    """A newer or older program's database is left alone."""
    raw.execute("UPDATE alembic_version SET version_num = ?", (version,))
    assert words in why(store)


def test_database_whose_migrations_were_undone_needs_setup(store, raw):
    """Without a version it is no newer one."""
    raw.execute("DELETE FROM alembic_version")
    assert why(store).endswith("run `pointsman setup`")


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


def test_two_writers_come_one_after_the_other(config, monkeypatch):
    """The second finds the lock taken from the very beginning of the first."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.01)
    first, second = Store(config), Store(config)
    with first.writing():
        with pytest.raises(StoreError, match="locked"), second.writing():
            pass
        assert second.revision() == 0


def test_reader_sees_one_state(store, config):
    """What is committed meanwhile shows in the next transaction."""
    other = Store(config)
    with store.reading() as connection:
        assert connection.scalar(select(tables.revision.c.number)) == 0
        with other.writing() as writing:
            writing.execute(tables.revision.update().values(number=5))
        assert connection.scalar(select(tables.revision.c.number)) == 0
    assert store.revision() == 5


def test_failed_write_leaves_nothing(store):
    """All of a transaction is kept, or nothing."""

    def write_and_fail():
        with store.writing() as connection:
            connection.execute(tables.revision.update().values(number=5))
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_and_fail()
    assert store.revision() == 0


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
