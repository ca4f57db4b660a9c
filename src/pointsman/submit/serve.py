"""`pointsman run submit`: a socket for each oauth2 connector, and a session for each lmtp(8)."""

import asyncio
import os
import signal
import stat
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from pointsman import logs, notify_socket
from pointsman.config import Config
from pointsman.errors import PointsmanError
from pointsman.locks import locked
from pointsman.oauth.handover import Access, Way, digest, read_access, read_way
from pointsman.postfix.conf import Instance
from pointsman.submit.session import Session
from pointsman.submit.upstream import NoLoginError, Pool, Upstream

POLL = 0.1  # seconds between looks for new connectors
PRUNE = 50  # looks between goodbyes on idle connections
GRACE = 5.0  # seconds for transactions that are under way when we are told to stop
PATIENCE = 5.0  # seconds in which the agent hands over a new connector's first token


def prepare(config: Config) -> str:
    """Find out how this Postfix greets, and load what a server needs while we may read it all."""
    import concurrent.futures.thread  # noqa: F401, PLC0415
    import encodings.idna  # noqa: F401, PLC0415

    return Instance(config.postfix.config_directory).parameters("myhostname")["myhostname"]


def serve(config: Config, helo: str) -> None:
    """Run the helper; returns when it gets SIGTERM."""
    if not config.policy_socket.parent.is_dir():
        raise PointsmanError(
            f"there is no folder {config.policy_socket.parent}: run `pointsman setup`"
        )
    with locked(config.state_directory / "submit.lock", wait=False):
        logs.start("submit", config.log)
        os.umask(0o007)  # the folder's group, Postfix's, may connect
        asyncio.run(Helper(config, helo).serve())


class Helper:
    """Holds the sockets, and the connections that all sessions share."""

    def __init__(self, config: Config, helo: str) -> None:
        self._config = config
        self._pool = Pool(helo)
        self._doors: dict[str, asyncio.Server] = {}
        self._sessions: set[asyncio.Task[None]] = set()
        self._blamed: dict[str, str] = {}

    async def serve(self) -> None:
        """Serve until told to stop; what is under way may finish."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await self._look()
        logs.started("submit")
        daemon = notify_socket.service()
        daemon.ready()
        beat = asyncio.create_task(notify_socket.beat(daemon))
        looks = 0
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL)
            looks += 1
            await self._look()
            if looks % PRUNE == 0:
                await self._pool.prune()
        daemon.stopping()
        beat.cancel()
        for name in list(self._doors):
            self._shut(name)
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=GRACE)
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        await self._pool.close()

    async def _look(self) -> None:
        """Open a socket for each connector that has a lane, and close those of others."""
        wanted = {path.stem for path in self._config.ways.glob("*.json")}
        for name in wanted - set(self._doors):
            path = self._config.submit_socket(name)
            _make_room(path)
            serve_client = partial(self._serve_client, name)
            self._doors[name] = await asyncio.start_unix_server(serve_client, path, backlog=128)
        for name in set(self._doors) - wanted:
            self._shut(name)

    def _shut(self, name: str) -> None:
        self._doors.pop(name).close()
        self._config.submit_socket(name).unlink(missing_ok=True)

    async def _serve_client(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - tells mypy
        self._sessions.add(task)
        take, blame = partial(self._take, name), partial(self._blame, name)
        try:
            upstream = await Session(reader, writer, name, take, blame).serve()
            if upstream is not None:
                self._pool.give(upstream)
        except Exception as error:  # noqa: BLE001 - the others must go on
            logs.failed("NOQUEUE", error)
        finally:
            self._sessions.discard(task)
            writer.close()

    async def _take(self, name: str) -> Upstream:
        try:
            way = read_way(self._config.ways / f"{name}.json")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NoLoginError(f"its settings can't be read: {error}") from None
        access = await self._access(name, way)
        upstream = await self._pool.take(way, access, partial(self._refused, name, access))
        self._blamed.pop(name, None)
        return upstream

    async def _access(self, name: str, way: Way) -> Access:
        """The newest token; of a connector that became live just now, it may be on its way."""
        path, end = self._config.access / f"{name}.json", time.monotonic() + PATIENCE
        while True:
            access = read_access(path)
            lacking = access.lacking(way.account, time.time())
            if not lacking:
                return access
            if access.trouble or time.monotonic() > end:
                self._blame(name, lacking)
                raise NoLoginError(lacking)
            await asyncio.sleep(POLL)

    def _refused(self, name: str, access: Access, why: str) -> None:
        """Let the agent know that a new token is due, whatever the old one's age."""
        self._blame(name, why)
        self._config.refused(name).write_text(digest(access.token))

    def _blame(self, name: str, why: str) -> None:
        """Say once what is wrong with a login, until something else is or nothing."""
        if self._blamed.get(name) != why:
            self._blamed[name] = why
            logs.alarm(f"connector {name}", "login", f"can't log in: {logs.plain(why)}")


def _make_room(path: Path) -> None:
    """We hold the lock, so a socket that is there is a dead helper's."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise PointsmanError(f"{path} is there and is no socket: move it away")
        path.unlink()
