"""Asks running daemons whether they answer: `postfix check` can't tell.

A configuration that passes the check may still keep smtpd from starting, in which
case master accepts the connection and closes it without a word.
"""

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from pointsman.postfix.conf import Instance, PostfixError

TIMEOUT = 10.0  # seconds

# SMFIC_OPTNEG: length, command, protocol version, actions, steps.
_NEGOTIATE = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)


def probe_smtpd(instance: Instance) -> None:
    """Raise PostfixError for an smtpd service that gives no greeting."""
    for name, where, reply in silent(instance):
        raise PostfixError(
            f"smtpd service {name} does not greet at {where} "
            f"({reply or 'it hangs up'}): see the mail log for its reason"
        )


def silent(instance: Instance) -> Iterator[tuple[str, str, str]]:
    """Each smtpd service that does not greet: its name, where it listens, what it says."""
    everywhere = instance.parameters("inet_interfaces")["inet_interfaces"]
    for name, entry in instance.services().items():
        service, kind, *_ = entry.split()
        if kind != "inet" or entry.split()[7] != "smtpd" or "wrappermode=yes" in entry:
            continue
        host, port = _address(service, everywhere)
        greeting = _greeting(host, port)
        # 220, or 4xx while the milter is not up yet: smtpd itself is there.
        if greeting[:1] not in ("2", "4"):
            yield name, f"{host}:{port}", greeting


def _address(service: str, everywhere: str) -> tuple[str, str]:
    host, colon, port = service.rpartition(":")
    if colon:
        return host.strip("[]"), port
    first = everywhere.replace(",", " ").split()[0]
    return ("127.0.0.1" if first in ("all", "loopback-only") else first.strip("[]")), service


def _greeting(host: str, port: str) -> str:
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]
        with socket.create_connection(address[:2], TIMEOUT) as connection:  # type: ignore[arg-type]
            greeting = connection.recv(512).decode("ascii", "replace").strip()
            if greeting:
                connection.sendall(b"QUIT\r\n")
                connection.recv(512)
            return greeting
    except OSError as error:
        return str(error)


def milter_answers(path: Path) -> bool:
    """Whether a milter negotiates at a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT)
        try:
            connection.connect(str(path))
            connection.sendall(_NEGOTIATE)
            answer = connection.recv(17)
        except OSError:
            return False
    return answer[4:5] == b"O"
