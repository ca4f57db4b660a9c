"""Scripts run by one Redis over one connection: all that wait at a time are asked in one go."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

Words = tuple[str | float, ...]


@dataclass(slots=True, eq=False)
class Question:
    """A script with its number of keys, keys and arguments; what the server says to it."""

    script: str
    words: Words
    answer: asyncio.Future[list[str]]

    def take(self, said: list[str] | ResponseError) -> None:
        """What the server says."""
        if isinstance(said, ResponseError):
            self.fail(said)
        elif not self.answer.done():
            self.answer.set_result(said)

    def fail(self, error: Exception) -> None:
        """There is no answer; nobody may wait for it any more."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Pipeline:
    """The library's connection without its pool, which takes longer than the server does."""

    def __init__(self, url: str, timeout: float) -> None:
        pool = ConnectionPool.from_url(
            url, socket_timeout=None, socket_connect_timeout=timeout, decode_responses=True
        )
        self._timeout = timeout
        self._connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]
        self._waiting: list[Question] = []
        self._busy: asyncio.Task[None] | bool = False

    async def run(self, script: str, keys: Sequence[str], args: Sequence[float]) -> list[str]:
        """The script's answer; raises RedisError or OSError if there is none."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append(Question(script, (len(keys), *keys, *args), answer))
        if not self._busy:
            await self._ask_all()
        return cast("list[str]", await answer)

    async def close(self) -> None:
        """Hang up; the next question dials again."""
        await self._connection.disconnect()

    async def _ask_all(self) -> None:
        """Ask what waits; what came meanwhile does not keep this caller."""
        self._busy = True
        questions, self._waiting = self._waiting, []
        try:
            await self._ask(questions)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            for question in questions:
                question.fail(error)
            await self._connection.disconnect(nowait=True)
        except BaseException:
            # The program ends. Later questions must not get the answers that still come.
            for question in questions:
                question.answer.cancel()
            await self._connection.disconnect(nowait=True)
            raise
        finally:
            self._busy = self._waiting != [] and asyncio.create_task(self._ask_all())

    async def _ask(self, questions: Sequence[Question]) -> None:
        commands = [("EVALSHA", _digest(q.script), *q.words) for q in questions]
        for question, said in zip(questions, await self._say(commands), strict=True):
            known = not isinstance(said, NoScriptError)  # else the server is new, or was flushed
            question.take(said if known else await self._teach(question))

    async def _teach(self, question: Question) -> Any:
        (said,) = await self._say([("EVAL", question.script, *question.words)])
        return said

    async def _say(self, commands: Sequence[Words]) -> list[Any]:
        """Ask, and once more if the server had hung up since the last time.

        It may then count twice: less leaves, never more.
        """
        if self._connection.is_connected:
            try:
                return await self._exchange(commands)
            except (RedisConnectionError, ConnectionError):
                await self._connection.disconnect()
        await self._connection.connect()  # type: ignore[no-untyped-call]
        return await self._exchange(commands)

    async def _exchange(self, commands: Sequence[Words]) -> list[Any]:
        try:
            # The library's own way to a timeout is a task for each write.
            async with asyncio.timeout(self._timeout):
                packed = self._connection.pack_commands(commands)
                await self._connection.send_packed_command(packed)
                return [await self._answer() for _ in commands]
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._timeout:g} s") from None

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response()
        except ResponseError as error:
            return error


@cache
def _digest(script: str) -> str:
    """The name by which the server knows a script."""
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
