"""PostgreSQL that goes away, says nothing or takes no changes: a sentence each, and no hang."""

import re
import sys
import threading
import time
from dataclasses import replace

import pytest
from sqlalchemy import select, text

from pointsman.config import Config
from pointsman.store import postgresql, tables
from pointsman.store.book import editing, read
from pointsman.store.database import Store, StoreError
from pointsman.store.records import Agency
from tests.unit.store_sentences import why


@pytest.fixture
def database(postgresql_database):
    """All of it is about the one kind."""
    return postgresql_database


@pytest.fixture
def as_admin(postgres, config):
    """Runs a statement as the server's admin; DB stands for the database's name."""
    name = config.database.rpartition("/")[2]
    return lambda statement: postgres.sql(statement.replace("DB", name))


def refused(store):
    """The sentence with which an edit is refused."""
    with pytest.raises(StoreError) as caught, editing(store) as edit:
        edit.add(Agency("court"))
    assert str(caught.value).isprintable()
    assert "sw1tch" not in str(caught.value)
    return str(caught.value)


def works(store):
    """Whether an edit goes through."""
    before = store.revision()
    with editing(store) as edit:
        edit.add(Agency(f"after-{before}"))
    return store.revision() == before + 1


def test_server_that_is_down_is_a_sentence_and_comes_back(store, postgres):
    """One that holds connections from before finds new ones by itself."""
    assert works(store)
    postgres.stop()
    try:
        assert "Connection refused" in why(store)
        assert "sw1tch" not in why(store)
    finally:
        postgres.start()
    assert works(store)


def test_server_that_restarts_between_two_questions_is_no_trouble(store, postgres):
    """Connections that were kept are tried before they are used."""
    assert works(store)
    postgres.stop()
    postgres.start()
    assert works(store)


def test_server_that_says_nothing_is_a_sentence(store, postgres, monkeypatch):
    """It takes connections and answers none: nothing waits for ever."""
    monkeypatch.setattr(postgresql, "SILENCE", 0.5)
    monkeypatch.setattr(postgresql, "CONNECT_TIMEOUT", 2)  # psycopg takes no less
    assert works(store)
    postgres.freeze()
    try:
        start = time.monotonic()
        sentence = refused(store)
        assert time.monotonic() - start < 10
    finally:
        postgres.thaw()
    assert "can't be used: " in sentence
    assert "timeout" in sentence
    assert works(store)


def test_server_that_falls_silent_within_a_transaction_is_a_sentence(store, postgres, monkeypatch):
    """The same when the question was asked already."""
    monkeypatch.setattr(postgresql, "SILENCE", 0.5)

    def ask():
        with store.writing() as connection:
            postgres.freeze()
            connection.execute(select(tables.sender))

    try:
        with pytest.raises(StoreError, match="no answer within"):
            ask()
    finally:
        postgres.thaw()
    assert works(store)


def test_commit_without_an_answer_is_a_sentence(store, postgres, monkeypatch):
    """Nobody can tell whether it counts; the admin looks again."""
    monkeypatch.setattr(postgresql, "SILENCE", 0.5)

    def write():
        with store.writing() as connection:
            connection.execute(tables.revision.update().values(number=7))
            postgres.freeze()

    try:
        with pytest.raises(StoreError, match="no answer within"):
            write()
    finally:
        postgres.thaw()
    assert store.revision() in (0, 7)


def test_read_only_database_is_read_and_refuses_changes(store, as_admin):
    """As a standby does, or a server in the middle of a switch-over; then it goes on."""
    as_admin("ALTER DATABASE DB SET default_transaction_read_only = on")
    standby = Store(store.config)
    assert standby.revision() == 0
    assert "takes no changes, it is read-only" in refused(standby)
    as_admin("ALTER DATABASE DB RESET default_transaction_read_only")
    assert works(Store(store.config))


def test_connection_limit_is_a_sentence(store, as_admin):
    """In the server's own words."""
    as_admin("ALTER DATABASE DB CONNECTION LIMIT 0")
    assert "too many connections for database" in why(store)
    as_admin("ALTER DATABASE DB CONNECTION LIMIT -1")
    assert works(store)


def test_all_connections_of_one_program_in_use_is_a_sentence(store, monkeypatch):
    """Whoever finds none free says so rather than wait for ever."""
    monkeypatch.setattr(postgresql, "IDLE", 1)
    monkeypatch.setattr(postgresql, "MOST", 1)
    monkeypatch.setattr(postgresql, "CONNECT_TIMEOUT", 0.1)
    narrow = Store(store.config)
    engine = narrow.engine
    with engine.connect():
        assert why(narrow).endswith("all connections of ours are in use")
    assert works(narrow)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("sw1tch", "wr0ng"), "password authentication failed"),
        ((r"/pm\d+$", "/nosuch"), 'database "nosuch" does not exist'),
        (("pm:", "nosuch:"), "password authentication failed"),
        ((r"127\.0\.0\.1", "nosuch.invalid"), "failed to resolve host 'nosuch.invalid'"),
    ],
)
def test_wrong_url_is_a_sentence(config, change, words):
    """In the words of server or driver, without the password."""
    sentence = why(Store(replace(config, database=re.sub(*change, config.database))))
    assert words in sentence
    assert ":***@" in sentence
    assert "tch%20" not in sentence


def test_missing_rights_are_a_sentence(store, postgres):
    """Somebody restored the tables as another role."""
    name = store.config.database.rpartition("/")[2]
    postgres.sql("ALTER TABLE sender OWNER TO postgres", name)
    assert "can't be used: permission denied for table sender" in why(store)


def test_lost_table_is_a_sentence(store, postgres):
    """Whoever took it away."""
    postgres.sql("DROP TABLE sender", store.config.database.rpartition("/")[2])
    assert 'relation "sender" does not exist' in why(store)


def test_number_that_is_too_large_is_a_sentence(store):
    """SQLite would take it."""
    words = "can't keep a value: integer out of range"
    with pytest.raises(StoreError, match=words), editing(store) as edit:
        edit.add(Agency("court", held_max=10**12))


def test_empty_database_is_a_sentence(config, postgres):
    """Nothing was ever set up in it."""
    url = postgres.create_database("empty_one")
    assert why(Store(replace(config, database=url))) == (
        "the database is empty: run `pointsman setup`"
    )


def test_two_hosts_may_run_setup_at_once(config, postgres):
    """One waits for the other, and finds all done."""
    url = postgres.create_database("both_at_once")
    stores = [Store(replace(config, database=url)) for _ in range(2)]
    hosts = [threading.Thread(target=store.create) for store in stores]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join()
    assert set(read(stores[0]).agencies) == {"default"}
    assert works(stores[1])


def test_writer_that_hangs_does_not_keep_the_others_waiting(store, monkeypatch):
    """A session that sits on the lock is ended by the server."""
    monkeypatch.setattr(postgresql, "SILENCE", 0.1)  # and 0.3 s in a transaction
    hanging = Store(store.config)

    def hang():
        with hanging.writing() as connection:
            monkeypatch.setattr(postgresql, "SILENCE", 10.0)
            assert works(Store(store.config))
            connection.execute(select(tables.sender))

    with pytest.raises(StoreError, match="idle-in-transaction"):
        hang()


def test_what_the_url_says_counts_more(config):
    """Options of libpq are the admin's; ours are the rest."""
    url = f"{config.database}?application_name=mx1&options=-c%20statement_timeout%3D7s"
    with Store(replace(config, database=url)).reading() as connection:
        names = ("application_name", "statement_timeout", "lock_timeout")
        shown = [connection.scalar(text(f"SHOW {name}")) for name in names]
    assert shown == ["mx1", "7s", "5s"]


def test_first_server_that_takes_changes_is_found(config):
    """Of several, as libpq does it: one is down here."""
    server, _, name = config.database.removeprefix("postgresql://").partition("/")
    login, _, address = server.partition("@")
    hosts = f"host=127.0.0.1:1&host={address}&target_session_attrs=read-write"
    assert works(Store(replace(config, database=f"postgresql://{login}@/{name}?{hosts}")))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://pm:hunter2@db/pm",
        "postgresql://db/pm?user=pm&password=hunter2&sslpassword=hunter2",
    ],
)
def test_password_is_shown_nowhere(config, url):
    """Wherever it stands in the URL."""
    shown = Store(replace(config, database=url)).shown_url
    assert "hunter2" not in shown


def test_missing_driver_is_a_sentence(monkeypatch):
    """It is an extra of its own, and the sentence tells how to get it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "pointsman.store.postgresql")
    monkeypatch.delattr("pointsman.store.postgresql")
    with pytest.raises(StoreError, match="PostgreSQL needs a driver: run `") as caught:
        Store(Config(database="postgresql://pm:hunter2@db/pm"))
    assert "hunter2" not in str(caught.value)


def test_other_servers_are_refused(config):
    """Nothing is said to work that was never tried."""
    with pytest.raises(StoreError, match="mysql is none that Pointsman knows"):
        Store(replace(config, database="mysql://pm:hunter2@db/pm"))
