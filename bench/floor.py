"""Builds and runs the do-nothing milter in C, and proves that the race is fair."""

import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.instance import answers, wait_until

SOURCE = Path(__file__).with_name("floor.c")

# SMFIC_OPTNEG, offering every action and step that Postfix 3.7 offers.
_OFFER = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
_FIXED = 13  # bytes of an answer before its macro lists


@dataclass(frozen=True)
class Floor:
    """It, running."""

    socket: Path
    pid: int


@contextmanager
def floor_milter(folder: Path, like: Path) -> Iterator[Floor]:
    """Compile it and run it, asking for the same events as the milter at `like`."""
    program, path = folder / "floor", folder / "floor.sock"
    subprocess.run(["gcc", "-O2", "-o", str(program), str(SOURCE), "-lmilter"], check=True)
    answer = _negotiated(like)
    command = [str(program), f"unix:{path}", *_arguments(answer)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        wait_until(lambda: answers(path), "the C milter to listen")
        if _negotiated(path) != answer:
            raise RuntimeError(f"the C milter asks for {_negotiated(path)!r}, not for {answer!r}")
        yield Floor(path, process.pid)
    finally:
        process.kill()
        process.wait()


def _arguments(answer: bytes) -> Iterator[str]:
    """Actions, steps, and for each stage that has one its list of macros."""
    _, _, actions, steps = struct.unpack("!cIII", answer[:_FIXED])
    yield from (str(actions), str(steps))
    rest = answer[_FIXED:]
    while rest:
        (stage,) = struct.unpack("!I", rest[:4])
        macros, _, rest = rest[4:].partition(b"\0")
        yield from (str(stage), macros.decode())


def _negotiated(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(_OFFER)
        (size,) = struct.unpack("!I", connection.recv(4, socket.MSG_WAITALL))
        return connection.recv(size, socket.MSG_WAITALL)
