"""The agent's third part: keeps each oauth2 connector in an access token, well before it ends.

A token that the provider does not renew is an alarm while mail still goes with the old one.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pointsman import logs
from pointsman.config import Config
from pointsman.current import Current
from pointsman.errors import PointsmanError
from pointsman.oauth import vault
from pointsman.oauth.grants import Token
from pointsman.oauth.handover import Access, access_text, digest
from pointsman.oauth.timing import pause_after, renew_at
from pointsman.postfix import files, queue
from pointsman.postfix.conf import Instance
from pointsman.store import usage
from pointsman.store.database import BusyError, Store, jittered
from pointsman.store.providers import account_of
from pointsman.store.records import Connector
from pointsman.trouble import Trouble

PAUSE = 0.5  # seconds between looks
RETRY = 5.0  # seconds to wait after trouble, more or less
AT_ONCE = 8  # providers asked at the same time: one that hangs keeps few waiting


@dataclass
class _State:
    """What is remembered of one connector."""

    settings: tuple[Connector, str]  # with another of these, everything begins anew
    failures: int = 0  # in a row: requests that failed, or new tokens that were refused
    next_try: float = 0.0
    trouble: str = ""


class Renewal(threading.Thread):
    """Runs beside the agent, so that a provider that hangs keeps no apply waiting."""

    def __init__(
        self, config: Config, store: Store, stop: threading.Event, alive: Callable[[str], None]
    ) -> None:
        super().__init__(name="renewal", daemon=True)
        self._config = config
        self._store = store
        self._stop_event = stop
        self._alive = alive
        self._states: dict[str, _State] = {}
        self._handed: dict[str, str] = {}
        self._revision = -1
        self._connectors: Mapping[str, Connector] = {}
        self._trouble = Trouble()

    def run(self) -> None:
        """Do it until told to stop."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while not self._stop_event.wait(jittered(RETRY) if self._trouble else PAUSE):
                try:
                    self._step(pool)
                    self._trouble.over()
                except (PointsmanError, OSError) as error:
                    self._trouble.came(error)
                self._alive(self.name)

    def _step(self, pool: ThreadPoolExecutor) -> None:
        revision = self._store.revision()
        if revision != self._revision:
            self._connectors = vault.connectors(self._store)
            self._drop_the_rest()
            self._revision = revision
        if self._connectors:
            tokens = vault.load(self._store)
            list(pool.map(lambda c: self._tend(c, tokens), self._connectors.values()))

    def _drop_the_rest(self) -> None:
        """Take away the tokens of connectors that use none any more."""
        gone = {name for name, _ in vault.load(self._store)} - set(self._connectors)
        if gone:
            vault.forget(self._store, gone)
        for path in self._config.access.glob("*.json"):
            if path.stem not in self._connectors:
                path.unlink()
                self._config.refused(path.stem).unlink(missing_ok=True)
                self._handed.pop(path.stem, None)

    def _tend(self, connector: Connector, tokens: Mapping[vault.Key, Token]) -> None:
        """Renew one connector's token if it is time, hand it over, and send on what waited."""
        account = account_of(connector)
        token = tokens.get((connector.name, account))
        state = self._state(connector, token)
        now, waiting = time.time(), bool(state.trouble)
        due = self._is_due(connector, token)
        if not due:  # it may be new by the command line
            state.trouble = ""
        elif connector.state != "new" and now >= state.next_try:
            waiting |= self._is_refused(connector, token)
            token = self._renew(connector, token, state)
        good = token.access if token and token.expires > now else ""
        expires = token.expires if token else 0.0
        self._hand_over(connector, Access(account, good, expires, state.trouble))
        if waiting and not state.trouble:
            self._send_on(connector)

    def _state(self, connector: Connector, token: Token | None) -> _State:
        settings = (connector, token.refresh if token else "")
        state = self._states.get(connector.name)
        if state is None or state.settings != settings:
            trouble = state.trouble if state else ""
            state = self._states[connector.name] = _State(settings, trouble=trouble)
        return state

    def _is_due(self, connector: Connector, token: Token | None) -> bool:
        if token is None or time.time() >= renew_at(token.obtained, token.expires):
            return True
        return self._is_refused(connector, token)

    def _is_refused(self, connector: Connector, token: Token | None) -> bool:
        """Whether the server takes this token no more, as the helper noted it."""
        with suppress(OSError):
            # Another account's file: no link is followed, and nothing waited for.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self._config.refused(connector.name), flags)
            with os.fdopen(descriptor, "rb") as file:
                return token is not None and file.read(64).decode("ascii", "replace") == digest(
                    token.access
                )
        return False

    def _renew(self, connector: Connector, token: Token | None, state: _State) -> Token | None:
        """Get a new token; returns the old one if there is none to be had."""
        refused = self._is_refused(connector, token)
        try:
            new = vault.obtain(self._config, self._store, connector, instead_of=token)
        except BusyError:
            return token  # another host asks: the next look finds what it got
        except (PointsmanError, OSError) as error:
            state.failures += 1
            state.next_try = time.time() + pause_after(state.failures)
            self._failed(connector, state, str(error))
            return token
        # A provider that gives a token at once which the server refuses is asked less and less.
        state.failures = state.failures + 1 if refused else 0
        state.next_try = time.time() + pause_after(state.failures) if refused else 0.0
        state.settings = (connector, new.refresh)
        state.trouble = ""
        logs.token_renewed(connector.name, new.expires - time.time())
        return new

    def _failed(self, connector: Connector, state: _State, why: str) -> None:
        """Say it once, in the log and for people."""
        if state.trouble:
            return
        state.trouble = why
        self._tell(connector, "token", f"gets no new access token: {why}")

    def _tell(self, connector: Connector, kind: str, text: str) -> None:
        name = f"connector {connector.name}"
        logs.alarm(name, kind, logs.plain(text, 500))
        with suppress(PointsmanError):
            usage.add(self._store, {}, [(name, kind, text)])

    def _send_on(self, connector: Connector) -> None:
        """Try again at once what waited for the token."""
        self._tell(connector, "token-back", "gets access tokens again")
        current = Current(self._config.snapshot, quiet=True)
        current.refresh()
        if current.snapshot is not None:
            instance = Instance(self._config.postfix.config_directory)
            queue.move_on(instance, current.snapshot, [connector.name])

    def _hand_over(self, connector: Connector, access: Access) -> None:
        text = access_text(access)
        if self._handed.get(connector.name) == text:
            return
        group = files.group_of(self._config.user)
        files.write(_path(self._config, connector), text, 0o640, group)
        self._handed[connector.name] = text


def _path(config: Config, connector: Connector) -> Path:
    return config.access / f"{connector.name}.json"
