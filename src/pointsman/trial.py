"""Tries a connector for real, step by step; sends nothing unless told to.

DNS, TCP, TLS with the certificate checked as the lane will, EHLO, AUTH where it is
due, MAIL FROM, RSET. The library is aiosmtplib; each step reports its own time.
"""

import asyncio
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

from pointsman import dial
from pointsman.config import Config
from pointsman.postfix.conf import Instance
from pointsman.store.database import Store
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
    password: str  # or the access token
    helo: str
    sender: str  # "" for no transaction at all
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
        if self.connector.auth in ("password", "oauth2"):
            yield await _timed("AUTH", self._login())
        if self.sender:
            async for step in self._transaction():
                yield step
        with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await asyncio.wait_for(self._client.quit(), TIMEOUT)

    async def _transaction(self) -> AsyncIterator[Step]:
        yield await _timed("MAIL FROM", self._mail())
        if self.recipient:
            yield await _timed("RCPT TO", self._rcpt())
        if self.content:
            yield await _timed("DATA", self._data())
        else:
            yield await _timed("RSET", self._rset())

    @property
    def _client(self) -> aiosmtplib.SMTP:
        if self._smtp is None:
            raise RuntimeError("no connection yet")
        return self._smtp

    async def _resolve(self, host: str, port: int, found: list[Any]) -> str:
        found += await dial.resolve(self.connector, host, port)
        return ", ".join(dict.fromkeys(entry[4][0] for entry in found))

    async def _connect(self, found: list[Any], sockets: list[socket.socket]) -> str:
        sockets.append(await dial.connect(self.connector, found))
        address = sockets[0].getpeername()
        return f"{address[0]} port {address[1]}"

    async def _greet(self, host: str, connected: socket.socket) -> str:
        self._smtp = dial.client(
            self.connector, host, self.helo, connected, TIMEOUT, self._context()
        )
        response = await self._smtp.connect()
        self._transport = self._smtp.transport
        return self._tls_facts() if self.connector.tls == "tls" else _answer(response)

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
        context = dial.tls_context(self.connector)
        if self.connector.auth == "certificate":
            present(context, self.private_key + self.connector.certificate)
        context._msg_callback = self._note  # type: ignore[attr-defined] # noqa: SLF001 - see below
        return context

    def _note(self, _connection: object, direction: str, *message: Any) -> None:
        """Notice that the server asks for a certificate, of which ssl says nothing in public."""
        _version, content, kind, _data = message
        if (direction, content, kind) == ("read", _HANDSHAKE, _CERTIFICATE_REQUEST):
            self._asked = True

    def _tls_facts(self) -> str:
        layer = self._client.get_transport_info("ssl_object")
        certificate = dial.peer_certificate(self._client)
        if not certificate:
            return "no certificate"
        dial.compare_fingerprint(self.connector, certificate)
        found = x509.load_der_x509_certificate(certificate)
        days = (found.not_valid_after_utc - datetime.now(UTC)).days
        how = "pinned" if self.connector.fingerprints else "verified"
        checked = "" if self.connector.tls == "may" else f" {how}"
        shown = f"{layer.version()}, certificate of {_name_of(found)}{checked}, {days} days left"
        return shown + self._client_facts()

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

    async def _login(self) -> str:
        client = self._client
        if self.connector.auth == "oauth2":
            return _answer(
                await dial.login_with_token(client, self.connector.username, self.password)
            )
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


def _name_of(certificate: x509.Certificate) -> str:
    """The first host name of a certificate, or its subject where it names no host."""
    with suppress(x509.ExtensionNotFound, ValueError):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        for name in names.value.get_values_for_type(x509.DNSName):
            return name
    return certificate.subject.rfc4514_string()


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


def trial_of(config: Config, store: Store, connector: Connector, sender: str = "") -> Trial:
    """A try of a connector as its lane would go about it, at its first host."""
    helo = Instance(config.postfix.config_directory).parameters("myhostname")["myhostname"]
    key = store.secrets.unseal(connector.private_key) if connector.private_key else ""
    password = _secret(config, store, connector)
    address = connector.addresses[0]
    return Trial(connector, password, helo, sender, private_key=key, address=address)


def _secret(config: Config, store: Store, connector: Connector) -> str:
    """What the server has to believe: the password, or an access token."""
    if connector.auth == "oauth2":
        from pointsman.oauth.vault import obtain  # noqa: PLC0415 - slow to import

        return obtain(config, store, connector).access
    return store.secrets.unseal(connector.password) if connector.password else ""
