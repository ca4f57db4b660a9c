"""What systemd hears of a daemon: each datagram to the letter, and when."""

import asyncio
import os
import socket

import pytest

from pointsman import notify_socket
from pointsman.notify_socket import Service, service


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A socket as systemd's, and its address as in $NOTIFY_SOCKET."""
    name = f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        own.bind(name if request.param == "path" else f"\0{name}")
        own.setblocking(False)
        yield own, name if request.param == "path" else f"@{name}"


def heard(manager):
    """The datagrams that arrived."""
    found = []
    while True:
        try:
            found.append(manager[0].recv(100))
        except BlockingIOError:
            return found


@pytest.fixture
def clock(monkeypatch):
    """The time, to be set."""
    now = [1000.0]
    monkeypatch.setattr(notify_socket.time, "monotonic", lambda: now[0])
    return now


def test_ready_and_stopping_are_said(manager):
    """To a socket with a path, and to an abstract one."""
    daemon = Service(manager[1])
    daemon.ready()
    daemon.stopping()
    assert heard(manager) == [b"READY=1", b"STOPPING=1"]


def test_pings_are_three_in_the_time_that_systemd_waits(manager, clock):
    """However often the loop comes round."""
    daemon = Service(manager[1], patience=30)
    for _ in range(300):
        daemon.alive()
        clock[0] += 0.1
    assert heard(manager) == [b"WATCHDOG=1"] * 3


def test_no_ping_while_one_part_hangs(manager, clock):
    """The other parts of the program can't cover for it."""
    daemon = Service(manager[1], patience=30, parts=("apply", "release"))
    daemon.alive("apply")
    assert heard(manager) == []
    daemon.alive("release")
    assert heard(manager) == [b"WATCHDOG=1"]
    for _ in range(100):
        clock[0] += 1
        daemon.alive("apply")
    assert heard(manager) == []
    daemon.alive("release")
    assert heard(manager) == [b"WATCHDOG=1"]


def test_loop_that_is_blocked_pings_no_more(manager):
    """The sign of life comes from the event loop, not from a thread beside it."""

    async def block():
        task = asyncio.create_task(notify_socket.beat(Service(manager[1], patience=0.001)))
        await asyncio.sleep(0)
        first = heard(manager)
        notify_socket.time.sleep(0.01)  # what must never happen in a loop
        blocked = heard(manager)
        task.cancel()
        return first, blocked

    assert asyncio.run(block()) == ([b"WATCHDOG=1"], [])


def test_service_without_watchdog_is_silent(manager):
    """WatchdogSec= is not set."""
    daemon = service(environment={"NOTIFY_SOCKET": manager[1]})
    daemon.alive()
    assert heard(manager) == []


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@nobody"])
def test_nobody_who_listens_is_no_trouble(address):
    """Mail goes on."""
    daemon = Service(address, patience=1)
    daemon.ready()
    daemon.alive()
    daemon.stopping()


@pytest.mark.parametrize(
    ("pid", "limit", "patience"),
    [
        (None, "30000000", 30.0),
        ("own", "1500000", 1.5),
        (1, "30000000", 0.0),  # meant for another process
        (None, "", 0.0),
        (None, "soon", 0.0),
    ],
)
def test_environment_is_read_and_emptied(pid, limit, patience):
    """As sd_watchdog_enabled(3) reads it; no child may speak for us."""
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": limit, "PATH": "/bin"}
    if pid is not None:
        environment["WATCHDOG_PID"] = str(os.getpid() if pid == "own" else pid)
    found = service("a", "b", environment=environment)
    assert (found.address, found.patience, found.parts) == ("@x", patience, ("a", "b"))
    assert environment == {"PATH": "/bin"}
