"""What a book would be without one revision: exactly as before, or refused by name."""

from dataclasses import replace

import pytest

from pointsman.store.book import editing, read
from pointsman.store.difference import differences
from pointsman.store.history import newest
from pointsman.store.records import Agency, Connector, Diversion, Pause, Sender
from pointsman.store.undo import UndoError
from tests.unit.undoing import content, undo, without

COURT = Agency("court", ("court-app",), ("192.0.2.0/24",))
SMTP = Connector("smtp", hosts=("h.test",), auth="password", username="court", password="gAAAA-old")
CLERK = Sender("clerk@a.test", "court", "smtp")
PAUSE = Pause("agency court", "anna", "2026-11-21T10:00:00+00:00", "", "audit")


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
    return store


def why(store, revision):
    """The sentence of a refusal."""
    with pytest.raises(UndoError) as caught:
        without(store, revision)
    return str(caught.value).removeprefix(f"revision {revision} can't be undone: ")


def added(edit):
    edit.add(Agency("tax", any_client=True))


def changed(edit):
    edit.change(SMTP, replace(SMTP, hosts=("i.test",), password="gAAAA-new", rate="9/hour"))


def enabled(edit):
    edit.change(SMTP, replace(SMTP, state="live"), "enable untested")


def unlinked(edit):
    edit.remove(CLERK)


def moved(edit):
    edit.add(Connector("other", hosts=("o.test",)))
    edit.change(CLERK, replace(CLERK, connectors="other", off=True), "link")


def paused(edit):
    edit.add(PAUSE)


def all_removed(edit):
    edit.remove(CLERK, SMTP, COURT)


def default(edit):
    edit.put_setting("default", "none")


def several(edit):
    added(edit)
    changed(edit)
    paused(edit)
    default(edit)


@pytest.mark.parametrize(
    "work", [added, changed, enabled, unlinked, moved, paused, all_removed, default, several]
)
def test_every_kind_of_change_is_undone_and_redone(filled, work):
    """All of the revision, in one; the undo of the undo is what was undone."""
    before = read(filled)
    with editing(filled) as edit:
        work(edit)
    changed = read(filled)
    assert content(changed) != content(before)
    undo(filled, 2)
    assert content(read(filled)) == content(before)
    assert filled.revision() == 3
    assert newest(filled, 1)[0].action.endswith(" (undo of 2)")
    undo(filled, 3)
    assert content(read(filled)) == content(changed)
    assert newest(filled, 1)[0].action.endswith(" (undo of 3)")


def test_what_is_undone_already_stays(filled):
    """Twice is once: no difference, hence no revision."""
    with editing(filled) as edit:
        several(edit)
    undo(filled, 2)
    after = without(filled, 2)
    assert differences(read(filled), after) == []
    undo(filled, 2)
    assert filled.revision() == 3


def test_other_fields_of_later_changes_stay(filled):
    """Only what the revision itself changed goes back."""
    with editing(filled) as edit:
        changed(edit)
    with editing(filled) as edit:
        now = edit.book.connector("smtp")
        edit.change(now, replace(now, description="moved", backlog=7))
    undo(filled, 2)
    assert read(filled).connector("smtp") == replace(SMTP, description="moved", backlog=7)


def test_field_that_was_changed_again_is_refused(filled):
    """The later change is named, not one that touched other fields."""
    with editing(filled) as edit:
        changed(edit)
    for values in ({"hosts": ("j.test",)}, {"description": "x"}):
        with editing(filled) as edit:
            now = edit.book.connector("smtp")
            edit.change(now, replace(now, **values))
    assert why(filled, 2) == (
        "hosts of connector smtp was changed since: connector set smtp by anna (revision 3); "
        "undo that first"
    )
    undo(filled, 3)
    undo(filled, 2)
    assert read(filled).connector("smtp") == replace(SMTP, description="x")


def test_added_record_that_was_changed_is_not_thrown_away(filled):
    """What was said of it since would be lost."""
    with editing(filled) as edit:
        added(edit)
    with editing(filled) as edit:
        tax = edit.book.agency("tax")
        edit.change(tax, replace(tax, description="x"))
    assert why(filled, 2) == (
        "agency tax was changed since: agency set tax by anna (revision 3); undo that first"
    )


def test_changed_record_that_is_gone_is_named(filled):
    """There is nothing left to put back."""
    with editing(filled) as edit:
        changed(edit)
    with editing(filled) as edit:
        edit.remove(CLERK, edit.book.connector("smtp"))
    assert why(filled, 2) == (
        "connector smtp was changed since: connector remove smtp by anna (revision 3); "
        "undo that first"
    )


def test_removed_record_whose_name_is_taken_again_is_refused(filled):
    """The new one is not overwritten."""
    with editing(filled) as edit:
        unlinked(edit)
    with editing(filled) as edit:
        edit.add(replace(CLERK, description="another"))
    assert "since: sender add clerk@a.test by anna (revision 3); undo that first" in why(filled, 2)


def test_setting_that_was_changed_again_is_refused(filled):
    """As any other."""
    for value in ("none", "postfix"):
        with editing(filled) as edit:
            edit.put_setting("default", value)
    assert why(filled, 2) == (
        "setting default was changed since: setting default by anna (revision 3); undo that first"
    )
    undo(filled, 3)
    undo(filled, 2)
    assert read(filled).settings == {}


def test_setting_that_was_empty_is_empty_again(filled):
    """Which is not the same as never said."""
    for value in ("", "smtp"):
        with editing(filled) as edit:
            edit.put_setting("null_sender", value)
    undo(filled, 3)
    assert read(filled).settings == {"null_sender": ""}
    undo(filled, 2)
    assert read(filled).settings == {}


def test_change_behind_the_back_of_history_is_refused(filled):
    """Someone used SQL: no revision can be named."""
    with editing(filled) as edit:
        changed(edit)
    with editing(filled) as edit:
        now = edit.book.connector("smtp")
        edit.change(now, replace(now, hosts=("j.test",)))
        edit.changes.clear()
    assert why(filled, 2) == "hosts of connector smtp was changed since: change it by hand"


def test_token_can_not_be_undone(filled):
    """Mail in the queue bears the new one."""
    with editing(filled) as edit:
        edit.put_setting("tokens", ["gAAAA"], shown="rotated")
    with pytest.raises(UndoError, match=r"gave the marker a new token.*--rotate-token"):
        without(filled, 2)


def test_change_of_an_older_version_is_refused(filled):
    """A field that has another name now."""
    with editing(filled) as edit:
        unlinked(edit)
        edit.changes[0].old["connector"] = edit.changes[0].old.pop("connectors")
    with pytest.raises(UndoError, match=r"older version of Pointsman.*sender clerk@a.test"):
        without(filled, 2)


def test_field_that_is_newer_than_the_change_has_its_default(filled):
    """History does not know it."""
    with editing(filled) as edit:
        unlinked(edit)
        del edit.changes[0].old["description"]
    undo(filled, 2)
    assert read(filled).senders == {CLERK.key: CLERK}


def test_agency_with_its_senders_comes_back_in_order(filled):
    """A sender alone would belong to nobody; the removal in the way is named."""
    before = read(filled)
    with editing(filled) as edit:
        edit.add(PAUSE)
    with editing(filled) as edit:
        edit.remove(CLERK)
    with editing(filled) as edit:
        edit.remove(COURT, PAUSE)
    assert why(filled, 3) == (
        "sender clerk@a.test would belong to agency court, which there is not; see agency remove "
        "court by anna (revision 4)"
    )
    undo(filled, 4)
    assert read(filled).pauses == {PAUSE.name: PAUSE}
    undo(filled, 3)
    undo(filled, 2)
    assert content(read(filled)) == content(before)


def test_what_is_used_meanwhile_is_not_taken_away(filled):
    """An agency with senders, a connector that is the default relay or takes another's mail."""
    other = Connector("other", hosts=("o.test",), state="live")
    with editing(filled) as edit:
        edit.add(Agency("tax", any_client=True), other)
    with editing(filled) as edit:
        edit.change(CLERK, replace(CLERK, agency="tax"), "link")
    assert why(filled, 2) == (
        "sender clerk@a.test would belong to agency tax, which there is not; see sender link "
        "clerk@a.test by anna (revision 3)"
    )
    undo(filled, 3)
    with editing(filled) as edit:
        edit.put_setting("default", "other")
    assert why(filled, 2) == (
        "the default relay would be connector other, which is not live; see setting default "
        "by anna (revision 5)"
    )
    undo(filled, 5)
    with editing(filled) as edit:
        edit.change(SMTP, replace(SMTP, state="disabled"))
    with editing(filled) as edit:
        edit.add(Diversion("smtp", "other", "anna", "2026-11-21T10:00:00+00:00", "", ""))
    assert why(filled, 2) == (
        "connector smtp would be diverted to other, which is not live; see diversion add smtp "
        "by anna (revision 8)"
    )


def test_pause_goes_with_what_is_paused(filled):
    """As with `agency remove`; and it comes back with it."""
    with editing(filled) as edit:
        added(edit)
    with editing(filled) as edit:
        edit.add(replace(PAUSE, name="agency tax"))
    undo(filled, 2)
    assert read(filled).pauses == {}
    undo(filled, 4)
    assert set(read(filled).pauses) == {"agency tax"}


def test_connector_whose_carriers_are_in_the_queue_comes_back(filled):
    """The tombstone stays, and leads to the connector again."""
    with editing(filled) as edit:
        edit.reserve_carriers([("court", "smtp")])
        edit.remove(CLERK, SMTP)
    undo(filled, 2)
    book = read(filled)
    assert book.connector("smtp") == SMTP
    assert book.carriers == {("court", "smtp")}
