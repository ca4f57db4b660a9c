"""What is said of changes: in a sentence, and in the mail log."""

from dataclasses import replace

import pytest

from pointsman.store.book import editing, read
from pointsman.store.history import MOST_LOGGED, StaleError, newest
from pointsman.store.records import Agency, Connector, Sender

COURT = Agency("court", ("court-app",))
SMTP = Connector("smtp", hosts=("h.test",), auth="password", username="court", password="gAAAA-old")


@pytest.fixture
def database(either_database):
    """All of it is true of SQLite and of PostgreSQL."""
    return either_database


@pytest.fixture(autouse=True)
def anna(monkeypatch):
    """She changes everything here, on mx.test."""
    monkeypatch.setenv("SUDO_USER", "anna")
    monkeypatch.setattr("socket.gethostname", lambda: "mx.test")


def test_each_change_is_a_line_without_values(store, log):
    """Who, where, what and which fields; no secret, sealed or not."""
    with editing(store) as edit:
        edit.add(COURT, SMTP)
    with editing(store, note="undo of 7") as edit:
        edit.change(SMTP, replace(SMTP, password="gAAAA-new", hosts=("i.test",)))
        edit.remove(COURT)
        edit.put_setting("default", "smtp")
    by, both = "who=anna, host=mx.test", 'fields="hosts password"'
    assert log() == [
        f'change revision=1, {by}, what="agency add", name=court',
        f'change revision=1, {by}, what="connector add", name=smtp',
        f'change revision=2, {by}, what="connector set (undo of 7)", name=smtp, {both}',
        f'change revision=2, {by}, what="agency remove (undo of 7)", name=court',
        f'change revision=2, {by}, what="setting default (undo of 7)", fields=default',
    ]
    assert newest(store, 1)[0].action == "setting default (undo of 7)"


def test_edit_that_fails_leaves_no_line(store, log):
    """What did not happen is not logged."""

    def fail():
        with editing(store) as edit:
            edit.add(COURT)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with editing(store) as edit:
        edit.add(SMTP)
    assert [line.partition("what=")[2] for line in log()] == ['"connector add", name=smtp']


def test_very_many_are_counted(store, log):
    """100,000 senders at once must not drown the log."""
    with editing(store) as edit:
        edit.add(*(Sender(f"u{n}@a.test", "court", "smtp") for n in range(MOST_LOGGED + 50)))
    lines = log()
    assert len(lines) == MOST_LOGGED + 1
    assert lines[-1] == 'change revision=1, who=anna, host=mx.test, what="sender add", more=50'


def test_name_writes_no_line_of_its_own(store, log, monkeypatch):
    """Whoever root was: one line, and quoted."""
    monkeypatch.setenv("SUDO_USER", "a\nNov 21, who=bob")
    with editing(store) as edit:
        edit.add(COURT)
    (line,) = log()
    assert ', who="a?Nov 21, who=bob", ' in line


def test_stale_edit_names_what_is_newer(store):
    """Up to three changes, and how many more."""
    with editing(store) as edit:
        edit.add(COURT)
    for number in range(5):
        with editing(store) as edit:
            edit.put_setting("default", f"c{number}")
    with pytest.raises(StaleError) as caught, editing(store, if_revision=1):
        pass
    assert str(caught.value) == (
        "the database is at revision 6, not 1: look again with `pointsman history`, then repeat; "
        "since then: setting default by anna (revision 2), setting default by anna (revision 3), "
        "setting default by anna (revision 4) and 2 more"
    )
    with pytest.raises(StaleError, match=r"then repeat$"), editing(store, if_revision=9):
        pass


def test_setting_is_taken_away(store):
    """None: as if it had never been said."""
    with editing(store) as edit:
        edit.put_setting("default", "smtp")
    with editing(store) as edit:
        edit.put_setting("default", None)
    assert read(store).settings == {}
    assert (newest(store, 1)[0].old, newest(store, 1)[0].new) == (
        {"default": "smtp"},
        {"default": None},
    )
