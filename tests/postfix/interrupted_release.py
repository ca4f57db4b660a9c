"""Lets held mail go, and stops what is paused, as the agent does; dies before its n-th step.

A step is a Postfix command, or a question to the policy daemon.
"""

import os
import signal
import sys
import threading
from pathlib import Path

from pointsman.config import load
from pointsman.control import Control
from pointsman.postfix.conf import Instance
from pointsman.release import Release


def dying(number):
    """Wrap what talks to others: the n-th call is the end."""
    seen = 0

    def wrap(kind, name):
        call = getattr(kind, name)

        def counted(self, *arguments, **more):
            nonlocal seen
            seen += 1
            if seen == number:
                print(number, *arguments, file=sys.stderr, flush=True)  # noqa: T201
                os.kill(os.getpid(), signal.SIGKILL)
            return call(self, *arguments, **more)

        setattr(kind, name, counted)

    wrap(Instance, "_run")
    wrap(Control, "ask")


if __name__ == "__main__":
    dying(int(sys.argv[2]))
    Release(load(Path(sys.argv[1])), threading.Event(), lambda _name: None).step()
