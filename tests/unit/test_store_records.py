"""What the CLI takes for a name, a host, a network, a sender, a login: each with its sentence."""

import re
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import UsageError
from pointsman.routing.address import Address, lookup_keys, split_address
from pointsman.store.checks import (
    checked_address,
    checked_certificates,
    checked_fingerprint,
    checked_host,
    checked_hostname,
    checked_mailbox,
    checked_name,
    checked_network,
    checked_password,
    checked_sender,
    checked_text,
    checked_username,
    split_host,
)
from pointsman.store.combinations import check_agency, check_connector
from pointsman.store.fields import check_values, settings
from pointsman.store.modes import DEFAULT_PORTS, TLS_MODES
from pointsman.store.records import Agency, Connector


def refused(check, *arguments):
    """The sentence of a refusal."""
    with pytest.raises(UsageError) as caught:
        check(*arguments)
    sentence = str(caught.value)
    assert sentence.isprintable()
    return sentence


@pytest.mark.parametrize("name", ["a", "0", "court", "court-smtp", "a--b", "a-", "x" * 30])
def test_name_is_accepted(name):
    """Small letters, digits and hyphens, beginning with a letter or digit, at most 30."""
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-a", "Court", "a_b", "a.b", "a b", "x" * 31, "\u00fc", "a\n", "a/b", "\u0661", "\udcff"],
)
def test_name_is_refused(name):
    """Anything else could not stand in master.cf, a file name or a carrier."""
    assert "is not a name" in refused(checked_name, name)


@pytest.mark.parametrize(
    ("name", "reserved"),
    [
        ("default", ("default",)),
        ("postfix", ("postfix", "none")),
        ("none", ("postfix", "none")),
    ],
)
def test_built_in_name_is_refused(name, reserved):
    """What is built in can't be added."""
    assert "built in" in refused(checked_name, name, reserved)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("smtp.a.test", "smtp.a.test", None),
        ("SMTP.A.test:587", "smtp.a.test", 587),
        ("localhost", "localhost", None),
        ("xn--bcher-kva.test", "xn--bcher-kva.test", None),
        ("a_b.test", "a_b.test", None),
        ("a.test:1", "a.test", 1),
        ("a.test:65535", "a.test", 65535),
        ("192.0.2.1", "192.0.2.1", None),
        ("192.0.2.1:25", "192.0.2.1", 25),
        ("[192.0.2.1]:25", "192.0.2.1", 25),
        ("[a.test]:25", "a.test", 25),
        ("2001:db8::1", "2001:db8::1", None),
        ("[2001:DB8::1]", "2001:db8::1", None),
        ("[2001:db8::1]:25", "2001:db8::1", 25),
        ("::1", "::1", None),
        ("x" * 63 + ".test", "x" * 63 + ".test", None),
    ],
)
def test_host_is_accepted(text, host, port):
    """A name or an address, each with a port or without."""
    assert split_host(checked_host(text)) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":25",
        "a.test:",
        "a.test:0",
        "a.test:65536",
        "a.test:99999",
        "a.test:1234567",
        "a.test:x",
        "a.test:-1",
        "a.test: 25",
        "a.test:25:26",
        "a b.test",
        "a.test\n",
        "a..test",
        ".a.test",
        "-a.test",
        "a.test/x",
        "smtp://a.test",
        "user@a.test",
        "b\u00fccher.test",
        "\u017fmtp.test",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.1/24",
        "2001:db8::1::2",
        "[2001:db8::1",
        "2001:db8::1]:25",
        "[]",
        "[]:25",
        "[[a.test]]",
        "x" * 64 + ".test",
        "x." * 130 + "test",
        "a.test,b.test",
        "$myhostname",
        "{a.test}",
    ],
)
def test_host_is_refused(text):
    """What Postfix could read in another way, or not at all."""
    refused(checked_host, text)


@pytest.mark.parametrize("tls", TLS_MODES)
def test_port_follows_from_the_tls_mode(tls):
    """587 for starttls, 465 for tls, else 25, unless one is given."""
    assert Connector("a", hosts=("h.test",), tls=tls).addresses == [("h.test", DEFAULT_PORTS[tls])]
    assert Connector("a", hosts=("h.test:99",), tls=tls).addresses == [("h.test", 99)]
    assert DEFAULT_PORTS == {"none": 25, "may": 25, "starttls": 587, "tls": 465}


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_network_is_accepted(text, normal):
    """In its normal form, as it will be listed."""
    assert checked_network(text) == normal
    assert str(ip_network(normal)) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2.1/24",
        "192.0.2.0/33",
        "192.0.2",
        "a.test",
        "2001:db8::1/32",
        "192.0.2.0/24 ",
        "5",
        "192.0.2.0-192.0.2.9",
        "192.0.2.0/24,198.51.100.0/24",
        "192.0.02.1",
        "/24",
    ],
)
def test_network_is_refused(text):
    """Host bits and typing mistakes are not guessed at."""
    assert "is not a network" in refused(checked_network, text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Clerk@A.Test", "clerk@a.test"),
        ("clerk@a.test.", "clerk@a.test"),
        ('"clerk"@a.test', "clerk@a.test"),
        ("clerk+vip@a.test", "clerk+vip@a.test"),
        ('"a b"@a.test', "a b@a.test"),
        ("@A.test", "@a.test"),
        ("@.A.test", "@.a.test"),
        ("@b\u00fccher.test", "@xn--bcher-kva.test"),
        ("@.b\u00fccher.test", "@.xn--bcher-kva.test"),
        ("@XN--BCHER-KVA.test", "@xn--bcher-kva.test"),
        ("z\u00fcrich@a.test", "z\u00fcrich@a.test"),
        ("zu\u0308rich@a.test", "z\u00fcrich@a.test"),
        ("clerk@localhost", "clerk@localhost"),
        ("@.test", "@.test"),
    ],
)
def test_sender_is_accepted(text, key):
    """A sender is kept as the key under which it will be found."""
    assert checked_sender(text) == key
    assert checked_sender(key) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "clerk",
        "@",
        "@.",
        "@..a.test",
        "@*.a.test",
        "clerk@",
        "clerk@.a.test",
        "clerk@a..test",
        "clerk@a b.test",
        "clerk @a.test",
        " clerk@a.test",
        '" clerk"@a.test',
        "clerk@a.test, boss@a.test",
        "<clerk@a.test>",
        "Clerk <clerk@a.test>",
        '"clerk@a.test',
        "cl\terk@a.test",
        "cl\nerk@a.test",
        "cl\x00erk@a.test",
        "clerk\udcff@a.test",
        "clerk@\udcff.test",
        "clerk@[192.0.2.1]",
        "a.test",
    ],
)
def test_sender_is_refused(text):
    """Neither a list, a pattern, a name nor half an address."""
    assert "is not a sender" in refused(checked_sender, text)


@pytest.mark.parametrize(
    "text", ["x@court.a.pm.invalid", "@court.a.pm.invalid", "@pm.invalid", "@.PM.Invalid."]
)
def test_carrier_is_no_sender(text):
    """A link for it would stand in the table beside the carrier's own row."""
    refused(checked_sender, text)


LOCALS = st.text("abAB.+-_=\u00fc\u00dc\u0308", min_size=1, max_size=8)
HOSTS = st.sampled_from(["A.test", "b\u00fccher.test", "XN--STRAE-OQA.at", "sub.a.test."])


@given(LOCALS, HOSTS)
def test_linked_sender_is_found_by_its_own_mail(local, host):
    """What the admin typed is the first or a later key of a message from that address."""
    text = f"{local}@{host}"
    assert checked_sender(text) == lookup_keys(split_address(text))[0]
    assert checked_sender(f"@{host}") in lookup_keys(Address(local, host))
    assert checked_sender(f"@.{host}") in lookup_keys(Address(local, f"sub.{host}"))


@pytest.mark.parametrize(
    "text", ["court", "court@a.test", "DOMAIN\\court", "c o", "\u00fc", "x" * 500]
)
def test_username_is_accepted(text):
    """As it is."""
    assert checked_username(text) == text


@pytest.mark.parametrize("text", ["", "a:b", ":", "a\nb", "a\r", "a\x00b", "a\tb", "\x7f", " a"])
def test_username_is_refused(text):
    """Postfix's `user:password` can't hold it."""
    refused(checked_username, text)


@pytest.mark.parametrize(
    "text", ["x", " ", "a:b", "p$1", "tr ", "\t", "\u00fc" * 512, "x" * 1024, "\x7f"]
)
def test_password_is_accepted(text):
    """To the letter, up to 1,024 bytes."""
    assert checked_password(text) == text


@pytest.mark.parametrize(
    "text", ["", "a\nb", "a\r", "a\x00b", "x" * 1025, "\u00fc" * 513, "\udcff", "hunter2\n"]
)
def test_password_is_refused_without_being_shown(text):
    """The sentence never holds the password."""
    sentence = refused(checked_password, text)
    assert "hunter2" not in sentence
    assert "xxx" not in sentence
    assert "a password" in sentence


@pytest.mark.parametrize("text", ["", "a note", "\u00e9t\u00e9 \u2013 \u65e5\u672c", "x" * 1000])
def test_text_is_accepted(text):
    """One line of anything printable."""
    assert checked_text(text) == text


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "\x1b[31m", "\u2028", "\u202e", "\udcff", "\x00"])
def test_text_is_refused(text):
    """Nothing that would break a listing or a log line."""
    assert "printable" in refused(checked_text, text)


@pytest.fixture(scope="module")
def certificate():
    """A certificate in PEM format."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def test_certificates_are_accepted(certificate):
    """One or several, with text around them."""
    for text in (certificate, certificate * 2, f"# a comment\n{certificate}"):
        assert checked_certificates(text) == text


@pytest.mark.parametrize("text", [":".join(["ab"] * 32), "AB" * 32, ":".join(["AB"] * 32)])
def test_fingerprint_is_accepted(text):
    """In either spelling; kept as openssl prints it, and as Postfix compares it."""
    assert checked_fingerprint(text) == ":".join(["AB"] * 32)


@pytest.mark.parametrize("text", ["AB" * 20, "AB" * 33, "GH" * 32, "AB " * 32, "x"])
def test_fingerprint_is_refused(text):
    """An MD5 or SHA-1 one, too: it would match nothing for ever."""
    assert "is not a SHA-256 fingerprint" in refused(checked_fingerprint, text)


@pytest.mark.parametrize("text", ["192.0.2.1", "2001:DB8::1", "127.0.0.7"])
def test_source_address_is_accepted(text):
    """In its normal form."""
    assert checked_address(text) == text.lower()


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "224.0.0.1", "192.0.2.0/24", "mx.test", "x"])
def test_source_address_is_refused(text):
    """Nothing can come from it."""
    assert repr(text) in refused(checked_address, text)


@pytest.mark.parametrize("text", ["192.0.2.1", "::1", "a b", "a..b", "[a]", "a.test:25", "$x"])
def test_host_name_is_refused(text):
    """Where a name is wanted, no address and no port."""
    assert "is not a host name" in refused(checked_hostname, text)


@pytest.mark.parametrize("text", ["x", "x@", "@x", "a b@x.test", "a@b\nc", "<a@b.test>\r"])
def test_mailbox_is_refused(text):
    """A test must not send what SMTP can't."""
    assert "write user@domain" in refused(checked_mailbox, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "\u00fc",
        "\x30\x82\x00",
    ],
)
def test_certificates_are_refused(text):
    """A file without one would leave the lane trusting nobody."""
    assert "holds no certificate" in refused(checked_certificates, text)


IDENTITY = {"auth": "certificate", "certificate": "PEM", "private_key": "PEM"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hosts": ()}, "needs --host"),
        ({"auth": "password"}, "--auth password needs --username and --password-file"),
        ({"auth": "password", "username": "x"}, "--auth password needs"),
        ({"auth": "password", "password": "x"}, "--auth password needs"),
        ({"username": "x"}, "only for --auth password"),
        ({"password": "x"}, "only for --auth password"),
        ({"auth": "certificate"}, "--auth certificate needs --pfx"),
        ({"certificate": "PEM"}, "--pfx is only for --auth certificate"),
        ({**IDENTITY, "username": "x"}, "--username is only for --auth password"),
        ({**IDENTITY, "tls": "may"}, "--auth certificate needs --tls starttls or tls"),
        ({**IDENTITY, "tls": "none"}, "--auth certificate needs --tls starttls or tls"),
        ({"ca": "PEM", "tls": "none"}, "--ca-file has no effect with --tls none"),
        ({"ca": "PEM", "tls": "may"}, "--ca-file has no effect with --tls may"),
        ({"fingerprints": ("AA",), "tls": "may"}, "--fingerprint has no effect with --tls may"),
        ({"server_name": "x.test", "tls": "none"}, "--server-name has no effect with --tls none"),
        ({"fingerprints": ("AA",), "ca": "PEM"}, "give one of the two"),
        ({"hosts": ("h.test", "192.0.2.1")}, "verifies the certificate by host name"),
        ({"preset": "sendgrid"}, "--preset sendgrid takes --auth password, not none"),
        ({"preset": "gmail"}, "--preset gmail takes --auth oauth2 or password, not none"),
    ],
)
def test_connector_that_can_not_work_is_refused(changes, words):
    """What makes no sense together, or would do nothing in silence."""
    sentence = refused(check_connector, replace(Connector("a", hosts=("h.test",)), **changes))
    assert words in sentence


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"auth": "password", "username": "x", "password": "y"},
        {"ca": "PEM"},
        {"ca": "PEM", "tls": "tls"},
        {"tls": "none"},
        {"hosts": ("192.0.2.1",), "fingerprints": ("AA",)},
        {"hosts": ("192.0.2.1",), "server_name": "h.test"},
        {"hosts": ("192.0.2.1", "h.test"), "tls": "may"},
        {"preset": "google-relay"},
        IDENTITY,
        {**IDENTITY, "tls": "tls", "preset": "office365-relay"},
    ],
)
def test_connector_is_accepted(changes):
    """As it is."""
    connector = replace(Connector("a", hosts=("h.test",)), **changes)
    assert check_connector(connector) == connector


@pytest.mark.parametrize(
    ("agency", "fine"),
    [
        (Agency("a"), False),
        (Agency("a", logins=("x",)), True),
        (Agency("a", networks=("192.0.2.1/32",)), True),
        (Agency("a", any_client=True), True),
        (Agency("default"), True),
    ],
)
def test_somebody_may_send_for_an_agency(agency, fine):
    """A login, a network or any client: one of the three must be given."""
    if fine:
        assert check_agency(agency) == agency
    else:
        assert "who may send for agency a?" in refused(check_agency, agency)


@pytest.mark.parametrize(
    ("record", "values", "expected"),
    [
        (Connector, {"hosts": ("H.Test:25",)}, {"hosts": ("h.test:25",)}),
        (Connector, {"tls": "tls", "envelope": "align"}, {"tls": "tls", "envelope": "align"}),
        (Connector, {"username": "", "ca": ""}, {"username": "", "ca": ""}),
        (Agency, {"networks": ("192.0.2.1", "192.0.2.1/32")}, {"networks": ("192.0.2.1/32",)}),
        (Agency, {"logins": ("b", "a", "b")}, {"logins": ("b", "a")}),
        (Agency, {"any_client": False}, {"any_client": False}),
        (Agency, {}, {}),
    ],
)
def test_given_values_are_brought_into_normal_form(record, values, expected):
    """Lists lose what is there twice, and an empty value takes one away."""
    assert check_values(record, values) == expected


@pytest.mark.parametrize(
    ("record", "values"),
    [
        (Connector, {"tls": "ssl"}),
        (Connector, {"auth": "plain"}),
        (Connector, {"envelope": "rewrite"}),
        (Connector, {"hosts": ("a b",)}),
        (Agency, {"networks": ("192.0.2.0/24", "x")}),
        (Agency, {"logins": ("a", "b\n")}),
    ],
)
def test_one_wrong_value_is_enough(record, values):
    """Nothing is taken in part."""
    refused(check_values, record, values)


@pytest.mark.parametrize("record", [Agency, Connector])
def test_every_field_says_what_it_is(record):
    """Help ends with a full stop, and a default is among the choices."""
    for field, default in settings(record).values():
        assert re.search(r"[a-z].*\.$", field.help)
        assert not field.choices or default in field.choices


def test_password_and_key_are_the_secrets():
    """The field list alone decides what is sealed, and never shown."""
    assert [name for name, (field, _) in settings(Connector).items() if field.secret] == [
        "password",
        "private_key",
        "client_secret",
        "service_account",
    ]
    assert not any(field.secret for field, _ in settings(Agency).values())
    assert set(asdict(Connector("a"))) == {"name", "state", *settings(Connector)}
