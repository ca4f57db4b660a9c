"""PKCS#12 files as openssl makes them, good and bad: each bad one gets its own sentence."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pointsman.errors import UsageError
from pointsman.store.certificates import (
    MAX_SIZE,
    PasswordError,
    concerns,
    facts,
    read_pfx,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PEM = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def issued(subject, issuer=None, days=100, usage=None):
    """A key and its certificate, from an issuer or self-signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(issuer[1].subject if issuer else name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=10))
        .not_valid_after(NOW + timedelta(days=days))
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return key, builder.sign(issuer[0] if issuer else key, hashes.SHA256())


@pytest.fixture(scope="module")
def chain():
    """A root, two intermediates and a leaf."""
    root = issued("root")
    first = issued("first", root)
    second = issued("second", first)
    return issued("court", second), second, first, root


@pytest.fixture
def openssl(chain, tmp_path):
    """Make a file of the leaf as an admin's openssl would."""
    (key, leaf), *_ = chain
    (tmp_path / "key.pem").write_bytes(key.private_bytes(*PEM))
    (tmp_path / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))

    def export(*options, password="pw"):
        command = ["openssl", "pkcs12", "-export", "-in", "leaf.pem", "-inkey", "key.pem"]
        command += ["-out", "made.pfx", "-passout", f"pass:{password}", *options]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        return (tmp_path / "made.pfx").read_bytes()

    return export


def packed(key, leaf, others=(), password=b"pw"):
    """A file with whatever is said."""
    encryption = BestAvailableEncryption(password)
    return pkcs12.serialize_key_and_certificates(b"x", key, leaf, list(others), encryption)


def subjects(pem):
    return [c.subject.rfc4514_string() for c in x509.load_pem_x509_certificates(pem.encode())]


def refused(data, password="pw", now=NOW, kind=UsageError):
    """The sentence of a refusal; it never holds the password."""
    with pytest.raises(kind) as caught:
        read_pfx(data, password, now)
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert "hunter2" not in sentence
    return sentence


def test_chain_comes_in_order_and_without_strangers(chain):
    """However the file has them: leaf, its issuer, that one's issuer."""
    (key, leaf), second, first, root = chain
    stranger = issued("second")  # the name of one of them, and not its key
    others = [root[1], stranger[1], first[1], second[1]]
    found = read_pfx(packed(key, leaf, others), "pw", NOW)
    assert subjects(found.certificate) == ["CN=court", "CN=second", "CN=first", "CN=root"]
    read = load_pem_private_key(found.private_key.encode(), None)
    assert read.public_key() == leaf.public_key()


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("-legacy",),
        ("-legacy", "-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES"),
        ("-legacy", "-certpbe", "PBE-SHA1-RC2-128"),
        ("-legacy", "-certpbe", "PBE-SHA1-RC4-128"),
        ("-certpbe", "NONE"),
        ("-nomac",),
    ],
    ids=lambda options: " ".join(options[-2:]) or "today",
)
def test_every_encryption_that_can_be_read_is(openssl, options):
    """What the file was encrypted with does not matter once it is open."""
    assert subjects(read_pfx(openssl(*options), "pw", NOW).certificate) == ["CN=court"]


@pytest.mark.parametrize("password", ["", "pässwörd", "日本", "x" * 200])
def test_any_password(openssl, password):
    """None at all, and what Windows writes in two bytes a character."""
    read_pfx(openssl(password=password), password, NOW)


def test_wrong_password(openssl):
    """Of a file as made today."""
    data = openssl()
    assert refused(data, "hunter2", kind=PasswordError) == "the password does not open it"
    assert refused(data, "", kind=PasswordError) == "it needs its password"


def test_old_encryption_that_this_host_does_not_read(openssl, tmp_path):
    """Where OpenSSL has no legacy provider: the sentence has the command that converts the file."""
    (tmp_path / "old.pfx").write_bytes(openssl("-legacy"))
    program = (
        "import sys, datetime; from pointsman.store.certificates import read_pfx;"
        "read_pfx(open('old.pfx', 'rb').read(), 'pw', datetime.datetime.now(datetime.UTC))"
    )
    environment = {"CRYPTOGRAPHY_OPENSSL_NO_LEGACY": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    sentence = ended.stderr.strip().splitlines()[-1]
    assert "encrypted as old programs do (RC2, RC4)" in sentence
    command = sentence.partition("convert it: ")[2]
    assert command.startswith("openssl pkcs12 -legacy -in OLD.pfx ")
    command = command.replace("OLD.pfx", "old.pfx -passin pass:pw")
    command = command.replace("NEW.pfx", "new.pfx -passout pass:pw")
    subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True)
    read_pfx((tmp_path / "new.pfx").read_bytes(), "pw", NOW)
    read_pfx((tmp_path / "old.pfx").read_bytes(), "pw", NOW)  # here there is one


def test_keyless(chain):
    (_, leaf), *_ = chain
    data = packed(None, None, [leaf])
    assert "holds no key" in refused(data)


def test_certificate_missing(openssl):
    assert "holds no certificate" in refused(openssl("-nocerts"))


def test_key_of_another_certificate(chain):
    (key, _), second, *_ = chain
    assert "key does not fit" in refused(packed(key, None, [second[1]]))


def test_dates(chain):
    """To the second, and with the clock that is given."""
    (key, leaf), *_ = chain
    data, day = packed(key, leaf), timedelta(days=1)
    assert "expired on 2026-09-09 00:00 UTC" in refused(data, now=NOW + 100 * day)
    read_pfx(data, "pw", NOW + 100 * day - timedelta(seconds=1))
    assert "not valid before 2026-05-22 00:00 UTC" in refused(data, now=NOW - 11 * day)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"x" * (MAX_SIZE + 1), "more than 100,000 bytes"),
        (b"hello", "not a PKCS#12 file"),
        (b"\x30\x82\x01\x01\x02\x01\x03", "not a PKCS#12 file"),
        (b"-----BEGIN CERTIFICATE-----\nAA\n", "PEM text"),
        (b"Bag Attributes\n-----BEGIN PRIVATE KEY-----\nAA\n", "openssl pkcs12 -export"),
    ],
    ids=["empty", "large", "text", "cut", "certificate", "key"],
)
def test_other_files(data, words):
    """What else a mail admin may have in the folder."""
    assert words in refused(data)


def test_certificate_alone_is_no_pfx(chain):
    """A .cer or .crt in DER."""
    (_, leaf), *_ = chain
    assert "certificate without its key" in refused(leaf.public_bytes(Encoding.DER))


def test_file_that_is_cut_short(openssl):
    """At any length: a sentence, never a crash."""
    data = openssl()
    for length in range(1, len(data), 37):
        refused(data[:length])


def concerned(*others, leaf):
    return concerns(read_pfx(packed(*leaf, others), "pw", NOW).certificate)


def test_missing_issuer_is_a_concern(chain):
    """A server that has only the root can't get from the leaf to it."""
    leaf, second, *_ = chain
    (concern,) = concerned(leaf=leaf)
    assert "no certificate of its issuer CN=second" in concern
    assert concerned(second[1], leaf=leaf) == []
    assert concerned(leaf=issued("self")) == []


@pytest.mark.parametrize(
    ("usage", "count"),
    [
        (ExtendedKeyUsageOID.SERVER_AUTH, 1),
        (ExtendedKeyUsageOID.CLIENT_AUTH, 0),
        (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, 0),
    ],
)
def test_certificate_for_servers_alone_is_a_concern(usage, count):
    """Public authorities issue them so nowadays."""
    assert len(concerned(leaf=issued("self", usage=usage))) == count


def test_facts():
    """What people look for; a name can't play tricks with the terminal."""
    _, leaf = issued("court\x1b[31m")
    found = facts(leaf.public_bytes(Encoding.PEM).decode())
    assert found.subject == found.issuer == "CN=court?[31m"
    assert found.fingerprint == leaf.fingerprint(hashes.SHA256()).hex(":").upper()
    assert found.days_left(NOW) == 100
    assert found.days_left(NOW + timedelta(days=100, seconds=1)) == -1
