"""Several hosts on one PostgreSQL: the commands, the tokens, the signs of life."""

import json
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from lab.city import new_folder
from lab.postgres import Postgres
from lab.provider import CLIENT, SECRET, Provider
from pointsman import config as configs
from pointsman import logs
from pointsman.heartbeat import Heartbeat
from pointsman.oauth import vault
from pointsman.store import hosts as rows
from pointsman.store.database import BusyError, Store, StoreError
from pointsman.store.hosts import AWAY, BEAT, Host
from pointsman.store.providers import account_of
from tests.wire.conftest import Admin

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def postgres():
    """A server of our own."""
    folder = new_folder()
    server = Postgres(folder / "postgres").create()
    yield server
    server.kill()
    shutil.rmtree(folder)


@pytest.fixture
def hosts(admin, postgres, tmp_path, request):
    """Two hosts' configurations: one key, one database, and all else their own."""
    url = postgres.create_database(f"pm{abs(hash(request.node.name))}")
    found = []
    for name in ("mx1", "mx2"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(admin.folder / "secret.key", folder)
        host = Admin(folder)
        host.configure(database=url, host_name=name)
        found.append(host)
    store_of(found[0]).create()
    return found


@pytest.fixture
def provider():
    """A token endpoint that takes each refresh token only once."""
    server = Provider().start()
    yield server
    server.stop()


def authorized(host, provider):
    """Connector `o`, which a person has agreed to."""
    host.do(
        *("connector", "add", "o", "--host", "localhost:587", "--auth", "oauth2"),
        *("--username", "clerk@a.test", "--scope", "mail.send", "--oauth-flow", "device"),
        *("--token-url", provider.url("token"), "--consent-url", provider.url("device")),
        *("--client-id", CLIENT, "--client-secret-file", host.write("secret", SECRET)),
    )
    host.do("connector", "authorize", "o")
    return vault.connectors(store_of(host))["o"]


def kept(store, connector):
    """The token that stands in the database."""
    return vault.load(store)["o", account_of(connector)]


def store_of(host):
    """A host's database."""
    return Store(configs.load(host.config_file))


def test_history_and_list_name_the_host(hosts):
    """Who changed what, from where; and who has what."""
    mx1, mx2 = hosts
    mx1.do("agency", "add", "court", "--any-client")
    mx2.do("agency", "set", "court", "--description", "x")
    changes = [json.loads(line) for line in mx1.do("history", "--json").splitlines()]
    assert [change["host"] for change in changes] == ["mx2", "mx1"]
    assert mx1.do("host", "list").startswith("-- 0 hosts: ")
    now = time.time()
    rows.put(store_of(mx1), Host("mx1", "1", 2, now, now))
    rows.put(store_of(mx2), Host("mx2", "1", 1, now, now - AWAY - 1))
    shown = [line.split() for line in mx1.do("host", "list").splitlines()]
    assert shown[2][:4] == ["mx1", "live", "2", "-"]
    assert shown[3][:5] == ["mx2", "away", "1", "by", "1"]
    mx2.do("host", "remove", "mx2")
    assert "mx2" not in mx1.do("host", "list")


@pytest.mark.parametrize(
    ("revision", "seen", "trouble", "state"),
    [
        (7, NOW, "", "live"),
        (8, NOW, "", "live"),  # the newest was read before this
        (6, NOW, "", "behind"),
        (7, NOW, "postfix check failed", "troubled"),
        (7, NOW - AWAY, "", "live"),
        (7, NOW - AWAY - 1, "x", "away"),
        (7, NOW + 3600, "", "live"),  # its clock is wrong
    ],
)
def test_state_in_a_word(revision, seen, trouble, state):
    """The worst one counts."""
    assert Host("mx1", "1", revision, NOW, seen, trouble).state(7, NOW) == state


def test_sign_of_life_is_written_when_there_is_news_and_now_and_then(hosts):
    """Each write is one on the server: ten times a second would be too many."""
    store = store_of(hosts[0])
    heart = Heartbeat(store)
    for at, revision, trouble, seen in (
        (0.0, 1, "", 0.0),
        (BEAT - 1, 1, "", 0.0),
        (BEAT, 1, "", BEAT),
        (BEAT + 1, 2, "", BEAT + 1),
        (BEAT + 2, 2, "no such lane", BEAT + 2),
        (BEAT + 3, 2, "no such lane", BEAT + 2),
    ):
        heart.beat(revision, trouble, NOW + at)
        (row,) = rows.all_of(store)
        assert (row.revision, row.trouble, row.seen) == (revision, trouble, NOW + seen)
    assert row.applied == NOW + BEAT + 1


def test_sign_of_life_that_is_not_taken_waits_for_its_turn(hosts, postgres):
    """A read-only server must not be asked twice a second."""
    store, name = store_of(hosts[0]), postgres_name(hosts[0])
    postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    heart = Heartbeat(store)
    heart.beat(1, "", NOW)
    postgres.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    store.engine.dispose()
    heart.beat(1, "", NOW + BEAT - 1)
    assert rows.all_of(store) == []
    heart.beat(1, "", NOW + BEAT)
    assert [row.seen for row in rows.all_of(store)] == [NOW + BEAT]


def test_two_agents_under_one_name_are_told(hosts, tmp_path, monkeypatch):
    """A cloned machine would hide behind the other's row."""
    monkeypatch.setattr(logs, "_sinks", [])
    logs.start("agent", str(tmp_path / "twin.log"))
    one, other = (Heartbeat(store_of(hosts[0])) for _ in range(2))
    for number in range(4):
        one.beat(1, "", NOW + number * BEAT)
        other.beat(1, "", NOW + number * BEAT)
    log = (tmp_path / "twin.log").read_text()
    assert log.count("host mx1 is the name of two agents") == 2, "each says it once"


def test_restarted_agent_is_no_twin(hosts, tmp_path, monkeypatch):
    """It finds the row of the one before it."""
    monkeypatch.setattr(logs, "_sinks", [])
    logs.start("agent", str(tmp_path / "twin.log"))
    for life in range(3):
        heart = Heartbeat(store_of(hosts[0]))
        for number in range(3):
            heart.beat(1, "", NOW + (life * 3 + number) * BEAT)
    assert "two agents" not in (tmp_path / "twin.log").read_text()


def test_hosts_that_renew_a_token_at_once_ask_the_provider_once(hosts, provider):
    """It takes a refresh token only once: the second would lose the authorization."""
    connector = authorized(hosts[0], provider)
    stores = [store_of(host) for host in hosts]
    for _ in range(5):
        old = kept(stores[0], connector)
        asked = len(provider.requests)
        got = []

        def renew(store, old=old, got=got):
            with suppress(BusyError):  # the agent looks again half a second later
                got.append(vault.obtain(store.config, store, connector, instead_of=old))

        threads = [threading.Thread(target=renew, args=(store,)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        new = kept(stores[1], connector)
        assert {*got} == {new}
        assert new != old
        assert len(provider.requests) == asked + 1
        assert new.refresh in provider.refreshing


def test_new_token_is_kept_once_the_database_is_back(hosts, provider, postgres, monkeypatch):
    """The provider took the old refresh token back already."""
    connector, store = authorized(hosts[0], provider), store_of(hosts[0])
    old, answer, back = (
        kept(store, connector),
        provider.answer,
        threading.Timer(1.0, postgres.start),
    )

    def answer_to_nobody(path, form):
        postgres.stop()
        back.start()
        return answer(path, form)

    monkeypatch.setattr(provider, "answer", answer_to_nobody)
    new = vault.obtain(store.config, store, connector, instead_of=old)
    back.join()
    assert kept(store, connector) == new != old
    assert new.refresh in provider.refreshing


def test_no_token_is_asked_for_that_could_not_be_kept(hosts, provider, postgres):
    """A read-only server would lose the new refresh token, and the provider has taken the old."""
    connector, name = authorized(hosts[0], provider), postgres_name(hosts[0])
    asked = len(provider.requests)
    postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    store = store_of(hosts[0])
    with pytest.raises(StoreError, match="takes no changes, it is read-only"):
        vault.obtain(store.config, store, connector, instead_of=kept(store, connector))
    assert len(provider.requests) == asked


def postgres_name(host):
    """The name of a host's database."""
    return configs.load(host.config_file).database.rpartition("/")[2]


def test_missing_row_is_a_sentence(hosts):
    """Nothing is removed by a typing mistake."""
    result = hosts[0].run("host", "remove", "mx3")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no host 'mx3'; `pointsman host list` shows them" in result.stderr


def test_host_name_must_be_a_name(hosts):
    """It stands in log lines and tables."""
    host = hosts[0]
    for name in ("mx 1", "m\u00fc", "x" * 65):
        host.configure(host_name=name)
        assert "host_name: expected a name such as mx1" in host.run("status").stderr
    assert replace(configs.Config(), host_name="mx1").host == "mx1"
