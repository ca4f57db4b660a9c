"""The README's commands, word for word, on a machine where its host names exist."""

import subprocess
import sys

import pytest

from lab.readme import ROOT, commands, refused


def test_readme_commands():
    """Each command of `Use it` works as printed, and mail then takes the ways set up."""
    assert len(commands()) >= 10
    if reason := refused():
        pytest.skip(f"this machine gives no namespaces: {reason}")
    result = subprocess.run(
        [sys.executable, "-m", "lab.readme"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "certificate of smtp.court.example verified" in result.stdout
