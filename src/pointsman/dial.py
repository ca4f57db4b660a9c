"""Reaches a connector's server as its lane would: address, TLS, certificate, login.

The library is aiosmtplib. Who calls: trial.py, step by step, and the submission helper.
"""

import asyncio
import hashlib
import socket
import ssl
from typing import Any

import aiosmtplib

from pointsman.postfix.lane import SYSTEM_CA_FILE
from pointsman.store.records import Connector


async def resolve(connector: Connector, host: str, port: int) -> list[Any]:
    """Ask getaddrinfo(3); only for the family that the connector sends from."""
    source = connector.source_address
    family = (socket.AF_INET6 if ":" in source else socket.AF_INET) if source else 0
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)


async def connect(connector: Connector, found: list[Any]) -> socket.socket:
    """Try the addresses in order, as smtp(8) does."""
    loop = asyncio.get_running_loop()
    last: Exception | None = None
    for family, kind, protocol, _, address in found:
        candidate = socket.socket(family, kind, protocol)
        candidate.setblocking(False)
        try:
            if connector.source_address:
                candidate.bind((connector.source_address, 0))
            await loop.sock_connect(candidate, address)
        except OSError as error:
            candidate.close()
            last = error
            continue
        except BaseException:
            candidate.close()
            raise
        return candidate
    raise last or OSError("no address")


def client(
    connector: Connector,
    host: str,
    helo: str,
    connected: socket.socket,
    timeout: float,
    context: ssl.SSLContext,
) -> aiosmtplib.SMTP:
    """An SMTP client on a connection; with implicit TLS, that comes first."""
    implicit = connector.tls == "tls"
    return aiosmtplib.SMTP(
        hostname=connector.server_name or host,
        local_hostname=connector.helo or helo,
        timeout=timeout,
        use_tls=implicit,
        start_tls=False,
        tls_context=context if implicit else None,
        sock=connected,
    )


def tls_context(connector: Connector) -> ssl.SSLContext:
    """The certificates that count, as in the lane."""
    # `may` encrypts if it can, and trusts anyone, as Postfix does; a fingerprint is
    # compared once it is known.
    if connector.tls == "may" or connector.fingerprints:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if connector.ca:
        return ssl.create_default_context(cadata=connector.ca)
    return ssl.create_default_context(cafile=str(SYSTEM_CA_FILE))


def compare_fingerprint(connector: Connector, certificate: bytes) -> None:
    """Refuse a server whose certificate (DER) is none of those that were named."""
    digest = hashlib.sha256(certificate).hexdigest().upper()
    found = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
    if connector.fingerprints and found not in connector.fingerprints:
        raise aiosmtplib.SMTPException(f"the certificate has another fingerprint: {found}")


def peer_certificate(smtp: aiosmtplib.SMTP) -> bytes:
    """The server's certificate (DER); b"" without TLS."""
    layer = smtp.get_transport_info("ssl_object")
    return (layer and layer.getpeercert(binary_form=True)) or b""


async def login_with_token(smtp: aiosmtplib.SMTP, username: str, token: str) -> Any:
    """XOAUTH2 (Google's and Microsoft's; they name it so, there is no RFC)."""
    if "xoauth2" not in smtp.server_auth_methods:
        offered = ", ".join(smtp.server_auth_methods).upper() or "none"
        raise aiosmtplib.SMTPException(f"the server offers no XOAUTH2; it offers: {offered}")
    return await smtp.auth_xoauth2(username, token)
