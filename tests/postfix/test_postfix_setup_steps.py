"""The disk is full at each step of setup: everything is as it was, the senders' table too."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman.postfix import apply
from tests.postfix.interrupted_apply import FILLER
from tests.postfix.test_postfix_apply_steps import (
    DONE,
    FAILED,
    FEWEST,
    NO_SUCH_STEP,
    Moves,
    assert_all_at,
    make_room,
    on_small_disks,
    send_three,
    two_providers,
)

SCRIPT = Path(__file__).with_name("interrupted_setup.py")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    """Ten applies a minute would wait for each other's reloads."""
    monkeypatch.setattr(apply, "RELOAD_INTERVAL", 0.0)


def state(city):
    """What Postfix and the daemons go by: each file, and the rows of the senders' table."""
    folder = city.postfix.config_directory
    table = folder / "pointsman" / "sender_transport"
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != FILLER]
    found = {p: (p.read_bytes(), p.stat().st_mode) for p in files if p.suffix != ".lmdb"}
    rows = city.postfix.postfix("postmap", "-s", f"lmdb:{table}")
    return found, rows, (city.postfix.state_directory / "snapshot.json").read_bytes()


def test_disk_full_at_each_step():
    """From observing to enforcing: nobody is led before all is well, and no second name stays."""
    with two_providers(daemons=("milter",)) as city, on_small_disks(city):
        Moves(city)
        city.postfix.cli("setup", "--observe", "--no-probe")
        failures = 0
        for number in itertools.count(1):
            before = state(city)
            command = [sys.executable, "-m", "tests.postfix.interrupted_setup"]
            ended = subprocess.run(
                [*command, str(city.postfix.config_file), str(number)],
                capture_output=True,
                text=True,
                check=False,
            )
            where = f"step {number}: {ended.stderr}"
            assert ended.returncode in (DONE, FAILED, NO_SUCH_STEP), where
            if ended.returncode == NO_SUCH_STEP:
                break
            if ended.returncode == FAILED:
                failures += 1
                assert "all is as it was: " in ended.stderr, where
                assert state(city) == before, where
            make_room(city)
            city.postfix.cli("setup", "--observe", "--no-probe")
        assert failures > FEWEST
        city.settle()
        send_three(city, "enforced")
        assert_all_at(city, "enforced", "of-court")
