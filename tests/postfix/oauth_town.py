"""A town whose agency sends through an oauth2 connector."""

import json
import re
from contextlib import contextmanager

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lab.city import built
from lab.instance import wait_until
from lab.provider import CLIENT, SECRET, Provider
from lab.submission import Submission

MAILBOX = "clerk@a.test"


@contextmanager
def oauth_town(flow="client-credentials", lifetime=3600.0, options=(), *, tls="starttls"):
    """Build it, the connector `a` enabled unless a person must agree first."""
    provider = Provider(lifetime).start()
    try:
        with built(daemons=("policy", "milter", "submit", "agent")) as city:
            certificate = city.authority.issue("localhost")
            server = Submission(provider, certificate, implicit_tls=tls == "tls").start()
            city.provider, city.submission = provider, server
            try:
                run = city.postfix.cli
                run("agency", "add", "a", "--login", "a-app", "--rate", "unlimited")
                run("connector", "add", "a", *connector_options(city, flow, tls), *options)
                run("sender", "link", "@a.test", "--agency", "a", "--connector", "a")
                if flow in ("client-credentials", "service-account"):
                    run("connector", "enable", "a")
                city.settle()
                yield city
                assert_no_secret(city)
            finally:
                server.stop()
    finally:
        provider.stop()


def connector_options(city, flow, tls="starttls"):
    """The options of `connector add`."""
    return [
        *("--host", f"localhost:{city.submission.port}", "--tls", tls),
        *("--ca-file", str(city.authority.ca_file), "--auth", "oauth2"),
        *("--oauth-flow", flow, "--username", MAILBOX, "--scope", "mail.send"),
        *("--token-url", city.provider.url("token")),
        *OF_FLOW[flow](city),
    ]


def _client(city):
    path = city.folder / "client.secret"
    path.write_text(SECRET)
    return ["--client-id", CLIENT, "--client-secret-file", str(path)]


def _service_account(city):
    key = rsa.generate_private_key(65537, 2048)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    city.provider.public_keys["robot@lab.test"] = public.decode()
    data = {"type": "service_account", "private_key": private, "private_key_id": "1"}
    path = city.folder / "account.json"
    path.write_text(json.dumps({**data, "client_email": "robot@lab.test"}, indent=2))
    return ["--service-account-file", str(path)]


OF_FLOW = {
    "client-credentials": _client,
    "service-account": _service_account,
    "device": lambda city: [*_client(city), "--consent-url", city.provider.url("device")],
    "browser": lambda city: [*_client(city), "--consent-url", city.provider.url("authorize")],
}


def arrived(city, subject, timeout=20.0):
    """Wait for a message at the submission server."""

    def look():
        return [t for t in city.submission.received if t.subject == subject]

    wait_until(look, f"{subject!r} to arrive", timeout)
    return look()[0]


def deliveries(city, queue_id):
    """What Postfix says became of each recipient, the last word on each."""
    pattern = rf"postfix/pm-a/lmtp\[\d+\]: {queue_id}: to=<([^>]*)>.* status=(\w+) (.*)"
    return {to: (status, why) for to, status, why in re.findall(pattern, city.postfix.log())}


def access(city):
    """What the agent handed to the helper."""
    return json.loads((city.postfix.state_directory / "access" / "a.json").read_text())


def assert_no_secret(city):
    """No log, and no file that others may read, has a token or a secret in it."""
    files = [city.postfix.log_file, *(city.postfix.config_directory / "pointsman").rglob("*")]
    texts = {path: path.read_bytes() for path in files if path.is_file()}
    secrets = [SECRET, *city.provider.given]
    found = [(path, s) for path, t in texts.items() for s in secrets if s.encode() in t]
    assert found == []
