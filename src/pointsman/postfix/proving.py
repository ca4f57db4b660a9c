"""Proves a wiring: every smtpd service greets as before, and the daemons behind it answer."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pointsman.config import Config
from pointsman.control import Control, ControlError
from pointsman.errors import PointsmanError
from pointsman.postfix import probe
from pointsman.postfix.conf import Instance
from pointsman.postfix.maillog import log_of

PATIENCE = 20.0  # seconds for a daemon to start, and for smtpd to get over a reload
PAUSE = 0.05
_FATAL = re.compile(r": fatal: (.*)$", re.MULTILINE)


class ProofError(PointsmanError):
    """Mail would not get through."""


@contextmanager
def daemons(config: Config, say: Callable[[str], None]) -> Iterator[None]:
    """Have milter and policy at work within: those that run already, else borrowed ones."""
    away = [name for name, answers in _DAEMONS.items() if not answers(config)]
    with ExitStack() as borrowed:
        for name in away:
            say(f"start {name} for the proof")
            borrowed.enter_context(_running(config, name))
        yield


def prove(config: Config, instance: Instance, before: Mapping[str, str]) -> None:
    """Insist that what answered `before` answers now.

    Raises ProofError, with Postfix's own words where the log has them.
    """
    path = log_of(instance)
    mark = path.stat().st_size if path.exists() else 0
    for name, answers in _DAEMONS.items():
        if not answers(config):
            raise ProofError(f"the {name} daemon does not answer")
    for service, greeting in before.items():
        now = probe.greeting_of(instance, service)
        if greeting.startswith("220") and not now.startswith("220"):
            raise ProofError(f"{service} does not greet any more: {now or _fatal(path, mark)}")


def _fatal(path: Path, mark: int) -> str:
    try:
        with path.open(errors="replace") as file:
            file.seek(mark)
            found = _FATAL.findall(file.read())
    except OSError:
        found = []
    return str(found[-1]) if found else "it hangs up; see the mail log for its reason"


def _milter_answers(config: Config) -> bool:
    return probe.milter_answers(config.milter_socket)


def _policy_answers(config: Config) -> bool:
    try:
        with Control(config.control_socket) as control:
            control.ask("state", counters=[])
    except ControlError:
        return False
    return True


_DAEMONS: dict[str, Callable[[Config], bool]] = {
    "policy": _policy_answers,
    "milter": _milter_answers,
}


@contextmanager
def _running(config: Config, name: str) -> Iterator[None]:
    command = [sys.executable, "-m", "pointsman.cli.main"]
    command += ["--config", str(config.path)] if config.path.exists() else []
    child = subprocess.Popen(  # noqa: S603
        [*command, "run", name], stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_for(config, name, child)
        yield
    finally:
        child.terminate()
        child.communicate()


def _wait_for(config: Config, name: str, child: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + PATIENCE
    while not _DAEMONS[name](config):
        if child.poll() is not None:
            words = child.stderr.read().strip() if child.stderr else ""
            words = words.removeprefix("Error: ") or f"status {child.returncode}"
            raise ProofError(f"the {name} daemon does not run: {words}")
        if time.monotonic() > deadline:
            raise ProofError(f"the {name} daemon does not answer after {PATIENCE:g} s")
        time.sleep(PAUSE)
