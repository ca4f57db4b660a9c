"""One LMTP session: passes a transaction on, and the server's answers back.

Nothing is answered before the server has answered, and nothing is kept: whatever dies, and
whenever, Postfix has the message in its queue until it has heard 250 for a recipient.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiosmtplib

from pointsman.submit import lmtp
from pointsman.submit.answers import deferred, is_about_login
from pointsman.submit.upstream import LAST_ANSWER, NoWayError, Upstream

SILENCE = 660.0  # seconds that lmtp(8) may be silent
CHUNK = 64 * 1024
_START, _TAKEN = 354, 2
_LOST = (aiosmtplib.SMTPException, OSError, TimeoutError)
_TO_SERVER = ("MAIL", "RCPT", "RSET")

Take = Callable[[], Awaitable[Upstream]]
Tell = Callable[[str], None]


class ClosedError(Exception):
    """lmtp(8) has gone."""


class Session:
    """Serves one connection of lmtp(8)."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        name: str,
        take: Take,
        blamed: Tell,
    ) -> None:
        """`take` gets a connection; `blamed` is told what the server says about our login."""
        self._reader, self._writer = reader, writer
        self._name, self._take, self._blamed = name, take, blamed
        self._incoming = lmtp.Incoming()
        self._accepted = 0  # recipients of the transaction
        self.upstream: Upstream | None = None

    async def serve(self) -> Upstream | None:
        """Answer until QUIT; returns the connection if it can be used again."""
        try:
            await self._say(220, f"{self._name} LMTP")
            while await self._step() != "QUIT":
                pass
            await self._say(221, "2.0.0 bye")
        except (ClosedError, ConnectionError, lmtp.LongLineError):
            self._drop()
        except BaseException:
            self._drop()
            raise
        return self.upstream

    async def _step(self) -> str:
        line = await self._command()
        verb = lmtp.verb(line)
        if verb == "LHLO":
            await self._greet()
        elif verb == "NOOP":
            await self._say(250, "2.0.0 ok")
        elif verb == "DATA":
            await self._data()
        elif verb in _TO_SERVER:
            await self._pass_on(verb, line)
        elif verb != "QUIT":
            await self._say(500, "5.5.2 not known here")
        return verb

    async def _greet(self) -> None:
        self._drop()
        try:
            self.upstream = await self._take()
        except NoWayError as error:
            await self._say(error.code, f"{error.status} connector {self._name}: {error}")
            return
        await self._say(250, lmtp.greeting(self._name, self.upstream.smtp.esmtp_extensions))

    async def _pass_on(self, verb: str, line: bytes) -> None:
        if self.upstream is None:
            await self._say(451, "4.4.2 no connection to the server")
            return
        try:
            code, text = self._judged(*await self.upstream.command(line))
        except _LOST as error:
            code, text = self._lost(error)
        except ValueError:  # control characters
            code, text = 501, "5.5.4 not a command that can be passed on"
        if verb != "RCPT":
            self._accepted = 0
        elif code // 100 == _TAKEN:
            self._accepted += 1
        await self._say(code, text)

    async def _data(self) -> None:
        if self.upstream is None or not self._accepted:
            await self._say(503, "5.5.1 no recipient was accepted")
            return
        try:
            code, text = await self.upstream.command(b"DATA")
        except _LOST as error:
            code, text = self._lost(error)
        if code != _START:
            await self._say(*self._judged(code, text))
            return
        await self._say(_START, "go on")
        code, text = await self._text(self.upstream)
        for _ in range(self._accepted):
            self._put(code, text)
        self._accepted = 0
        await self._writer.drain()

    async def _text(self, upstream: Upstream) -> tuple[int, str]:
        """Pass the text on, and return the server's answer to it."""
        answer = upstream.text_answer()
        try:
            whole = await self._stream(upstream, answer)
            response = await asyncio.wait_for(answer, LAST_ANSWER)
        except _LOST as error:
            return self._lost(error)
        finally:
            answer.cancel()
        code, text = self._judged(int(response.code), response.message)
        if whole:
            return code, text
        self._drop()  # who answers before the end is out of step
        taken = code // 100 == _TAKEN
        return (451, f"4.5.0 the server took a part of it: {text}") if taken else (code, text)

    async def _stream(self, upstream: Upstream, answer: "asyncio.Task[object]") -> bool:
        """Send until the last dot or an early answer, and hear lmtp(8) out either way.

        Returns whether all of it was sent.
        """
        self._incoming.begin_text()
        lost: Exception | None = None
        while True:
            part, last = self._incoming.text()
            sending = lost is None and not answer.done()
            if sending:
                try:
                    await upstream.send(part)
                except _LOST as error:
                    lost = error
            if last:
                break
            await self._receive()
        if lost is not None and not answer.done():
            raise lost
        return sending

    def _judged(self, code: int, text: str) -> tuple[int, str]:
        if is_about_login(code, text):
            self._blamed(f"{code} {text}")
        return deferred(code, text)

    def _lost(self, error: BaseException) -> tuple[int, str]:
        host = self.upstream.host if self.upstream else "the server"
        self._drop()
        why = str(error) or type(error).__name__
        return 451, f"4.4.2 connector {self._name}: lost the connection to {host}: {why}"

    def _drop(self) -> None:
        if self.upstream is not None:
            self.upstream.close()
        self.upstream = None

    # -- bytes

    async def _command(self) -> bytes:
        while (line := self._incoming.command()) is None:
            await self._receive()
        return line

    async def _receive(self) -> None:
        try:
            async with asyncio.timeout(SILENCE):
                data = await self._reader.read(CHUNK)
        except OSError:  # TimeoutError is one
            raise ClosedError from None
        if not data:
            raise ClosedError
        self._incoming.feed(data)

    def _put(self, code: int, text: str) -> None:
        self._writer.write(lmtp.reply(code, text))

    async def _say(self, code: int, text: str) -> None:
        self._put(code, text)
        await self._writer.drain()
