"""A provider's submission server: STARTTLS or TLS, XOAUTH2, DSN; records every transaction.

aiosmtpd takes no parameters of DSN, hence a server of our own for what must pass through.
"""

import asyncio
import json
import ssl
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default as default_policy
from pathlib import Path

from lab.provider import Provider

EXTENSIONS = ("8BITMIME", "SMTPUTF8", "DSN", "SIZE 35882577", "ENHANCEDSTATUSCODES", "PIPELINING")


@dataclass
class Transaction:
    """One message as the server saw it."""

    login: str
    mail: str
    recipients: list[str] = field(default_factory=list)  # their whole commands, if accepted
    data: bytes = b""

    @property
    def message(self) -> Message:
        """The message, parsed."""
        return message_from_bytes(self.data, policy=default_policy)

    @property
    def subject(self) -> str:
        """Its Subject."""
        return str(self.message["Subject"] or "")


@dataclass
class Submission:
    """The server; `answer` may answer a command otherwise, or the text (`.`)."""

    provider: Provider
    certificate: Path
    implicit_tls: bool = False
    answer: Callable[[str], str] = lambda _: ""
    extensions: tuple[str, ...] = EXTENSIONS
    port: int = 0
    received: list[Transaction] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)  # verdicts on them
    texts: int = 0  # begun
    stalls: frozenset[int] = frozenset()  # of which texts nothing more is read
    connections: int = 0
    most: int = 0  # connections at the same time
    _open: int = 0
    _news: threading.Condition = field(default_factory=threading.Condition)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _server: asyncio.Server | None = None
    _thread: threading.Thread | None = None
    _tasks: set["asyncio.Task[None] | None"] = field(default_factory=set)

    def start(self) -> "Submission":
        """Listen on a free port of the loopback address."""
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    async def _listen(self) -> None:
        tls = self.context() if self.implicit_tls else None
        self._server = await asyncio.start_server(
            self._client, "127.0.0.1", self.port, ssl=tls, limit=1 << 20
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def context(self) -> ssl.SSLContext:
        """The server's side of TLS."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate)
        return context

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
        for task in list(self._tasks):
            if task:
                task.cancel()
        await asyncio.gather(*filter(None, self._tasks), return_exceptions=True)
        await asyncio.sleep(0)  # lets the transports close their sockets

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        self._open += 1
        self.most = max(self.most, self._open)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await _Session(self, reader, writer).serve()
        self._open -= 1
        self._tasks.discard(asyncio.current_task())
        writer.transport.abort()

    def record(self, transaction: Transaction) -> None:
        """Keep it, and wake up who waits for it."""
        with self._news:
            self.received.append(transaction)
            self._news.notify_all()

    def wait_for(self, count: int, timeout: float = 30.0) -> list[Transaction]:
        """Wait until so many messages have arrived."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.received) >= count, timeout):
                raise AssertionError(f"{len(self.received)} of {count} messages arrived")
            return list(self.received)


class _Session:
    """One connection."""

    def __init__(
        self, server: Submission, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.tls = server.implicit_tls
        self.login = ""
        self.transaction: Transaction | None = None

    async def serve(self) -> None:
        """Answer until QUIT."""
        await self.say("220 submission.lab ready")
        while True:
            line = (await self.reader.readuntil(b"\n")).decode().rstrip("\r\n")
            verb = line.split(" ")[0].split(":")[0].upper()
            told = self.server.answer(line)
            if told:
                await self.say(told)
                continue
            await getattr(self, f"on_{verb.lower()}", self.on_unknown)(line)
            if verb == "QUIT":
                return

    async def say(self, line: str) -> None:
        self.writer.write(line.encode() + b"\r\n")
        await self.writer.drain()

    async def on_unknown(self, _line: str) -> None:
        await self.say("500 5.5.1 what?")

    async def on_ehlo(self, _line: str) -> None:
        words = ["submission.lab", *self.server.extensions]
        words += ["AUTH LOGIN XOAUTH2"] if self.tls else ["STARTTLS"]
        for word in words[:-1]:
            await self.say(f"250-{word}")
        await self.say(f"250 {words[-1]}")

    async def on_starttls(self, _line: str) -> None:
        await self.say("220 go on")
        await self.writer.start_tls(self.server.context())
        self.tls = True

    async def on_auth(self, line: str) -> None:
        text = b64decode(line.split(" ")[2]).decode()
        user, token = text.removesuffix("\x01\x01").split("\x01auth=Bearer ")
        good = token in self.server.provider.valid
        self.server.logins.append("ok" if good else "refused")
        if not good:
            challenge = json.dumps({"status": "400", "schemes": "Bearer"}).encode()
            await self.say(f"334 {b64encode(challenge).decode()}")
            await self.reader.readuntil(b"\n")
            await self.say("535 5.7.3 Authentication unsuccessful")
            return
        self.login = user.removeprefix("user=")
        await self.say("235 2.7.0 Accepted")

    async def on_mail(self, line: str) -> None:
        if not self.login:
            await self.say("530 5.7.57 Client not authenticated to send mail")
            return
        self.transaction = Transaction(self.login, line)
        await self.say("250 2.1.0 sender ok")

    async def on_rcpt(self, line: str) -> None:
        assert self.transaction is not None
        self.transaction.recipients.append(line)
        await self.say("250 2.1.5 recipient ok")

    async def on_data(self, _line: str) -> None:
        assert self.transaction is not None
        self.server.texts += 1
        await self.say("354 go on")
        if self.server.texts in self.server.stalls:
            await self.reader.readuntil(b"\n")
            await asyncio.Event().wait()
        text = b""
        while (line := await self.reader.readuntil(b"\n")) != b".\r\n":
            text += line.removeprefix(b".") if line.startswith(b"..") else line
        told = self.server.answer(".")
        if told and not told.startswith("2"):
            await self.say(told)
            return
        self.transaction.data = text
        self.server.record(self.transaction)
        self.transaction = None
        await self.say(told or "250 2.0.0 taken by submission.lab")

    async def on_rset(self, _line: str) -> None:
        self.transaction = None
        await self.say("250 2.0.0 ok")

    async def on_quit(self, _line: str) -> None:
        await self.say("221 2.0.0 bye")
