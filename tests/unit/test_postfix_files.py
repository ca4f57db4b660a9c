"""Files are whole or not there, and a backup brings back what was, however full the disk is."""

import os
from pathlib import Path

import pytest

from pointsman.postfix import files, sender_table


@pytest.fixture
def kept(tmp_path):
    """One file that is there, and one that is not."""
    old = tmp_path / "old"
    old.write_text("before")
    old.chmod(0o640)
    return old, tmp_path / "new"


def names(folder):
    """What is in the folder."""
    return sorted(path.name for path in folder.iterdir())


def test_backup_brings_back_the_very_file(kept, tmp_path):
    """Same inode, so same owner, mode and time; and nothing of the backup stays."""
    old, new = kept
    before = old.stat()
    backup = files.Backup(kept)
    files.write(old, "after", 0o644)
    files.write(new, "after", 0o644)
    assert [backup.restore(path) for path in kept] == [True, True]
    backup.forget()
    assert old.read_text() == "before"
    after = old.stat()
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (
        before.st_ino,
        before.st_mode,
        before.st_mtime_ns,
    )
    assert names(tmp_path) == ["old"]


def test_backup_touches_nothing_where_nothing_changed(kept, tmp_path):
    """Nor does Postfix need a reload then."""
    backup = files.Backup(kept)
    assert [backup.restore(path) for path in kept] == [False, False]
    backup.forget()
    assert names(tmp_path) == ["old"]


def test_backup_of_one_that_was_killed_is_in_nobodys_way(kept, tmp_path):
    """The next one keeps what is there by then."""
    old, _ = kept
    files.Backup(kept)
    files.write(old, "later", 0o644)
    backup = files.Backup(kept)
    files.write(old, "after", 0o644)
    backup.restore(old)
    backup.forget()
    assert old.read_text() == "later"
    assert names(tmp_path) == ["old"]


def test_file_that_can_not_be_written_leaves_nothing(kept, tmp_path, monkeypatch):
    """The old one stays, and no half of a secret beside it."""
    old, _ = kept
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        files.write(old, "after", 0o644)
    assert old.read_text() == "before"
    assert names(tmp_path) == ["old"]


def fail(_descriptor):
    """What a full disk says, at the latest here."""
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("text", "age", "right"), [("a b\n", 1, True), ("a b\n", -1, False)])
def test_table_older_than_its_source_was_never_read(tmp_path, text, age, right):
    """Between the two an apply was killed, or somebody edited and forgot postmap."""
    source, table = tmp_path / "sender_transport", tmp_path / "sender_transport.lmdb"
    assert not sender_table.holds(source, text)
    source.write_text(text)
    assert not sender_table.holds(source, text)
    table.touch()
    now = source.stat().st_mtime
    os.utime(table, (now + age, now + age))
    assert sender_table.holds(source, text) is right
    assert not sender_table.holds(source, "other\n")
    assert Path(source).read_text() == text


def test_undo_brings_back_while_another_backup_comes_and_goes(kept, tmp_path):
    """Setup applies within: each has second names of its own, and setup's don't look stale."""
    old, new = kept
    undo = files.Undo()
    undo.callback(undo.keep(kept).restore_all)
    files.write(old, "by setup", 0o644)
    assert files.present(tmp_path) == [old]
    inner = files.Backup(kept)
    files.write(old, "by apply", 0o644)
    files.write(new, "by apply", 0o644)
    inner.restore_all()
    inner.forget()
    assert old.read_text() == "by setup"
    undo.close()
    assert (old.read_text(), names(tmp_path)) == ("before", ["old"])


def test_undo_that_is_not_needed_leaves_no_second_name(kept, tmp_path):
    """What was done stays."""
    undo = files.Undo()
    undo.callback(undo.keep(kept).restore_all)
    files.write(kept[0], "after", 0o644)
    undo.done()
    assert (kept[0].read_text(), names(tmp_path)) == ("after", ["old"])
