"""A route said as a connector: TLS, login, and what can't be said."""

from dataclasses import replace

import pytest

from pointsman.importing.read import Odd
from pointsman.importing.routes import route_of
from pointsman.importing.ways import way_of
from tests.unit.importing_town import service, town

PIN = ":".join(["AB"] * 32)


def way(nexthop="[mail.test]:587", policy=None, passwords=None, read=None, **says):
    """The way of a sender whose relay host is this."""
    policies = {nexthop: policy} if policy else {}
    smtp = service(passwords=passwords, policies=policies, **says)
    found = town({"@a.test": nexthop}, services=[smtp], **(read or {}))
    return way_of(found, route_of(found, "u@a.test"))


@pytest.mark.parametrize(
    ("says", "policy", "tls", "noted"),
    [
        ({}, "none", "none", False),
        ({}, "may", "may", False),
        ({}, "encrypt", "starttls", True),
        ({}, "dane", "starttls", True),
        ({}, "dane-only", "starttls", True),
        ({}, "verify", "starttls", False),
        ({}, "secure", "starttls", False),
        ({}, "secure ciphers=high protocols=>=TLSv1.2", "starttls", False),
        ({"smtp_tls_security_level": "may"}, None, "may", False),
        ({"smtp_tls_security_level": "secure"}, "none", "none", False),
        ({"smtp_tls_security_level": "", "smtp_use_tls": "yes"}, None, "may", False),
        ({"smtp_tls_security_level": "", "smtp_enforce_tls": "yes"}, None, "starttls", False),
        ({"smtp_tls_security_level": ""}, None, "none", False),
        ({"smtp_tls_wrappermode": "yes"}, "encrypt", "tls", True),
        ({"smtp_tls_wrappermode": "yes"}, "secure", "tls", False),
    ],
)
def test_tls_is_never_weaker_than_it_was(says, policy, tls, noted):
    """A level that a connector does not know becomes a stricter one, and that is said."""
    found = way(policy=policy, **says)
    assert (found.security.tls, bool(found.notes)) == (tls, noted)


@pytest.mark.parametrize(
    ("policy", "says", "name", "note"),
    [
        ("secure match=nexthop:dot-nexthop", {}, "", ""),
        ("secure match=mail.test", {}, "", ""),
        ("secure match=Other.Test", {}, "other.test", ""),
        ("verify match=hostname", {}, "", ""),
        ("secure match=one.test:two.test", {}, "one.test", "two.test"),
        ("secure match=.parent.test", {}, "", ".parent.test"),
        ("secure", {"smtp_tls_secure_cert_match": "fixed.test"}, "fixed.test", ""),
        ("secure", {"smtp_tls_secure_cert_match": "nexthop, dot-nexthop"}, "", ""),
        ("verify", {"smtp_tls_verify_cert_match": "fixed.test"}, "fixed.test", ""),
        ("secure servername=sni.test", {}, "sni.test", ""),
    ],
)
def test_names_of_certificates(policy, says, name, note):
    """The name that the policy asks for, where it is not the host's."""
    found = way(policy=policy, **says)
    assert found.security.server_name == name
    assert any(note in text for text in found.notes) if note else not found.notes


@pytest.mark.parametrize(
    ("policy", "digest", "pins", "noted"),
    [
        (f"fingerprint match={PIN}", "sha256", (PIN,), False),
        (f"fingerprint match={PIN}|{PIN.replace('A', 'C')}", "sha256", 2, False),
        (f"fingerprint match={PIN}", "md5", (), True),
        ("fingerprint match=AB:CD", "sha256", (), True),
        ("fingerprint", "sha256", (), True),
    ],
)
def test_pinned_certificates(policy, digest, pins, noted):
    """A SHA-256 pin stays one; any other becomes a verified certificate."""
    found = way(policy=policy, smtp_tls_fingerprint_digest=digest)
    kept = found.security.fingerprints
    assert (len(kept) if isinstance(pins, int) else kept) == pins
    assert (found.security.tls, bool(found.notes)) == ("starttls", noted)


@pytest.mark.parametrize(
    ("nexthop", "key"),
    [("[mail.test]:587", "mail.test"), ("mail.test:587", "mail.test"), ("mail.test", ".other")],
)
def test_policies_are_for_next_hops_as_spelled(nexthop, key):
    """`mail.test` says nothing of `[mail.test]:587`."""
    smtp = service(policies={key: "secure"}, smtp_tls_security_level="may")
    found = town({"@a.test": nexthop}, services=[smtp])
    assert way_of(found, route_of(found, "u@a.test")).security.tls == "may"


def test_policy_of_a_parent_domain():
    """A bare name has its parents' policy (TLS_README)."""
    smtp = service(policies={".test": "secure"})
    found = town({"@a.test": "mail.a.test"}, services=[smtp])
    assert way_of(found, route_of(found, "u@a.test")).security.tls == "starttls"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"nexthop": "[192.0.2.1]:587", "policy": "encrypt"}, "not its address"),
        ({"policy": "strange"}, "strange"),
        ({"nexthop": "[a.test], [b.test]", "policy": None, "passwords": {"a.test": "u:p"}}, "one"),
        ({"passwords": {"mail.test": "no-password"}}, "password"),
        ({"passwords": {"mail.test": ":p"}}, "user name"),
        ({"nexthop": "what:ever:this"}, "can't be read"),
        ({"smtp_tls_CAfile": "/no/such/file", "policy": "secure"}, "No such file"),
    ],
)
def test_what_cant_be_expressed_says_why(options, why):
    """In words, and nothing is made of it."""

    def file(path):
        raise FileNotFoundError(2, "No such file or directory", path)

    options.setdefault("read", {"file": file})
    found = way(smtp_sasl_auth_enable="yes", **options)
    assert isinstance(found, Odd)
    assert why in found.why


@pytest.mark.parametrize(
    ("services", "value", "why"),
    [
        ([service()], "gone:[h]", "not in master.cf"),
        ([service(), service("fax", program="pipe")], "fax:[h]", "pipe(8)"),
        ([service(), service("error", program="error")], "error:no", "error(8)"),
        ([service()], "smtp:", "MX"),
    ],
)
def test_services_that_are_no_smtp_client(services, value, why):
    """A connector speaks SMTP to a server that is named."""
    found = town(transports={"@a.test": value}, services=services)
    assert why in way_of(found, route_of(found, "u@a.test")).why


@pytest.mark.parametrize(
    ("answer", "odd"),
    [((), ""), (("mail.test",), ""), (("mx1.test", "mx2.test"), "mx1.test"), (None, "DNS")],
)
def test_a_name_without_brackets_means_its_mx(answer, odd):
    """Where it has none, it is the host itself; a connector looks up no MX."""
    found = way("mail.test:587", read={"exchangers": lambda _domain: answer})
    if odd:
        assert odd in found.why
    else:
        assert found.hosts == ("mail.test:587",)


def test_login_source_and_name():
    """What the service states becomes the connector's."""
    found = way(
        passwords={"mail.test": "us er:p:w $1"},
        smtp_sasl_auth_enable="yes",
        smtp_bind_address="192.0.2.7",
        smtp_helo_name="out.test",
        myhostname="mx.test",
    )
    assert (found.username, found.password) == ("us er", "p:w $1")
    assert (found.source_address, found.helo) == ("192.0.2.7", "out.test")
    assert "p:w" not in repr(found)


@pytest.mark.parametrize(
    ("says", "note"),
    [
        ({"smtp_helo_name": "[192.0.2.1]"}, "no host name"),
        ({"smtp_bind_address": "192.0.2.1", "smtp_bind_address6": "2001:db8::1"}, "one source"),
        ({"smtp_generic_maps": "hash:/x"}, "smtp_generic_maps"),
        ({"smtp_fallback_relay": "[spare]"}, "--host"),
        ({"destination_rate_delay": "1s"}, "--rate"),
        ({"smtp_tls_cert_file": "/x.pem"}, "--pfx"),
        ({"smtp_tls_CApath": "/my/cas", "smtp_tls_security_level": "secure"}, "CApath"),
    ],
)
def test_what_a_lane_does_otherwise_is_noted(says, note):
    """The connector is made, and the difference is said."""
    assert any(note in text for text in way(**says).notes)


def test_as_many_connections_as_before():
    """Where master.cf limits them; the number is no other way."""
    slow = replace(service("slow"), processes=2)
    found = town(transports={"@a.test": "slow:[h]"}, services=[slow])
    limited = way_of(found, route_of(found, "u@a.test"))
    assert limited.connector("x", str).processes == 2
    assert limited == replace(limited, processes=0)
    assert replace(limited, processes=0).connector("x", str).processes == 5


def test_a_password_goes_in_tls_alone():
    """It could go in the clear before, with TLS that the server may offer or not."""
    says = {"smtp_sasl_auth_enable": "yes", "smtp_tls_security_level": "may"}
    logins = {"mail.test": "u:p"}
    assert "--tls none" in way(passwords=logins, smtp_sasl_security_options="", **says).notes[0]
    assert not way(passwords=logins, smtp_sasl_security_options="noplaintext", **says).notes
