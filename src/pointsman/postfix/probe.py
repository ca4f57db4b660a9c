"""Asks running daemons whether they answer: `postfix check` can't tell.

A configuration that passes the check may still keep smtpd from starting, in which
case master accepts the connection and closes it without a word.
"""

import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

from pointsman.postfix.conf import Instance, PostfixError
from pointsman.postfix.without import options

TIMEOUT = 10.0  # seconds

# SMFIC_OPTNEG: length, command, protocol version, actions, steps.
_NEGOTIATE = struct.pack("!IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)


def probe_smtpd(instance: Instance) -> None:
    """Raise PostfixError for an smtpd service that gives no greeting."""
    for service, where, greeting in silent(instance):
        raise PostfixError(
            f"smtpd service {service} does not greet at {where} ({greeting or 'it hangs up'}): "
            "see the mail log for its reason"
        )


def silent(instance: Instance) -> Iterator[tuple[str, str, str]]:
    """Each smtpd service that does not greet: its name, where it listens, what it says."""
    for service, greeting in greetings(instance).items():
        # 220, or 4xx while the milter is not up yet: smtpd itself is there.
        if greeting[:1] not in ("2", "4"):
            yield service, ":".join(_place(instance, service)), greeting


def greetings(instance: Instance) -> dict[str, str]:
    """What each service that speaks SMTP to clients says first; '' or an error if nothing."""
    return {
        service: greeting_of(instance, service)
        for service, entry in instance.services().items()
        if entry.split()[1] == "inet" and entry.split()[7] in ("smtpd", "postscreen")
    }


def greeting_of(instance: Instance, service: str) -> str:
    """The greeting of one service, `submission/inet`."""
    wrapped = options(instance.services()[service]).get("smtpd_tls_wrappermode") == "yes"
    return _greeting(*_place(instance, service), wrapped=wrapped)


def _place(instance: Instance, service: str) -> tuple[str, str]:
    everywhere = instance.parameters("inet_interfaces")["inet_interfaces"]
    return _address(service.partition("/")[0], everywhere)


def _address(service: str, everywhere: str) -> tuple[str, str]:
    host, colon, port = service.rpartition(":")
    if colon:
        return host.strip("[]"), port
    first = everywhere.replace(",", " ").split()[0]
    return ("127.0.0.1" if first in ("all", "loopback-only") else first.strip("[]")), service


def _greeting(host: str, port: str, *, wrapped: bool) -> str:
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]
        connection = socket.create_connection(address[:2], TIMEOUT)  # type: ignore[arg-type]
        with _encrypted(connection) if wrapped else connection as connection:
            greeting = connection.recv(512).decode("ascii", "replace").strip()
            if greeting:
                connection.sendall(b"QUIT\r\n")
                connection.recv(512)
            return greeting
    except OSError as error:
        return str(error)


def _encrypted(connection: socket.socket) -> ssl.SSLSocket:
    """TLS from the start; this host's own certificate proves nothing here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


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
