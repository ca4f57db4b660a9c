"""Secrets at rest: sealed under a key file that only its owner reads."""

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman.store.secrets import CREDENTIAL, KeyFileError, Secrets, create_key_file


@pytest.fixture
def path(tmp_path):
    """A key file just made."""
    path = tmp_path / "keys" / "secret.key"
    create_key_file(path)
    return path


def why(action, *arguments):
    """The sentence of a KeyFileError."""
    with pytest.raises(KeyFileError) as caught:
        action(*arguments)
    assert str(caught.value).isprintable()
    return str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_is_unsealed(path, text):
    """To the letter, and the sealed form shows nothing of it."""
    sealed = Secrets(path).seal(text)
    assert Secrets(path).unseal(sealed) == text
    assert len(text) < 4 or text not in sealed


def test_key_file_is_for_its_owner_only(path):
    """Mode 0600, one Fernet key."""
    assert path.stat().st_mode & 0o777 == 0o600
    Fernet(path.read_text().strip())


def test_existing_key_file_stays(path):
    """A second setup must not lock us out of what is sealed."""
    before = path.read_bytes()
    create_key_file(path)
    assert path.read_bytes() == before


def test_newest_key_seals_and_every_key_opens(path):
    """Keys are rotated by adding one on top."""
    old = path.read_text()
    sealed = Secrets(path).seal("x")
    new = Fernet.generate_key().decode()
    path.write_text(f"{new}\n{old}")
    assert Secrets(path).unseal(sealed) == "x"
    assert Fernet(new).decrypt(Secrets(path).seal("y")) == b"y"


def test_lost_key_is_named(path):
    """The admin reads which file to restore."""
    sealed = Secrets(path).seal("x")
    path.write_bytes(Fernet.generate_key())
    assert f"no key in {path} opens the stored secrets" in why(Secrets(path).unseal, sealed)


@pytest.mark.parametrize("sealed", ["", "x", "gAAAAA", "\u00fc"])
def test_damaged_secret_is_a_sentence(path, sealed):
    """Whatever stands in the database."""
    assert "opens the stored secrets" in why(Secrets(path).unseal, sealed)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601, 0o610, 0o777])
def test_key_file_open_to_others_is_refused(path, mode):
    """Even a bit for others or the group, and with the remedy."""
    path.chmod(mode)
    assert why(Secrets(path).seal, "x") == f"key file {path} is open to others: chmod 600 {path}"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_key_file_of_the_owner_is_accepted(path, mode):
    """0400 is how a systemd credential looks."""
    path.chmod(mode)
    assert Secrets(path).unseal(Secrets(path).seal("x")) == "x"


@pytest.mark.parametrize("content", [b"", b"\n", b"x", b"A" * 44, b"\xff\xfe", "\u00fc".encode()])
def test_file_that_is_no_key_is_refused(path, content):
    """An empty or foreign file, none of whose content is shown."""
    path.write_bytes(content)
    assert why(Secrets(path).seal, "x").startswith(f"key file {path}")


def test_missing_key_file_is_a_sentence(tmp_path):
    """As is a folder in its place."""
    assert why(Secrets(tmp_path / "gone").seal, "x").endswith("No such file or directory")
    assert why(Secrets(tmp_path).seal, "x").endswith("Is a directory")


@pytest.fixture
def credential(tmp_path, monkeypatch):
    """Where systemd hands over a key, as the service sees it."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path / CREDENTIAL


def test_key_that_systemd_hands_over_is_enough(path, credential):
    """The file may be away; an ACL makes the credential look open to its group."""
    sealed = Secrets(path).seal("x")
    path.rename(credential)
    credential.chmod(0o440)
    assert Secrets(path).unseal(sealed) == "x"


def test_newer_key_in_the_file_counts_as_well(path, credential):
    """A daemon that was started before the rotation opens what was sealed since."""
    old, new = path.read_text(), Fernet.generate_key().decode()
    credential.write_text(old)
    path.write_text(f"{new}\n{old}")
    sealed = Secrets(path).seal("x")
    assert Fernet(new).decrypt(sealed) == b"x"
    assert Secrets(path).unseal(sealed) == "x"


def test_foreign_credentials_are_left_alone(path, tmp_path, monkeypatch):
    """A shell within another service has that one's credentials."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "secret.key").write_text("not ours")
    assert Secrets(path).unseal(Secrets(path).seal("x")) == "x"
