"""Applies as `pointsman apply` does, and comes to grief before its n-th step.

A step is whatever changes something: a file that is written, renamed or removed, a
Postfix command that edits or reloads. They are counted by Python's own audit events,
so that none is left out that somebody adds later.
"""

import os
import signal
import sys
from pathlib import Path

from pointsman.config import load
from pointsman.errors import PointsmanError
from pointsman.postfix import apply
from pointsman.store.database import Store

FILE_EVENTS = ("os.rename", "os.remove", "os.link")
FILLER = "filler"
EDITS = ("-e", "-X", "-M", "-MX", "-P", "-F")


def is_step(event, arguments, folders):
    """Whether an audit event changes something of ours or of Postfix's."""
    if event == "open":
        path, _, flags = arguments
        return bool(flags & (os.O_WRONLY | os.O_RDWR)) and is_within(path, folders)
    if event == "subprocess.Popen":
        return is_edit([str(word) for word in arguments[1]])
    return event in FILE_EVENTS and is_within(arguments[0], folders)


def is_within(path, folders):
    """Whether it is a file that an apply may change; locks are empty."""
    return str(path).startswith(folders) and not str(path).endswith(".lock")


def is_edit(command):
    """Whether a Postfix command does more than to answer."""
    program, _, _, *words = command
    if program == "postconf":
        return len(words) > 1 and words[0] in EDITS
    if program == "postmap":
        return words[0] not in ("-q", "-s")
    return program in ("postfix", "postsuper", "postqueue", "postkick")


def fill(folder):
    """Leave no room on a file system."""
    file = os.open(f"{folder}/{FILLER}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for size in (1 << 16, 1 << 12, 1):
        try:
            while os.write(file, b"x" * size):
                pass
        except OSError:
            continue
    os.close(file)


class Grief:
    """Counts the steps, and comes before the n-th."""

    def __init__(self, kind, number, folders):
        self.kind, self.number, self.folders = kind, number, folders
        self.seen, self.busy = 0, False

    def __call__(self, event, arguments):
        if self.busy or not is_step(event, arguments, self.folders):
            return
        self.seen += 1
        if self.seen == self.number:
            self.busy = True
            print(self.number, event, *arguments[:2], file=sys.stderr, flush=True)  # noqa: T201
            self.happen()

    def happen(self):
        """Be killed, or have the disk full from now on."""
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        for folder in self.folders:
            fill(folder)


def main(path, kind, number):
    """Exit 0 if all went well, 1 if the apply failed, 3 if there is no such step; or die."""
    config = load(Path(path))
    apply.RELOAD_INTERVAL = 0.0
    applier = apply.Applier(config, Store(config))
    folders = (str(config.postfix.config_directory), str(config.state_directory))
    grief = Grief(kind, number, folders)
    sys.addaudithook(grief)
    try:
        applier.apply()
    except PointsmanError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0 if grief.seen >= number else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
