"""`pointsman run milter`: opens the socket and serves Postfix until told to stop."""

import os
import signal
import stat
import threading
from pathlib import Path

import Milter

from pointsman import logs, notify_socket
from pointsman.config import Config
from pointsman.current import Current
from pointsman.errors import PointsmanError
from pointsman.milter.asking import Policy
from pointsman.milter.session import Session
from pointsman.postfix.probe import milter_answers

TIMEOUT = 600  # seconds of silence from Postfix
PAUSE = 0.05  # seconds between looks whether libmilter serves already


def serve(config: Config) -> None:
    """Run the milter; returns when it gets SIGTERM."""
    path = config.milter_socket
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise PointsmanError(f"{path} is there and is no socket: move it away")
    if not path.parent.is_dir():
        raise PointsmanError(f"there is no folder {path.parent}: run `pointsman setup`")
    if path.exists() and milter_answers(path):
        raise PointsmanError(f"a milter is already serving {path}")
    logs.start("milter", config.log)
    current = Current(config.snapshot, config.health)
    current.refresh()
    # libmilter waits for these on a thread of its own; no other may get them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGINT})
    current.watch()
    daemon = notify_socket.service()
    if daemon.address:
        threading.Thread(target=_tell, args=(daemon, path), daemon=True).start()
    Session.current = current
    Session.policy = Policy(str(config.policy_socket), config.policy.on_failure)
    Milter.factory = Session
    Milter.set_flags(Milter.CHGHDRS | Milter.ADDHDRS | Milter.CHGFROM | Milter.QUARANTINE)
    Milter.set_exception_policy(Milter.TEMPFAIL)
    os.umask(0o007)  # the folder's group, Postfix's, may connect
    logs.started(f"milter at {config.milter.socket}")
    try:
        Milter.runmilter("pointsman", config.milter.socket, TIMEOUT)
    except Milter.error as error:
        raise PointsmanError(f"can't serve {config.milter.socket}: {error}") from None
    daemon.stopping()


def _tell(daemon: notify_socket.Service, path: Path) -> None:
    """Ask as Postfix does, so that what systemd hears is what mail meets.

    The answer takes libmilter's threads and Python's: if either hangs, there is none.
    """
    pause = threading.Event()
    while not milter_answers(path):
        pause.wait(PAUSE)
    daemon.ready()
    while daemon.patience:
        if milter_answers(path):
            daemon.alive()
        pause.wait(daemon.patience / 6)
