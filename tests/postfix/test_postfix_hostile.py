"""Case 9: what main.cf says about smtp(8) changes no lane; any password arrives exactly."""

import json

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lab.city import built
from lab.instance import free_port
from lab.nexthop import NextHop
from pointsman.errors import UsageError
from pointsman.postfix.lane import TIMEOUTS, Tables, parameters
from pointsman.store.checks import checked_password, checked_username
from pointsman.store.records import Connector

FOREIGN = "[127.0.0.1]:9"


def hostile(city, trap):
    """Every parameter that a lane states, at its worst; `trap` is a server to be led to."""
    folder = city.postfix.folder
    (folder / "evil.pcre").write_text("/^/ IGNORE\n")
    (folder / "generic.pcre").write_text("/^(.*)@.*/ evil@evil.test\n")
    (folder / "evil.pw").write_text("/^/ evil:evil\n")
    (folder / "policy.pcre").write_text("/^/ none\n")
    (folder / "reply.pcre").write_text("/^250(.*)/ 550 5.0.0 evil\n")
    (folder / "status.pcre").write_text("/^(2|4)(.*)/ 5.0.0 evil\n")
    (folder / "dns.pcre").write_text("/^/ IGNORE\n")
    return {
        "smtp_fallback_relay": f"[127.0.0.1]:{trap.port}",
        "smtp_host_lookup": "dns",
        "smtp_dns_support_level": "disabled",
        "smtp_dns_resolver_options": "res_dnsrch",
        "smtp_dns_reply_filter": f"pcre:{folder}/dns.pcre",
        "smtp_cname_overrides_servername": "yes",
        "smtp_bind_address": "127.0.0.9",
        "smtp_bind_address6": "::9",
        "smtp_bind_address_enforce": "yes",
        "smtp_helo_name": "evil.test",
        "smtp_always_send_ehlo": "no",
        "smtp_never_send_ehlo": "yes",
        "smtp_discard_ehlo_keywords": "starttls, auth",
        "smtp_discard_ehlo_keyword_address_maps": "static:{starttls, auth}",
        "smtp_send_xforward_command": "yes",
        "smtp_tls_security_level": "none",
        "smtp_tls_wrappermode": "no",
        "smtp_use_tls": "no",
        "smtp_enforce_tls": "no",
        "smtp_tls_enforce_peername": "no",
        "smtp_tls_policy_maps": f"pcre:{folder}/policy.pcre",
        "smtp_tls_per_site": f"pcre:{folder}/policy.pcre",
        "smtp_tls_CAfile": "",
        "smtp_tls_CApath": "/nonexistent",
        "smtp_tls_trust_anchor_file": str(city.authority.issue("evil.test")),
        "smtp_tls_secure_cert_match": "evil.test",
        "smtp_tls_verify_cert_match": "evil.test",
        "smtp_tls_fingerprint_cert_match": "00:00",
        "smtp_tls_fingerprint_digest": "md5",
        "smtp_tls_scert_verifydepth": "0",
        "smtp_tls_servername": "evil.test",
        "smtp_tls_chain_files": str(city.authority.issue("evil.test")),
        "smtp_tls_cert_file": str(city.authority.issue("evil.test")),
        "smtp_tls_key_file": str(city.authority.issue("evil.test")),
        "smtp_tls_dcert_file": "/nonexistent",
        "smtp_tls_dkey_file": "/nonexistent",
        "smtp_tls_eccert_file": "/nonexistent",
        "smtp_tls_eckey_file": "/nonexistent",
        "smtp_tls_protocols": "SSLv3",
        "smtp_tls_mandatory_protocols": "SSLv3",
        "smtp_tls_ciphers": "null",
        "smtp_tls_mandatory_ciphers": "null",
        "smtp_tls_exclude_ciphers": "aRSA, aECDSA",
        "smtp_tls_mandatory_exclude_ciphers": "aRSA, aECDSA",
        "smtp_tls_session_cache_database": f"lmdb:{folder}/data/evil",
        "smtp_tls_connection_reuse": "yes",
        "smtp_tls_block_early_mail_reply": "no",
        "smtp_tls_force_insecure_host_tlsa_lookup": "yes",
        "smtp_tls_loglevel": "0",
        "smtp_sasl_auth_enable": "yes",
        "smtp_sasl_password_maps": f"regexp:{folder}/evil.pw",
        "smtp_sasl_type": "dovecot",
        "smtp_sasl_path": "evil",
        "smtp_sasl_mechanism_filter": "gssapi",
        "smtp_sasl_security_options": "noplaintext, noanonymous",
        "smtp_sasl_tls_security_options": "noplaintext",
        "smtp_sasl_tls_verified_security_options": "noplaintext",
        "smtp_sasl_auth_soft_bounce": "no",
        "smtp_sasl_auth_cache_name": f"lmdb:{folder}/data/evilauth",
        "smtp_sender_dependent_authentication": "yes",
        "smtp_send_dummy_mail_auth": "yes",
        "smtp_reply_filter": f"pcre:{folder}/reply.pcre",
        "smtp_delivery_status_filter": f"pcre:{folder}/status.pcre",
        "smtp_generic_maps": f"pcre:{folder}/generic.pcre",
        "smtp_header_checks": f"pcre:{folder}/evil.pcre",
        "smtp_mime_header_checks": f"pcre:{folder}/evil.pcre",
        "smtp_nested_header_checks": f"pcre:{folder}/evil.pcre",
        "smtp_body_checks": f"pcre:{folder}/evil.pcre",
        "smtp_quote_rfc821_envelope": "no",
        **dict.fromkeys(TIMEOUTS, "1s"),
        "tls_append_default_CA": "yes",
        # Not stated by lanes, because they can't reach them: the table names the next hop.
        "relayhost": f"[127.0.0.1]:{trap.port}",
        "sender_dependent_relayhost_maps": f"static:[127.0.0.1]:{trap.port}",
        "disable_dns_lookups": "yes",
    }


@pytest.fixture(scope="module")
def hostile_city():
    """One city in which each parameter is set to something hostile, all at once."""
    with built() as city:
        run = city.postfix.cli
        trap = city.hops["trap"] = NextHop("trap").start()
        plain = city.hops["plain"] = NextHop("plain").start()
        run("agency", "add", "a", "--any-client")
        run("connector", "add", "court", *city.connector_options("shared", "court"))
        run("connector", "add", "tax", *city.connector_options("tax", "tax"))
        run("connector", "add", "plain", "--host", f"localhost:{plain.port}", "--tls", "none")
        run("connector", "add", "dead", "--host", f"localhost:{free_port()}", "--tls", "none")
        for name in ("court", "tax", "plain", "dead"):
            run("sender", "link", f"@{name}.test", "--agency", "a", "--connector", name)
            run("connector", "enable", name, *(["--untested"] if name == "dead" else []))
        city.settle()
        city.evil = hostile(city, trap)
        mark = city.postfix.log_size()
        city.postfix.set(**city.evil)
        # The agent sees the edit and tells the milter what this Postfix does now.
        city.postfix.wait_for_log(r"milter\[\d+\]: snapshot ", since=mark)
        city.outlast_memory()
        yield city


@pytest.fixture
def city(hostile_city):
    hostile_city.clear()
    return hostile_city


def test_every_stated_parameter_is_made_hostile(city):
    """The list above and the lane's list are the same, so that neither can be forgotten."""
    connector = Connector("x", hosts=("h.test",), auth="password", username="u", password="p")
    stated = set(parameters(connector, Tables(city.postfix.folder))) - {"syslog_name"}
    assert stated <= set(city.evil)


@pytest.mark.parametrize("sender", ["x@{}.test", '"a b"@vendor.test', "<>"])
@pytest.mark.parametrize(
    ("lane", "server", "login", "tls"),
    [
        ("court", "shared", "court", True),
        ("tax", "tax", "tax", True),
        ("plain", "plain", "", False),
    ],
)
def test_lane_does_not_care(city, lane, server, login, tls, sender):
    """Host, login, TLS, HELO, envelope and header are what the connector says."""
    subject = f"{lane} {sender}"
    envelope = sender.format(lane)
    city.send(envelope, f"x@{lane}.test", subject)
    (received,) = city.arrived(subject)
    assert (received.server, received.login, received.tls) == (server, login, tls)
    assert received.sender == envelope.strip("<>")
    assert received.message["From"] == f"x@{lane}.test"
    assert received.helo == "mx.lab.test"
    assert b"hello" in received.data


def test_dead_lane_has_no_fallback(city):
    """Mail of a lane whose server is away waits, though main.cf names a fallback relay."""
    reply = city.send("x@dead.test", "x@dead.test", "dead")
    city.postfix.wait_for_log(rf"pm-dead/smtp\[\d+\]: {reply.queue_id}: .*status=deferred")
    assert not city.hops["trap"].received


passwords = st.text(
    st.one_of(
        st.sampled_from("$\\:#\"'{}%,;=/ \t^()!~`|<>&*?[]@"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\n"),
    ),
    min_size=1,
    max_size=60,
).filter(lambda text: text.encode("utf-8") != b"")
AWKWARD = [
    "p$1a$$b${x}",
    "$",
    "$$",
    "trailing ",
    " leading",
    " ",
    "a:b:c",
    "#hash",
    "# ",
    "a\\",
    "\\$1",
    '"quoted"',
    "'",
    "{x}",
    "%s%%",
    "a,b",
    "/^()/ x:y",
    "ü€漢😀",
    "tab\tin",
    "tab at end\t",
    "x" * 1024,
    "()",
    "/",
    "if /x/",
    "~!@#$%^&*()_+",
    "\x7f",
    "\u2028",
    "\x0b\x0c",
    "\u00a0",
]


def assert_all_arrive(city, server, secrets):
    """Give each secret to a connector of its own and see what the server gets to read."""
    run = city.postfix.cli
    known = {json.loads(line)["name"] for line in run("connector", "list", "--json").splitlines()}
    for number, secret in enumerate(secrets):
        path = city.folder / "secret"
        path.write_text(secret, newline="")
        name = f"p{number}"
        verb = "set" if name in known else "add"
        options = ["--host", f"localhost:{server.port}", "--tls", "none", "--auth", "password"]
        options += ["--username", f"user{number}", "--password-file", str(path)]
        run("connector", verb, name, *options, *(["--untested"] if verb == "set" else []))
        if verb == "add":
            run("sender", "link", f"@{name}.test", "--agency", "a", "--connector", name)
            run("connector", "enable", name, "--untested")
    city.settle()
    server.clear()
    for number in range(len(secrets)):
        address = f"x@p{number}.test"
        assert city.send(address, address, f"secret {number}").code == 250
    received = {r.login: r.password for r in server.wait_for(len(secrets), 60)}
    assert received == {f"user{number}": secret for number, secret in enumerate(secrets)}


@pytest.fixture(scope="module")
def recorder(hostile_city):
    """A server that takes any login and remembers it."""
    server = hostile_city.hops["recorder"] = NextHop("recorder", any_login=True).start()
    return server


def test_awkward_passwords_arrive_exactly(city, recorder):
    """Those that broke every other table format."""
    assert_all_arrive(city, recorder, AWKWARD)


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(secrets=st.lists(passwords, min_size=25, max_size=25))
def test_any_password_arrives_exactly(hostile_city, recorder, secrets):
    """Any password that the CLI accepts reaches the server to the letter."""
    assert_all_arrive(hostile_city, recorder, secrets)


@pytest.mark.parametrize("password", ["", "a\nb", "a\rb", "a\x00b", "x" * 1025, "ü" * 513])
def test_password_that_cannot_be_kept_is_refused(password):
    """Better no connector than one with another password than the admin's."""
    with pytest.raises(UsageError):
        checked_password(password)


@pytest.mark.parametrize("username", ["", "a:b", "a\nb", "a\x00b"])
def test_user_name_that_cannot_be_kept_is_refused(username):
    """A colon would end the name, before Postfix 3.9."""
    with pytest.raises(UsageError):
        checked_username(username)
