"""The schema and the transactions: on SQLite and on PostgreSQL alike."""

import threading
from dataclasses import asdict, replace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select

from pointsman.store import database as databases
from pointsman.store import tables
from pointsman.store.book import editing, read
from pointsman.store.database import SCHEMA, Store, StoreError
from pointsman.store.migrate import alembic_config, upgrade
from pointsman.store.records import Agency, Connector
from tests.unit.store_sentences import why


@pytest.fixture
def database(either_database):
    """All of it is true of both."""
    return either_database


@pytest.fixture
def raw(store):
    """Runs a statement as another program would."""
    other = Store(store.config)

    def execute(statement):
        with other.engine.begin() as connection:
            connection.exec_driver_sql(statement)

    return execute


def test_newest_migration_is_the_schema_that_the_program_knows():
    """SCHEMA is raised with every migration."""
    assert ScriptDirectory.from_config(alembic_config()).get_heads() == [SCHEMA]


def test_migrated_database_is_what_the_field_lists_say(store):
    """Alembic finds no difference between its tables and the records'."""
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_migrating_twice_changes_nothing(store):
    """Setup may be run again."""
    upgrade(store.backend.writing(store.engine))
    store.create()
    assert store.revision() == 0


def test_new_field_gets_its_column_from_setup(store, raw):
    """No migration is written for a field, and what is there already gets its default."""
    with store.writing() as connection:
        connection.execute(insert(tables.connector), [asdict(Connector("a", hosts=("h.test",)))])
    for lost in ("description", "backlog"):
        raw(f"ALTER TABLE connector DROP COLUMN {lost}")
    upgraded = Store(store.config)
    assert "no column for connector " in why(upgraded)
    upgraded.create()
    with upgraded.reading() as connection:
        (row,) = connection.execute(select(tables.connector)).mappings()
    assert (row["description"], row["backlog"]) == ("", 2_000)


def test_column_of_a_newer_program_does_no_harm(store, raw):
    """Two versions may share a database while one host after the other is upgraded."""
    raw("ALTER TABLE connector ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'")
    with store.writing() as connection:
        connection.execute(insert(tables.connector), [asdict(Connector("a", hosts=("h.test",)))])


def test_fresh_database_has_the_built_in_agency(store):
    """`default` owns unmatched mail, and lets every client send."""
    with store.reading() as connection:
        (agency,) = connection.execute(select(tables.agency)).mappings()
        assert connection.execute(select(tables.connector)).all() == []
    assert (agency["name"], agency["any_client"]) == ("default", True)


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
    raw(f"UPDATE alembic_version SET version_num = '{version}'")
    assert words in why(store)


def test_database_whose_migrations_were_undone_needs_setup(store, raw):
    """Without a version it is no newer one."""
    raw("DELETE FROM alembic_version")
    assert why(store).endswith("run `pointsman setup`")


def test_two_writers_come_one_after_the_other(config, monkeypatch):
    """The second finds the lock taken from the very beginning of the first."""
    monkeypatch.setattr(databases, "BUSY_TIMEOUT", 0.01)
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


def test_no_edit_of_two_operators_is_lost(config):
    """Both raise the same number, at the same time, twenty times each."""
    with editing(Store(config)) as edit:
        edit.add(Agency("court", held_max=0))

    def operate():
        store = Store(config)
        for _ in range(20):
            with editing(store) as edit:
                old = edit.book.agency("court")
                edit.change(old, replace(old, held_max=old.held_max + 1))

    operators = [threading.Thread(target=operate) for _ in range(2)]
    for operator in operators:
        operator.start()
    for operator in operators:
        operator.join()
    book = read(Store(config))
    assert (book.revision, book.agency("court").held_max) == (41, 40)
