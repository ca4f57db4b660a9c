"""Connections to providers: opened, logged in, used again, and never left to grow old."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiosmtplib

from pointsman import dial
from pointsman.oauth.handover import Access, Way

STEP = 30.0  # seconds for each step of opening a connection
ANSWER = 270.0  # for MAIL and RCPT: a little less than lmtp(8) waits, so that it hears why
LAST_ANSWER = 570.0  # for the end of the text
IDLE = 20.0  # seconds for which a connection waits for its next message
OLDEST = 300.0  # seconds after which it takes no new one
REFUSED = (530, 534, 535, 538)  # AUTH's final no, which a new token may change


class NoWayError(Exception):
    """No host could be reached and logged in to; the text says why."""

    code, status = 451, "4.4.1"


class NoLoginError(NoWayError):
    """There is no token that the server takes."""

    code, status = 454, "4.7.0"


@dataclass
class Upstream:
    """One connection that is logged in."""

    way: Way
    smtp: aiosmtplib.SMTP
    host: str
    writer: asyncio.StreamWriter
    born: float = field(default_factory=time.monotonic)
    used: float = field(default_factory=time.monotonic)

    async def command(self, line: bytes) -> tuple[int, str]:
        """Pass one command on."""
        response = await self.smtp.execute_command(line, timeout=ANSWER)
        return int(response.code), response.message

    def text_answer(self) -> "asyncio.Task[Any]":
        """Listen for the answer to the text, which may come before its end."""
        assert self.smtp.protocol is not None  # noqa: S101 - tells mypy
        answer = asyncio.create_task(self.smtp.protocol.read_response())
        # It may fail after the message is settled, and nobody asks for it then.
        answer.add_done_callback(lambda task: task.cancelled() or task.exception())
        return answer

    async def send(self, part: bytes) -> None:
        """Send a part of a text, as fast as the server takes it."""
        async with asyncio.timeout(ANSWER):
            self.writer.write(part)
            await self.writer.drain()

    def close(self) -> None:
        """Drop it; what the server did not get whole, it forgets."""
        abort(self.smtp)


class Pool:
    """Connections that nobody uses at the moment, by connector."""

    def __init__(self, helo: str) -> None:
        self._helo = helo
        self._idle: dict[str, list[Upstream]] = {}

    async def take(self, way: Way, access: Access, refused: Callable[[str], None]) -> Upstream:
        """Return a connection ready for a message; raises NoWayError.

        `refused` is told in the server's words when it does not take the token.
        """
        waiting = self._idle.get(way.connector.name, [])
        while waiting:
            upstream = waiting.pop()
            if upstream.way == way and await _is_alive(upstream):
                return upstream
            upstream.close()
        try:
            return await _open(way, access, self._helo)
        except NoLoginError as error:
            refused(str(error))
            raise

    def give(self, upstream: Upstream) -> None:
        """Take one back whose transaction is over."""
        waiting = self._idle.setdefault(upstream.way.connector.name, [])
        upstream.used = time.monotonic()
        old = upstream.used - upstream.born > OLDEST
        if old or len(waiting) >= upstream.way.connector.processes:
            upstream.close()
        else:
            waiting.append(upstream)

    async def prune(self) -> None:
        """Say goodbye on those that have waited too long."""
        now = time.monotonic()
        for waiting in self._idle.values():
            for upstream in [u for u in waiting if now - u.used > IDLE]:
                waiting.remove(upstream)
                await _leave(upstream)

    async def close(self) -> None:
        """Say goodbye on all."""
        for waiting in self._idle.values():
            while waiting:
                await _leave(waiting.pop())


def abort(smtp: aiosmtplib.SMTP) -> None:
    """Drop a connection now; a TLS one would wait for the server's farewell."""
    if isinstance(smtp.transport, asyncio.WriteTransport):
        smtp.transport.abort()
    smtp.close()


async def _leave(upstream: Upstream) -> None:
    with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        await upstream.smtp.quit(timeout=1.0)
    upstream.close()


async def _is_alive(upstream: Upstream) -> bool:
    """Also forgets whatever transaction was under way."""
    with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        return (await upstream.smtp.rset(timeout=STEP)).code == aiosmtplib.SMTPStatus.completed
    return False


async def _open(way: Way, access: Access, helo: str) -> Upstream:
    """Try the hosts in order; a refused token is refused by all of them."""
    why = "no host"
    for host, port in way.connector.addresses:
        try:
            return await _reach(way, access.token, helo, host, port)
        except aiosmtplib.SMTPAuthenticationError as error:
            text = f"{host} answers AUTH with {error.code} {error.message}"
            if error.code in REFUSED:
                raise NoLoginError(text) from None
            why = text
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            why = f"{host}:{port}: {str(error) or type(error).__name__}"
    raise NoWayError(why)


async def _reach(way: Way, token: str, helo: str, host: str, port: int) -> Upstream:
    connector = way.connector
    async with asyncio.timeout(STEP):
        found = await dial.resolve(connector, host, port)
        connected = await dial.connect(connector, found)
    context = dial.tls_context(connector)
    smtp = dial.client(connector, host, helo, connected, STEP, context)
    try:
        await smtp.connect()
        if connector.tls != "tls":
            await smtp.ehlo()
            name = connector.server_name or host
            await smtp.starttls(server_hostname=name, tls_context=context)
        dial.compare_fingerprint(connector, dial.peer_certificate(smtp))
        await smtp.ehlo()
        await dial.login_with_token(smtp, connector.username, token)
        assert isinstance(smtp.transport, asyncio.WriteTransport)  # noqa: S101 - tells mypy
        assert smtp.protocol is not None  # noqa: S101 - tells mypy
        # Its drain() waits while the server takes no more: what aiosmtplib lacks.
        loop = asyncio.get_running_loop()
        writer = asyncio.StreamWriter(smtp.transport, smtp.protocol, None, loop)
        return Upstream(way, smtp, host, writer)
    except BaseException:
        abort(smtp)
        raise
