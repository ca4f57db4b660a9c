"""`connector authorize` and the token endpoint: real HTTP, each answer of RFC 8628's."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lab.provider import CLIENT, SECRET, Provider
from pointsman import config
from pointsman.oauth import grants, vault
from pointsman.oauth.grants import REDIRECT, GrantError
from pointsman.store.database import Store
from pointsman.store.providers import account_of


@pytest.fixture
def provider():
    """The token endpoint."""
    server = Provider().start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def service_account():
    """A JSON key, as Google's console gives it."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    data = {"type": "service_account", "client_email": "robot@lab.test"}
    return json.dumps({**data, "private_key": key.decode()}, indent=2)


def add(admin, provider, flow, *more, consent="device"):
    """Add connector `o`."""
    admin.do(
        *("connector", "add", "o", "--host", "localhost:587", "--auth", "oauth2"),
        *("--username", "clerk@a.test", "--scope", "mail.send", "--oauth-flow", flow),
        *("--token-url", provider.url("token"), "--consent-url", provider.url(consent)),
        *("--client-id", CLIENT, "--client-secret-file", admin.write("secret", SECRET)),
        *more,
    )


def store_of(admin):
    """The database of a configuration."""
    return Store(config.load(admin.config_file))


def kept(admin):
    """The tokens that are kept, open."""
    store = store_of(admin)
    tokens = vault.load(store)
    account = account_of(vault.connectors(store)["o"])
    return tokens.get(("o", account))


def test_device_prints_a_code_and_waits(admin, provider):
    """While the person has not agreed it asks again, more slowly when told so."""
    provider.device_answers = ["authorization_pending", "slow_down", "authorization_pending"]
    add(admin, provider, "device")
    printed = admin.do("connector", "authorize", "o")
    assert "open https://login.lab.test/device and enter the code ABCD-1234" in printed
    assert "connector o may send as clerk@a.test" in printed
    assert provider.device_answers == []
    assert kept(admin).refresh in provider.refreshing


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("access_denied", "Error: the person did not allow it\n"),
        ("expired_token", "Error: nobody entered the code in time: run it again\n"),
        ("invalid_grant", "Error: 127.0.0.1 answers invalid_grant\n"),
    ],
)
def test_device_that_gets_no_token(admin, provider, answer, sentence):
    """One sentence, and nothing is kept."""
    provider.device_answers = [answer]
    add(admin, provider, "device")
    result = admin.run("connector", "authorize", "o")
    assert (result.exit_code, result.stderr) == (1, sentence)
    assert kept(admin) is None


def test_browser_ends_at_an_address_that_is_pasted(admin, provider):
    """PKCE's challenge is in the first address, and the provider compares."""
    add(admin, provider, "browser", consent="authorize")

    def paste(address):
        query = {name: v[0] for name, v in parse_qs(urlsplit(address).query).items()}
        assert query["redirect_uri"] == REDIRECT
        code = provider.agree(query["code_challenge"])
        return f"{REDIRECT}/?code={code}&state={query['state']}"

    client = vault.client_of(store_of(admin), vault.connectors(store_of(admin))["o"])
    browser = grants.begin_browser(client)
    token = grants.finish_browser(client, browser, paste(browser.url), 1000.0)
    assert token.refresh in provider.refreshing
    assert token.expires == 1000.0 + provider.lifetime
    other = grants.begin_browser(client)
    with pytest.raises(GrantError, match="not the address at which the browser ended"):
        grants.finish_browser(client, other, paste(browser.url), 1000.0)


def test_authorization_is_for_those_who_need_it(admin, provider):
    """A connector whose provider's admin agreed, or that has a password, has no use for it."""
    add(admin, provider, "client-credentials", "--consent-url", "")
    result = admin.run("connector", "authorize", "o")
    assert result.stderr == (
        "Error: connector o needs no authorization: its flow is client-credentials\n"
    )


def test_a_refresh_token_is_replaced_by_the_new_one(admin, provider):
    """A provider that takes each only once still renews."""
    add(admin, provider, "device")
    admin.do("connector", "authorize", "o")
    store, connector = store_of(admin), vault.connectors(store_of(admin))["o"]
    first = kept(admin)
    for _ in range(3):
        vault.obtain(store.config, store, connector, instead_of=kept(admin))
    assert kept(admin).refresh != first.refresh
    assert kept(admin).refresh in provider.refreshing
    assert vault.obtain(store.config, store, connector) == kept(admin)


def test_a_revoked_authorization_says_what_to_do(admin, provider):
    """The command that brings it back is in the sentence."""
    add(admin, provider, "device")
    admin.do("connector", "authorize", "o")
    provider.revoke()
    store, connector = store_of(admin), vault.connectors(store_of(admin))["o"]
    with pytest.raises(GrantError, match="run `pointsman connector authorize o`"):
        vault.obtain(store.config, store, connector, instead_of=kept(admin))


def test_no_secret_is_shown_or_kept_open(admin, provider):
    """Not in the database, not in what is shown, not in an error that repeats it."""
    add(admin, provider, "device")
    printed = admin.do("connector", "authorize", "o")
    printed += admin.do("connector", "show", "o") + admin.do("history", "--json")
    provider.down = f"invalid {SECRET}"
    printed += admin.run("connector", "authorize", "o").output
    assert "invalid ***" in printed
    for secret in [SECRET, *provider.given]:
        assert secret not in printed + admin.dump()
    assert json.loads(admin.do("connector", "show", "o", "--json"))["client_secret"] == "(set)"


def test_a_renewal_is_no_revision(admin, provider):
    """It is no edit of an admin's, and nothing is applied for it."""
    add(admin, provider, "device")
    before = store_of(admin).revision()
    admin.do("connector", "authorize", "o")
    assert store_of(admin).revision() == before


WRONG = {
    "--auth oauth2 needs --tls starttls or tls: .*": ("--tls", "none"),
    "google gives no token for mail by --oauth-flow device: .*": ("--oauth-provider", "google"),
    "--oauth-provider microsoft needs --tenant: .*": (
        *("--oauth-provider", "microsoft", "--token-url", ""),
    ),
    "--tenant is only for --oauth-provider microsoft": ("--tenant", "x.test"),
    "--oauth-flow client-credentials needs --client-secret-file": (
        *("--oauth-flow", "client-credentials", "--client-secret-file", ""),
    ),
    "--oauth-flow service-account needs --service-account-file": (
        *("--oauth-flow", "service-account", "--client-id", "", "--client-secret-file", ""),
    ),
    "--client-id is not for --oauth-flow service-account": (
        *("--oauth-flow", "service-account", "--service-account-file", "KEY"),
    ),
    "--auth oauth2 needs --username": ("--username", ""),
    "--oauth-provider other needs --token-url": ("--token-url", ""),
    "'http://login.test/': secrets go there, so it must begin with https://": (
        *("--token-url", "http://login.test/"),
    ),
    "--password-file is only for --auth password": ("--password-file", "PASSWORD"),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_can_not_work_is_refused(admin, provider, service_account, sentence):
    """One sentence each, status 2, and the connector stays as it was."""
    add(admin, provider, "device")
    before = admin.dump()
    files = {"KEY": admin.write("key", service_account), "PASSWORD": admin.write("pw", "x")}
    result = admin.run("connector", "set", "o", *(files.get(w, w) for w in WRONG[sentence]))
    assert result.exit_code == 2
    assert re.fullmatch(f"Error: {sentence}", result.stderr.strip().splitlines()[-1])
    assert admin.dump() == before


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"private_key": "x", "client_email": "y"}', "x"])
def test_what_is_no_service_account_is_refused(admin, provider, text):
    """In a sentence, and nothing of the file is repeated."""
    add(admin, provider, "device")
    path = admin.write("key", text)
    result = admin.run("connector", "set", "o", "--service-account-file", path)
    assert result.exit_code == 2
    assert "is empty" in result.stderr or "no JSON key of a service account" in result.stderr


def test_a_provider_that_is_away_or_talks_nonsense(admin, provider):
    """Its host is named, and what is wrong with it."""
    add(admin, provider, "client-credentials", "--consent-url", "")
    store, connector = store_of(admin), vault.connectors(store_of(admin))["o"]
    provider.lifetime = "soon"
    assert vault.obtain(store.config, store, connector).access in provider.valid
    provider.stop()
    with pytest.raises(GrantError, match=r"127\.0\.0\.1 can't be asked for a token: .*refused"):
        vault.obtain(store.config, store, connector, instead_of=kept(admin))
    provider.start()
