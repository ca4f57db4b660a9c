"""What the shell offers when somebody types: real names, and never a complaint."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from time import monotonic

import pytest

from pointsman.cli.main import COMPLETING
from pointsman.store.database import BUSY_TIMEOUT

PATIENCE = 20.0  # seconds: a busy machine is no failure


def ask(line, config=None, instruction="zsh_complete"):
    """Run the program as the shell's function does; what it offers, of each the word."""
    words = line.split()
    variables = {COMPLETING: instruction, "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    if line.endswith(" "):
        variables["COMP_CWORD"] = str(len(words))
    if config is not None:
        variables["POINTSMAN_CONFIG"] = str(config)
    result = subprocess.run(
        [sys.executable, "-c", "from pointsman.cli.main import cli; cli(prog_name='pointsman')"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert result.stderr == ""
    return list(filter(None, result.stdout.split("\n")[1::3]))


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("pointsman connector show ", ["fresh", "relay", "smtp", "stopped"]),
        ("pointsman connector enable s", ["smtp", "stopped"]),
        ("pointsman connector divert smtp --to r", ["relay"]),
        ("pointsman connector pause st", ["stopped"]),
        ("pointsman agency set co", ["court"]),
        ("pointsman agency resume e", ["empty"]),
        ("pointsman sender list --agency c", ["court"]),
        ("pointsman sender link @x.test --connector re", ["relay"]),
        ("pointsman sender unlink clerk", ["clerk@a.test"]),
        ("pointsman sender unlink @", ["@a.test", "@stopped.test"]),
    ],
)
def test_names_of_the_database_are_offered(admin, line, names):
    """Wherever a name stands that must be there already."""
    assert ask(line, admin.config_file) == names


@pytest.mark.parametrize(
    "line",
    ["pointsman connector add s", "pointsman sender link cl", "pointsman connector show s%"],
)
def test_nothing_is_offered_for_a_new_name(admin, line):
    """Nor for a pattern: % is a letter like any other."""
    assert ask(line, admin.config_file) == []


def test_config_option_counts(admin):
    """It names the database that is asked."""
    line = f"pointsman --config {admin.config_file} agency show d"
    assert ask(line) == ["default"]


def test_commands_are_offered_without_a_database(tmp_path):
    """The words of the program itself."""
    assert ask("pointsman conn", tmp_path / "none") == ["connector"]
    assert "--agency" in ask("pointsman sender list --", tmp_path / "none")


@pytest.mark.parametrize("text", [None, "no: such: yaml", "database: sqlite:////nowhere/pm.db"])
def test_trouble_is_silent(tmp_path, text):
    """Nobody wants a traceback on the line that is being typed."""
    path = tmp_path / "pointsman.yaml"
    if text is not None:
        path.write_text(text)
    assert ask("pointsman agency show ", path) == []


def test_database_that_is_locked_keeps_nobody_waiting(admin):
    """The shell goes on long before SQLite would give up."""
    with closing(sqlite3.connect(admin.database, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        start = monotonic()
        assert ask("pointsman agency show ", admin.config_file) == []
        assert monotonic() - start < BUSY_TIMEOUT


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_function_for_each_shell_is_there(shell):
    """As packaging/build installs it."""
    result = subprocess.run(
        [sys.executable, "-c", "from pointsman.cli.main import cli; cli(prog_name='pointsman')"],
        env={**os.environ, COMPLETING: f"{shell}_source"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{COMPLETING}={shell}_complete" in result.stdout
