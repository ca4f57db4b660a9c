"""The layout's one trap: folders at the root must not hide pymilter's C module."""

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_pymilter_keeps_its_name():
    """`import milter` finds pymilter's C module, even from the repository root."""
    assert import_module("milter").__file__.endswith(".so")


@pytest.mark.parametrize("folder", ["milter", "policy", "cli"])
def test_folder_is_no_top_level_package(folder):
    """A `milter/__init__.py` at the root would hide pymilter's C module."""
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("folder", ["milter", "policy", "cli"])
def test_link_into_the_package_is_relative(folder):
    """A clone anywhere finds the code behind the link."""
    assert (ROOT / "src" / "pointsman" / folder).readlink() == Path("../..") / folder


def test_link_to_the_units_is_relative():
    """By it contrib/systemd is in every wheel: tests/postfix/test_postfix_pip.py installs one."""
    assert (ROOT / "src" / "pointsman" / "systemd").readlink() == Path("../../contrib/systemd")
