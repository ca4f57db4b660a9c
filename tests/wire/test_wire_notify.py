"""What systemd hears of the real daemons: ready when they serve, alive, stopping."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from pointsman.postfix.probe import milter_answers
from tests.wire.policy_process import PATIENCE, Peer, request

WATCHDOG = 600_000  # us: a ping every 200 ms


def policy_answers(path):
    """Whether a question gets an answer at once."""
    peer = Peer(path)
    try:
        return peer.ask(request("4q1", "free")) == "DUNNO"
    finally:
        peer.close()


ANSWERS = {"milter": milter_answers, "policy": policy_answers}


@pytest.fixture
def manager(tmp_path):
    """A socket as systemd's: what arrives, one datagram after the other."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        own.bind(f"{tmp_path}/notify")
        own.settimeout(PATIENCE)
        yield own


@pytest.fixture
def start(daemon, tmp_path):
    """Start a program as systemd does; its configuration is that of the policy daemon."""
    with (daemon.folder / "pointsman.yaml").open("a") as config, ExitStack() as running:
        config.write(f"milter: {{socket: 'unix:{daemon.folder}/milter.sock'}}\n")
        config.flush()

        def run(program):
            command = [sys.executable, "-m", "pointsman.cli.main"]
            command += ["--config", str(daemon.folder / "pointsman.yaml"), "run", program]
            told = {"NOTIFY_SOCKET": f"{tmp_path}/notify", "WATCHDOG_USEC": str(WATCHDOG)}
            process = subprocess.Popen(command, env={**os.environ, **told})
            running.enter_context(process)
            running.callback(process.kill)
            return process

        yield run


@pytest.mark.parametrize("program", ANSWERS)
def test_ready_is_said_when_the_daemon_serves(daemon, manager, start, program):
    """Then it is alive again and again, and on SIGTERM its end is announced."""
    process = start(program)
    assert manager.recv(100) == b"READY=1"
    assert ANSWERS[program](daemon.folder / f"{program}.sock")
    assert [manager.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    process.send_signal(signal.SIGTERM)
    while (last := manager.recv(100)) == b"WATCHDOG=1":
        pass
    assert last == b"STOPPING=1"
    assert process.wait(PATIENCE) == 0


def test_milter_whose_socket_is_gone_is_not_alive(daemon, manager, start):
    """The pings ask at the door that mail comes in by."""
    start("milter")
    assert [manager.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]
    (daemon.folder / "milter.sock").unlink()
    manager.settimeout(2 * WATCHDOG / 1e6)
    with pytest.raises(TimeoutError):
        _ = [manager.recv(100) for _ in range(5)]
