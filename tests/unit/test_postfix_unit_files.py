"""The unit files that setup writes: whose they are, and what is to be done to them."""

from pathlib import Path

import pytest

from pointsman.cli.run import PROGRAMS
from pointsman.postfix import unit_files
from pointsman.postfix.unit_files import UnitsError, changes, hidden, wanted


@pytest.fixture
def visible(monkeypatch, tmp_path):
    """A machine without packages of ours, where the units see everything but one folder."""
    monkeypatch.setattr(unit_files, "OF_PACKAGES", (tmp_path / "packages",))
    monkeypatch.setattr(unit_files, "HIDDEN", (tmp_path / "hidden",))
    return tmp_path


def at(monkeypatch, folder):
    """The program of an installation in this folder."""
    folder.mkdir(parents=True)
    program = folder / "pointsman"
    program.touch()
    monkeypatch.setattr(unit_files, "sysconfig", type("", (), {"get_path": lambda _: folder}))
    return program


def test_units_start_the_installed_program(visible, monkeypatch):
    """Each its own daemon; what systemd would expand in the path is written so that it does not."""
    program = at(monkeypatch, visible / "50% more")
    units = wanted()
    spelled = str(program).replace("%", "%%")
    for name in PROGRAMS:
        unit = units.pop(f"pointsman-{name}.service")
        assert f'\nExecStart="{spelled}" run {name}\n' in unit
        assert "/usr/bin/pointsman" not in unit
    assert list(units) == ["pointsman.target"]


def test_units_of_a_package_are_enough(visible):
    """None is wanted, whatever program runs."""
    (visible / "packages").mkdir()
    (visible / "packages" / "pointsman.target").touch()
    assert wanted() == {}


def test_program_that_is_not_there_is_named(visible, monkeypatch):
    """Run from a folder, say, with `python -m`."""
    at(monkeypatch, visible / "bin").unlink()
    with pytest.raises(UnitsError, match=f"no {visible}/bin/pointsman to start: .* --no-units"):
        wanted()


def test_hidden_program_is_refused(visible, monkeypatch):
    """Also behind a link."""
    at(monkeypatch, visible / "hidden" / "bin")
    link = visible / "link"
    link.symlink_to(visible / "hidden")
    assert list(hidden([link, visible])) == [visible / "hidden"]
    with pytest.raises(UnitsError, match=r"don't see .*/hidden/bin/pointsman"):
        wanted()


def made(units, folder):
    """The changes, made."""
    found = changes(units, folder)
    found.make()
    return found


def test_files_follow_what_is_wanted(tmp_path):
    """Written once; replaced when they should say something else; removed when unwanted."""
    path = tmp_path / "pointsman-a.service"
    assert list(made({path.name: "one\n"}, tmp_path).write) == [path]
    assert path.read_text().endswith(").\none\n")
    assert not changes({path.name: "one\n"}, tmp_path)
    assert list(made({path.name: "two\n"}, tmp_path).write) == [path]
    assert made({}, tmp_path).words() == [f"remove {path}"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mine", ["by hand\n", "", "one more\n"])
def test_file_of_the_admin_stays(tmp_path, mine):
    """Written by hand, emptied, or ours with another line; others' units are not looked at."""
    (tmp_path / "other.service").touch()
    path = tmp_path / "pointsman-a.service"
    made({path.name: "one\n"}, tmp_path)
    path.write_text(path.read_text() + mine if mine == "one more\n" else mine)
    for units in ({path.name: "two\n"}, {}):
        (said,) = made(units, tmp_path).words()
        assert said.startswith(f"not touched: {path} (edited")
    assert Path(path).read_text().endswith(mine)


def test_nothing_is_done_where_nothing_is():
    """A folder that is not there."""
    assert changes({}, Path("/nonexistent")).words() == []
