"""A next hop: a real SMTP server with TLS and AUTH that records what arrives."""

import asyncio
import logging
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default as default_policy
from pathlib import Path
from typing import Any

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

# It logs each session, and warnings about its own insides.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)


class _Smtp(SMTP):
    """RFC 4954 wants AUTH lines of 12,288 bytes taken; a long password needs them."""

    line_length_limit = 12_288
    command_size_limit = 12_288


class _Lmtp(LMTP):
    """LMTP, with the same limits."""

    line_length_limit = 12_288


@dataclass(frozen=True)
class Received:
    """One message as the server saw it."""

    server: str
    login: str
    password: str
    sender: str
    recipients: tuple[str, ...]
    data: bytes
    tls: bool
    helo: str
    peer: str = ""
    certificate: str = ""  # the client's, by its common name
    at: float = field(default_factory=time.monotonic)

    @property
    def message(self) -> Message:
        """The message, parsed."""
        return message_from_bytes(self.data, policy=default_policy)

    @property
    def subject(self) -> str:
        """Its Subject."""
        return str(self.message["Subject"] or "")


def _common_name(transport: asyncio.BaseTransport | None) -> str:
    """Of the certificate that the client has shown; '' if none."""
    certificate = (transport and transport.get_extra_info("peercert")) or {}
    names = dict(pair for part in certificate.get("subject", ()) for pair in part)
    return str(names.get("commonName", ""))


@dataclass
class NextHop:
    """One server; `logins` maps each login to its password, empty for no AUTH."""

    name: str
    logins: Mapping[str, str] = field(default_factory=dict)
    retiring: Sequence[str] = ()  # passwords that still count
    certificate: Path | None = None
    client_ca: Path | None = None  # demands a client certificate from it
    implicit_tls: bool = False
    any_login: bool = False
    lmtp: bool = False
    delay: float = 0.0
    answer: Callable[[Envelope], str] | None = None
    port: int = 0
    host: str = "127.0.0.1"
    received: list[Received] = field(default_factory=list)
    attempts: list[tuple[str, str]] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _server: asyncio.Server | None = None
    _thread: threading.Thread | None = None

    def start(self) -> "NextHop":
        """Listen on a free port of the loopback address."""
        context = None
        if self.certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.certificate)
        if context and self.client_ca:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED

        def session() -> SMTP:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it can't see TLS from the first byte
                return self._session(context)

        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        tls = context if self.implicit_tls else None
        opened = asyncio.run_coroutine_threadsafe(
            self._loop.create_server(session, self.host, self.port, ssl=tls, backlog=500),
            self._loop,
        )
        self._server = opened.result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def _session(self, context: ssl.SSLContext | None) -> SMTP:
        starttls = context is not None and not self.implicit_tls
        return (_Lmtp if self.lmtp else _Smtp)(
            self,
            hostname=f"{self.name}.lab",
            enable_SMTPUTF8=True,
            tls_context=context if starttls else None,
            require_starttls=starttls,
            authenticator=self._authenticate if self.any_login or self.logins else None,
            auth_exclude_mechanism=[] if self.any_login or self.logins else ["LOGIN", "PLAIN"],
            auth_required=bool(self.logins) or self.any_login,
            auth_require_tls=starttls,
            data_size_limit=64 * 1024 * 1024,
            loop=self._loop,
        )

    def stop(self) -> None:
        """Close the port and all connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread:
            self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # asyncio's own list: a handshake that never ended has no session to close it by.
        open_: Mapping[int, asyncio.WriteTransport] = self._loop._transports  # type: ignore[attr-defined]  # noqa: SLF001
        # Those that are closed stay on it for as long as anybody remembers them.
        while still := [t for t in open_.values() if t.get_extra_info("socket").fileno() != -1]:
            for transport in still:
                transport.abort()
            await asyncio.sleep(0)  # lets them close their sockets

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        login = data.login.decode("utf-8", "surrogateescape")
        password = data.password.decode("utf-8", "surrogateescape")
        self.attempts.append((login, password))
        if self.any_login or password in (self.logins.get(login), *self.retiring):
            return AuthResult(success=True, auth_data=data)
        return AuthResult(success=False, handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        _server: SMTP,
        _session: Session,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        """Accept all; the sender as sent is in the envelope."""
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Record the message, or answer what the test wants."""
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.answer:
            verdict = self.answer(envelope)
            if not verdict.startswith("2"):
                return verdict
        login = session.auth_data
        content = envelope.original_content or b""
        arrived = Received(
            server=self.name,
            login=login.login.decode("utf-8", "surrogateescape") if login else "",
            password=login.password.decode("utf-8", "surrogateescape") if login else "",
            sender="" if envelope.mail_from in (None, "<>") else envelope.mail_from,
            recipients=tuple(envelope.rcpt_tos),
            data=content,
            tls=session.ssl is not None or self.implicit_tls,
            helo=session.host_name or "",
            peer=session.peer[0] if session.peer else "",
            certificate=_common_name(server.transport),
        )
        with self._news:
            self.received.append(arrived)
            self._news.notify_all()
        return "250 OK"

    def wait_for(self, count: int, timeout: float = 30.0) -> list[Received]:
        """Wait until so many messages have arrived; fail with what there is."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.received) >= count, timeout):
                subjects = [r.subject for r in self.received][-5:]
                raise AssertionError(
                    f"{self.name}: {len(self.received)} of {count} messages, last {subjects}"
                )
            return list(self.received)

    def clear(self) -> None:
        """Forget what has arrived."""
        with self._news:
            self.received.clear()
            self.attempts.clear()
