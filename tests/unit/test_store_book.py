"""Reading all that the admin wants, and changing it with a history."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.store import book as books
from pointsman.store import tables
from pointsman.store.book import NotFoundError, editing, read, who
from pointsman.store.database import Store, StoreError
from pointsman.store.history import StaleError
from pointsman.store.history import newest as history
from pointsman.store.records import Agency, Connector, Sender

COURT = Agency("court", ("court-app",), ("192.0.2.0/24",), description="n\u00f6te")
SMTP = Connector("smtp", hosts=("h.test",), auth="password", username="court", password="gAAAA-old")
CLERK = Sender("clerk@a.test", "court", "smtp")


@pytest.fixture
def database(either_database):
    """All of it is true of SQLite and of PostgreSQL."""
    return either_database


@pytest.fixture
def filled(store, monkeypatch):
    """A database with one of each, at revision 1, by anna."""
    monkeypatch.setenv("SUDO_USER", "anna")
    with editing(store) as edit:
        edit.add(COURT, SMTP, CLERK)
        edit.reserve_carriers([("court", "smtp")])
    return store


def dumped(store):
    """Everything that stands in the tables."""
    with store.reading() as connection:
        rows = {t.name: connection.execute(t.select()).all() for t in tables.metadata.sorted_tables}
    return repr(rows)


def test_fresh_book_is_empty(store):
    """But for the built-in agency; the default relay is what Postfix did before."""
    book = read(store)
    assert (book.revision, set(book.agencies)) == (0, {"default"})
    assert (book.connectors, book.senders, book.carriers) == ({}, {}, frozenset())
    assert (book.default, book.null_sender, book.sealed_tokens) == ("postfix", "", ())


def test_what_is_added_is_read(filled):
    """Each record equals what was given, lists as tuples."""
    book = read(filled)
    assert book.agency("court") == COURT
    assert book.connector("smtp") == SMTP
    assert book.senders == {"clerk@a.test": CLERK}
    assert book.links_to("smtp") == [CLERK]
    assert book.links_to("other") == []
    assert book.carriers == {("court", "smtp")}


@pytest.mark.parametrize(("noun", "name"), [("agency", "nobody"), ("connector", "nothing")])
def test_unknown_name_is_a_sentence(filled, noun, name):
    """It says where to look."""
    with pytest.raises(NotFoundError) as caught:
        getattr(read(filled), noun)(name)
    assert str(caught.value) == f"there is no {noun} '{name}'; `pointsman {noun} list` shows them"


def test_every_edit_raises_the_revision_by_one(filled):
    """However much it changes."""
    assert read(filled).revision == 1
    with editing(filled) as edit:
        assert edit.revision == 2
        edit.remove(CLERK)
        edit.change(SMTP, replace(SMTP, description="x"))
        edit.remove(COURT)
    assert read(filled).revision == filled.revision() == 2
    assert [change.revision for change in history(filled, 10)] == [2, 2, 2, 1, 1, 1]


def test_edit_without_effect_leaves_no_trace(filled):
    """Neither a revision nor a row of history."""
    before = dumped(filled)
    with editing(filled) as edit:
        edit.add()
        edit.remove()
    assert edit.revision == edit.book.revision == 1
    assert dumped(filled) == before


def test_failed_edit_leaves_no_trace(filled):
    """All of it is kept, or nothing."""
    before = dumped(filled)

    def fail():
        with editing(filled) as edit:
            edit.remove(CLERK)
            edit.put_setting("default", "smtp")
            edit.reserve_carriers([("default", "smtp")])
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert dumped(filled) == before


def test_stale_edit_is_refused(filled):
    """Someone else was faster: the sentence says what is there now."""
    before = dumped(filled)
    with pytest.raises(StaleError) as caught, editing(filled, if_revision=0) as edit:
        edit.remove(CLERK)
    assert str(caught.value) == (
        "the database is at revision 1, not 0: look again with `pointsman history`, then repeat; "
        "since then: agency add court by anna (revision 1), connector add smtp by anna "
        "(revision 1), sender add clerk@a.test by anna (revision 1)"
    )
    assert dumped(filled) == before
    with editing(filled, if_revision=1) as edit:
        edit.remove(CLERK)
    assert read(filled).senders == {}


def test_edit_sees_what_was_changed_before_it_got_the_lock(filled, config):
    """The book of an edit is read within its transaction."""
    other = type(filled)(config)
    with editing(other) as edit:
        edit.remove(CLERK)
    with editing(filled) as edit:
        assert (edit.book.revision, edit.book.senders) == (2, {})


def test_same_name_can_not_be_added_twice(filled):
    """The database itself is the last guard."""
    before = dumped(filled)
    with pytest.raises(Exception, match=r"(?i)unique"), editing(filled) as edit:
        edit.add(COURT)
    assert dumped(filled) == before


def test_history_tells_who_when_where_and_what(filled, monkeypatch):
    """Old and new values of every record that was touched."""
    monkeypatch.setenv("SUDO_USER", "admin")
    monkeypatch.setattr("socket.gethostname", lambda: "mx.test")
    new = replace(COURT, logins=("a", "b"))
    with editing(filled) as edit:
        edit.change(COURT, new)
        edit.remove(CLERK)
    removed, changed, *_ = history(filled, 10)
    assert (changed.action, changed.name) == ("agency set", "court")
    assert (changed.who, changed.host, changed.revision) == ("admin", "mx.test", 2)
    assert changed.old["logins"] == ["court-app"]
    assert changed.new["logins"] == ["a", "b"]
    assert changed.new["description"] == "n\u00f6te"
    assert datetime.now(UTC) - datetime.fromisoformat(changed.at) < timedelta(minutes=1)
    assert (removed.action, removed.name, removed.new) == ("sender remove", "clerk@a.test", None)
    assert removed.old == {
        "key": "clerk@a.test",
        "agency": "court",
        "connectors": "smtp",
        "turn": "",
        "description": "",
        "off": False,
        "rate": "",
    }


def test_action_may_be_named(filled):
    """`enable untested` stands in the history as such."""
    with editing(filled) as edit:
        edit.change(SMTP, replace(SMTP, state="live"), "enable untested")
    (change, *_) = history(filled, 1)
    assert (change.action, change.new["state"]) == ("connector enable untested", "live")


def test_history_is_newest_first_and_limited(filled):
    """As an admin reads it."""
    for number in range(5):
        with editing(filled) as edit:
            edit.put_setting("default", f"c{number}")
    assert [change.new["default"] for change in history(filled, 3)] == ["c4", "c3", "c2"]
    assert [change.old["default"] for change in history(filled, 3)] == ["c3", "c2", "c1"]


@pytest.mark.parametrize(
    ("sudo", "login", "expected"),
    [
        ("admin", "bob", "admin"),
        ("", "bob", "bob"),  # `sudo su -` forgets SUDO_USER
        ("root", "bob", "bob"),  # root called sudo
        (None, "", "runner"),
        ("root", "", "runner"),
    ],
)
def test_the_person_behind_root_is_named(monkeypatch, tmp_path, sudo, login, expected):
    """By sudo, else by the login that the kernel remembers, else the account itself."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    if sudo is not None:
        monkeypatch.setenv("SUDO_USER", sudo)
    accounts = {1000: SimpleNamespace(pw_name="bob")}
    monkeypatch.setattr(books.pwd, "getpwuid", accounts.__getitem__)
    monkeypatch.setattr(books, "LOGIN_UID", tmp_path / "loginuid")
    (tmp_path / "loginuid").write_text("1000" if login else "4294967295")
    monkeypatch.setattr(books.os, "geteuid", lambda: 0)
    monkeypatch.setattr(books.getpass, "getuser", lambda: "runner")
    assert who() == expected


def test_login_counts_for_root_alone(monkeypatch, tmp_path):
    """Who is not root is who they are."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(books, "LOGIN_UID", tmp_path / "missing")
    monkeypatch.setattr(books.os, "geteuid", lambda: 1001)
    monkeypatch.setattr(books.getpass, "getuser", lambda: "runner")
    assert who() == "runner"


@pytest.mark.parametrize("content", ["", "-1", "x", "99999999999999999999", "4294967295"])
def test_unknown_login_is_no_error(monkeypatch, tmp_path, content):
    """A service or a container has none."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(books, "LOGIN_UID", tmp_path / "loginuid")
    (tmp_path / "loginuid").write_text(content)
    monkeypatch.setattr(books.os, "geteuid", lambda: 0)
    monkeypatch.setattr(books.getpass, "getuser", lambda: "runner")
    assert who() == "runner"


def test_history_holds_secrets_as_they_stand_in_the_records(filled):
    """Sealed; nothing is unsealed on the way."""
    with editing(filled) as edit:
        edit.change(SMTP, replace(SMTP, password="gAAAA-new"))
    change = history(filled, 1)[0]
    assert (change.old["password"], change.new["password"]) == ("gAAAA-old", "gAAAA-new")


def test_sealed_password_never_shows_its_text(filled):
    """What is sealed with the key file stands nowhere in the database in the clear."""
    sealed = filled.secrets.seal("hunter2 $1")
    with editing(filled) as edit:
        edit.change(SMTP, replace(SMTP, password=sealed))
    assert "hunter2" not in dumped(filled)
    assert filled.secrets.unseal(read(filled).connector("smtp").password) == "hunter2 $1"


def test_carriers_are_kept_for_ever(filled):
    """Mail in the queue may bear them long after the connector is gone."""
    with editing(filled) as edit:
        edit.remove(CLERK, SMTP, COURT)
    assert read(filled).carriers == {("court", "smtp")}
    with editing(filled) as edit:
        edit.add(SMTP)
        edit.reserve_carriers([("court", "smtp"), ("default", "smtp")])
    assert read(filled).carriers == {("court", "smtp"), ("default", "smtp")}


def test_settings_are_read_back(filled):
    """Default relay, lane for bounces, tokens; history shows what it is told to show."""
    with editing(filled) as edit:
        edit.put_setting("default", "smtp")
        edit.put_setting("null_sender", "smtp")
        edit.put_setting("tokens", ["gAAAA-1", "gAAAA-2"], shown="rotated")
    book = read(filled)
    assert (book.default, book.null_sender) == ("smtp", "smtp")
    assert book.sealed_tokens == ("gAAAA-1", "gAAAA-2")
    change = history(filled, 1)[0]
    assert (change.action, change.new) == ("setting tokens", {"tokens": "rotated"})


def test_setting_can_be_taken_away(filled):
    """An empty name ends the lane for bounces."""
    for value in ("smtp", ""):
        with editing(filled) as edit:
            edit.put_setting("null_sender", value)
    assert read(filled).null_sender == ""


def test_many_senders_are_one_edit(filled):
    """10,000 at once, each with its row of history."""
    senders = [Sender(f"u{n}@a.test", "court", "smtp") for n in range(10_000)]
    with editing(filled) as edit:
        edit.add(*senders)
    assert len(read(filled).senders) == 10_001
    assert filled.revision() == 2


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)
RECORDS = st.builds(
    Agency,
    NAMES.filter(lambda name: name != "default"),
    st.lists(NAMES, max_size=3).map(tuple),
    st.lists(NAMES, max_size=3).map(tuple),
    st.booleans(),
    NAMES,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(record=RECORDS)
def test_any_record_comes_back_as_it_was(store, record):
    """Text of any script, lists of any length; and removing it leaves the rest alone."""
    with editing(store) as edit:
        edit.add(record)
    assert read(store).agency(record.name) == record
    with editing(store) as edit:
        edit.remove(record)
    assert set(read(store).agencies) == {"default"}


def test_history_of_a_missing_database_is_a_sentence(config, tmp_path):
    """As everything else that reads."""
    store = Store(replace(config, database=f"sqlite:///{tmp_path}/gone.db"))
    with pytest.raises(StoreError, match="there is no database"):
        history(store, 1)
