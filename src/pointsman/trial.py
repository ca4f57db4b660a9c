"""Tries a connector for real, step by step; sends nothing unless told to.

DNS, TCP, TLS with the certificate checked as the lane will, EHLO, AUTH where it is
due, MAIL FROM, RSET. The library is aiosmtplib; each step reports its own time.
"""

import asyncio
import hashlib
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import aiosmtplib
from cryptography import x509

from pointsman.postfix.lane import SYSTEM_CA_FILE
from pointsman.store.records import Connector

TIMEOUT = 15.0  # seconds for each step
_HANDSHAKE, _CERTIFICATE_REQUEST = 22, 13  # RFC 8446, 5.1 and 4


@dataclass(frozen=True)
class Step:
    """What one step brought, and how long it took."""

    name: str
    ok: bool
    answer: str
    seconds: float


@dataclass
class Trial:
    """One try of one connector."""

    connector: Connector
    password: str
    helo: str
    sender: str
    recipient: str = ""  # also RCPT TO
    content: bytes = b""  # also send it
    private_key: str = field(default="", repr=False)  # of the client certificate, PEM
    address: tuple[str, int] = ("", 0)  # which of the connector's hosts
    _smtp: aiosmtplib.SMTP | None = field(default=None, repr=False)
    _transport: Any = field(default=None, repr=False)
    _asked: bool = False  # for a client certificate

    async def steps(self) -> AsyncIterator[Step]:
        """Yield each step as it is done; the first that fails is the last."""
        try:
            async for done in self._steps():
                step = self._explained(done)
                yield step
                if not step.ok:
                    return
        finally:
            await self._close()

    async def _close(self) -> None:
        """Drop the connection now: a TLS one would wait for the server's farewell."""
        if self._smtp is not None:
            self._smtp.close()
        if self._transport is not None:
            self._transport.abort()
            await asyncio.sleep(0)

    async def _steps(self) -> AsyncIterator[Step]:
        host, port = self.address
        found: list[Any] = []
        yield await _timed("DNS", self._resolve(host, port, found))
        sockets: list[socket.socket] = []
        yield await _timed("TCP", self._connect(found, sockets))
        implicit = self.connector.tls == "tls"
        yield await _timed("TLS" if implicit else "greeting", self._greet(host, sockets[0]))
        yield await _timed("EHLO", self._ehlo())
        if self._wants_starttls():
            yield await _timed("STARTTLS", self._starttls())
            yield await _timed("EHLO", self._ehlo())
        if self.connector.auth == "password":
            yield await _timed("AUTH", self._login())
        yield await _timed("MAIL FROM", self._mail())
        if self.recipient:
            yield await _timed("RCPT TO", self._rcpt())
        if self.content:
            yield await _timed("DATA", self._data())
        else:
            yield await _timed("RSET", self._rset())
        with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await asyncio.wait_for(self._client.quit(), TIMEOUT)

    @property
    def _client(self) -> aiosmtplib.SMTP:
        if self._smtp is None:
            raise RuntimeError("no connection yet")
        return self._smtp

    async def _resolve(self, host: str, port: int, found: list[Any]) -> str:
        loop = asyncio.get_running_loop()
        source = self.connector.source_address
        family = (socket.AF_INET6 if ":" in source else socket.AF_INET) if source else 0
        found += await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        return ", ".join(dict.fromkeys(entry[4][0] for entry in found))

    async def _connect(self, found: list[Any], sockets: list[socket.socket]) -> str:
        """Try the addresses in order, as smtp(8) does."""
        loop = asyncio.get_running_loop()
        last: Exception | None = None
        for family, kind, protocol, _, address in found:
            candidate = socket.socket(family, kind, protocol)
            candidate.setblocking(False)
            try:
                if self.connector.source_address:
                    candidate.bind((self.connector.source_address, 0))
                await loop.sock_connect(candidate, address)
            except OSError as error:
                candidate.close()
                last = error
                continue
            sockets.append(candidate)
            return f"{address[0]} port {address[1]}"
        raise last or OSError("no address")

    async def _greet(self, host: str, connected: socket.socket) -> str:
        implicit = self.connector.tls == "tls"
        self._smtp = aiosmtplib.SMTP(
            hostname=self.connector.server_name or host,
            local_hostname=self.connector.helo or self.helo,
            timeout=TIMEOUT,
            use_tls=implicit,
            start_tls=False,
            tls_context=self._context() if implicit else None,
            sock=connected,
        )
        response = await self._smtp.connect()
        self._transport = self._smtp.transport
        return self._tls_facts() if implicit else _answer(response)

    async def _ehlo(self) -> str:
        response = await self._client.ehlo()
        return response.message.splitlines()[0]

    def _wants_starttls(self) -> bool:
        offered = self._client.supports_extension("starttls")
        return self.connector.tls == "starttls" or (self.connector.tls == "may" and offered)

    async def _starttls(self) -> str:
        await self._client.starttls(
            server_hostname=self.connector.server_name or self.address[0],
            tls_context=self._context(),
        )
        self._transport = self._client.transport
        return self._tls_facts()

    def _context(self) -> ssl.SSLContext:
        context = self._verifying()
        if self.connector.auth == "certificate":
            present(context, self.private_key + self.connector.certificate)
        context._msg_callback = self._note  # type: ignore[attr-defined] # noqa: SLF001 - see below
        return context

    def _note(self, _connection: object, direction: str, *message: Any) -> None:
        """Notice that the server asks for a certificate, of which ssl says nothing in public."""
        _version, content, kind, _data = message
        if (direction, content, kind) == ("read", _HANDSHAKE, _CERTIFICATE_REQUEST):
            self._asked = True

    def _verifying(self) -> ssl.SSLContext:
        # `may` encrypts if it can, and trusts anyone, as Postfix does; a fingerprint is
        # compared once it is known.
        if self.connector.tls == "may" or self.connector.fingerprints:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        if self.connector.ca:
            return ssl.create_default_context(cadata=self.connector.ca)
        return ssl.create_default_context(cafile=str(SYSTEM_CA_FILE))

    def _tls_facts(self) -> str:
        layer = self._client.get_transport_info("ssl_object")
        certificate = layer and layer.getpeercert(binary_form=True)
        if not certificate:
            return "no certificate"
        self._compare_fingerprint(certificate)
        expires = x509.load_der_x509_certificate(certificate).not_valid_after_utc
        days = (expires - datetime.now(UTC)).days
        verified = "" if self.connector.tls == "may" else "verified, "
        return f"{layer.version()}, certificate {verified}{days} days left{self._client_facts()}"

    def _client_facts(self) -> str:
        if self.connector.auth != "certificate":
            return ""
        if not self._asked:
            raise aiosmtplib.SMTPException(
                "the server asks for no client certificate, and mail must not go without"
            )
        return ", ours was asked for"

    def _explained(self, step: Step) -> Step:
        """A server that wants another certificate, or any, just closes the connection."""
        if step.ok or not self._asked or step.name not in ("TLS", "STARTTLS", "EHLO"):
            return step
        ours = "refuses ours" if self.connector.auth == "certificate" else "there is none"
        why = f"the server asks for a client certificate, and {ours}: {step.answer}"
        return replace(step, answer=why)

    def _compare_fingerprint(self, certificate: bytes) -> None:
        digest = hashlib.sha256(certificate).hexdigest().upper()
        found = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
        if self.connector.fingerprints and found not in self.connector.fingerprints:
            raise aiosmtplib.SMTPException(f"the certificate has another fingerprint: {found}")

    async def _login(self) -> str:
        client = self._client
        if self.connector.tls == "may" and not client.get_transport_info("sslcontext"):
            raise aiosmtplib.SMTPException("no TLS here, and the password must not go in the clear")
        if not client.supported_auth_methods:
            raise aiosmtplib.SMTPException(
                "the server offers no AUTH, and mail must not go without"
            )
        response = await client.login(self.connector.username, self.password)
        return _answer(response)

    async def _mail(self) -> str:
        return f"<{self.sender}> {_answer(await self._client.mail(self.sender))}"

    async def _rcpt(self) -> str:
        return f"<{self.recipient}> {_answer(await self._client.rcpt(self.recipient))}"

    async def _data(self) -> str:
        return _answer(await self._client.data(self.content))

    async def _rset(self) -> str:
        return _answer(await self._client.rset())


def present(context: ssl.SSLContext, identity: str) -> None:
    """Show this client certificate (PEM: key, certificate, chain) to a server that asks.

    OpenSSL wants a file; this one is in memory alone.
    """
    descriptor = os.memfd_create("identity")
    with os.fdopen(descriptor, "w") as file:
        file.write(identity)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")


def _answer(response: Any) -> str:
    return f"{response.code} {response.message}".splitlines()[0]


async def _timed(name: str, work: Awaitable[str]) -> Step:
    start = time.monotonic()
    try:
        answer, ok = await asyncio.wait_for(work, TIMEOUT + 1), True
    except TimeoutError:
        answer, ok = f"no answer within {TIMEOUT:g} s", False
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        answer, ok = _reason(error), False
    return Step(name, ok, answer, time.monotonic() - start)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno:
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    code = getattr(error, "code", None)
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    return " ".join(f"{code or ''} {text}".split())
