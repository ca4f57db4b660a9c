"""Setup at a terminal asks which smtpd services ask the milter, and without one it does not."""

import os
import pty
import shutil
import subprocess

import pytest

from lab.city import new_folder
from lab.instance import Instance
from pointsman.config import load
from pointsman.postfix import wiring

OTHERS = """
submission inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
127.0.0.1:10025 inet n - n - - smtpd
  -o receive_override_options=no_milters
smtpd pass - - n - - smtpd
"""
QUESTION = "Services that ask Pointsman"
PRINTED = """\
127.0.0.1:10025  127.0.0.1, port 10025       no      has -o receive_override_options=no_milters
smtpd            behind postscreen           yes     -
"""


@pytest.fixture
def postfix():
    """An instance with four services, of which one keeps milters away; it does not run."""
    folder = new_folder()
    instance = Instance(folder / "postfix")
    instance.create()
    with (instance.config_directory / "master.cf").open("a") as file:
        file.write(OTHERS)
    yield instance
    shutil.rmtree(folder)


def typed(postfix, text, *options):
    """Setup by somebody who types this: its status, what is on the screen, what was chosen."""
    leader, follower = pty.openpty()
    os.write(leader, text.encode())
    result = subprocess.run(
        postfix.command("setup", *options),
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    os.close(leader)
    os.close(follower)
    chosen = wiring.chosen_before(load(postfix.config_file)).services
    return result.returncode, result.stdout, chosen


def test_enter_is_the_default(postfix):
    """Each service is shown with its address and why not; a later setup does not ask again."""
    status, screen, chosen = typed(postfix, "\n")
    assert (status, chosen) == (0, ())
    assert " ".join(PRINTED.split()) in " ".join(screen.split())
    assert f"{QUESTION} [{postfix.port},submission,smtpd]: " in screen
    assert screen.index(QUESTION) < screen.index("main.cf: ")
    assert "not asked: 127.0.0.1:10025 (receive_override_options=no_milters)" in screen
    assert QUESTION not in typed(postfix, "submission\n")[1]


def test_answer_is_taken(postfix):
    """A name that is not there is asked for again; a service without milters may be chosen."""
    answers = "smtps\n127.0.0.1:10025, submission\n"
    status, screen, chosen = typed(postfix, answers, "--observe")
    assert (status, chosen) == (0, ("127.0.0.1:10025", "submission"))
    assert "there is no smtpd service smtps in master.cf: choose from" in screen
    assert screen.count(QUESTION) == 2
    assert "not asked: smtpd\n" in screen


def test_nobody_is_asked_who_has_said_it(postfix):
    """With --services; and --dry-run changes nothing anyway."""
    assert QUESTION not in typed(postfix, "", "--dry-run")[1]
    _, screen, chosen = typed(postfix, "", "--services", "submission")
    assert QUESTION not in screen
    assert chosen == ("submission",)


def test_nobody_answers_nothing_is_done(postfix):
    """Ctrl-C at the question (here: the end of the input)."""
    before = (postfix.config_directory / "main.cf").read_bytes()
    status, screen, _ = typed(postfix, "\x04")
    assert (status, screen.endswith("Aborted!\n")) == (1, True)
    assert (postfix.config_directory / "main.cf").read_bytes() == before
    assert not postfix.state_directory.exists()


def test_without_a_terminal_the_default_is_said(postfix):
    """As in a script: who does not ask, and why."""
    result = postfix.run_cli("setup")
    assert QUESTION not in result.stdout
    assert "not asked: 127.0.0.1:10025 (receive_override_options=no_milters)" in result.stdout


def test_one_service_is_no_choice(postfix):
    """Nobody is asked what has one answer."""
    path = postfix.config_directory / "master.cf"
    path.write_text(path.read_text().removesuffix(OTHERS))
    status, screen, _ = typed(postfix, "")
    assert status == 0, screen
    assert QUESTION not in screen
