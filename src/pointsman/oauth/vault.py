"""Tokens at rest: sealed, in a table of their own, since a renewal is no new revision."""

import time
from collections.abc import Iterable, Mapping

from sqlalchemy import delete, insert, select

from pointsman.config import Config
from pointsman.locks import locked
from pointsman.oauth.grants import Client, GrantError, Token, fetch
from pointsman.oauth.timing import renew_at
from pointsman.store import tables
from pointsman.store.book import record_of
from pointsman.store.database import Store, StoreError
from pointsman.store.providers import ASKING, account_of, endpoints
from pointsman.store.records import Connector

INSIST = 60.0  # seconds to go on trying to keep a new token

Key = tuple[str, str]  # a connector's name, and whose tokens they are: `account_of`


def load(store: Store) -> dict[Key, Token]:
    """All tokens, open."""
    with store.reading() as connection:
        rows = connection.execute(select(tables.token)).all()
    unseal = store.secrets.unseal
    return {
        (row.connector, row.account): Token(
            unseal(row.access) if row.access else "",
            row.obtained,
            row.expires,
            unseal(row.refresh) if row.refresh else "",
        )
        for row in rows
    }


def lives(store: Store) -> dict[Key, tuple[float, float]]:
    """When each token was obtained and when it ends; for that nobody needs the key file."""
    with store.reading() as connection:
        rows = connection.execute(select(tables.token)).all()
    return {(row.connector, row.account): (row.obtained, row.expires) for row in rows}


def keep(store: Store, key: Key, token: Token) -> None:
    """Replace the tokens of one account."""
    table, seal = tables.token, store.secrets.seal
    row = {
        "connector": key[0],
        "account": key[1],
        "access": seal(token.access),
        "refresh": seal(token.refresh) if token.refresh else "",
        "obtained": token.obtained,
        "expires": token.expires,
    }
    with store.writing() as connection:
        connection.execute(
            delete(table).where(table.c.connector == key[0], table.c.account == key[1])
        )
        connection.execute(insert(table).values(**row))


def forget(store: Store, names: Iterable[str]) -> None:
    """Drop the tokens of connectors that need none any more."""
    with store.writing() as connection:
        connection.execute(delete(tables.token).where(tables.token.c.connector.in_(list(names))))


def connectors(store: Store) -> Mapping[str, Connector]:
    """Those that log in with a token, without reading 100,000 senders."""
    table = tables.connector
    with store.reading() as connection:
        rows = connection.execute(select(table).where(table.c.auth == "oauth2")).all()
    records = [record_of(Connector, row) for row in rows]
    return {record.name: record for record in records}


def client_of(store: Store, connector: Connector) -> Client:
    """Who asks the provider, secrets opened."""
    unseal = store.secrets.unseal
    return Client(
        endpoints(connector),
        connector.username,
        connector.client_id,
        unseal(connector.client_secret) if connector.client_secret else "",
        unseal(connector.service_account) if connector.service_account else "",
    )


def obtain(
    config: Config, store: Store, connector: Connector, *, instead_of: Token | None = None
) -> Token:
    """Return the kept token while it is good for long, else a new one.

    `instead_of`: one that is not to be returned, however good it looks. Raises GrantError, and
    BusyError while another host asks. One at a time for each connector, of all hosts: a
    refresh token may be good only once.
    """
    key = (connector.name, account_of(connector))
    turn = f"token of connector {connector.name}"
    with locked(config.state_directory / f"token-{connector.name}.lock"), store.alone(turn):
        now, kept = time.time(), load(store).get(key)
        good = kept is not None and now < renew_at(kept.obtained, kept.expires)
        if kept and good and (instead_of is None or kept.access != instead_of.access):
            return kept
        refresh = kept.refresh if kept else ""
        if endpoints(connector).flow in ASKING and not refresh:
            raise GrantError(
                f"connector {connector.name} is not authorized: run `pointsman connector "
                f"authorize {connector.name}`"
            )
        token = _fetch(store, connector, refresh, now)
        _keep_surely(store, key, token)
        return token


def _keep_surely(store: Store, key: Key, token: Token) -> None:
    """The provider may have taken back the old refresh token: do not lose the new one lightly."""
    deadline = time.monotonic() + INSIST
    while True:
        try:
            keep(store, key, token)
        except StoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)
        else:
            return


def _fetch(store: Store, connector: Connector, refresh: str, now: float) -> Token:
    try:
        return fetch(client_of(store, connector), refresh, now)
    except GrantError as error:
        if refresh and error.code == "invalid_grant":
            raise GrantError(
                f"{error}; the authorization is no longer good: run `pointsman connector "
                f"authorize {connector.name}`",
                error.code,
            ) from None
        raise
