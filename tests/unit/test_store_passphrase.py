"""Secrets in a file: opened by the passphrase alone, and only as they were written."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.errors import UsageError
from pointsman.store import passphrase
from pointsman.store.passphrase import checked_passphrase, lock, unlock

SECRETS = {"smtp": {"password": "c0urt $1 #pass "}, "tax": {"private_key": "täx\nkey"}}
PASS = "correct horse"


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """Scrypt's cost is no part of these tests."""
    monkeypatch.setattr(passphrase, "_COST", {"n": 16, "r": 8, "p": 1})


def as_read(locked):
    """All scalars of a file are text."""
    return {name: str(value) for name, value in locked.items()}


@settings(max_examples=30)
@given(
    secrets=st.dictionaries(st.text(), st.dictionaries(st.text(), st.text())),
    words=st.text(st.characters(codec="utf-8"), min_size=8),
)
def test_any_secret_comes_back(secrets, words):
    """Of any script, under any passphrase."""
    assert unlock(as_read(lock(secrets, words)), words) == secrets


def test_nothing_of_them_is_in_the_file():
    """Neither text nor names; and two files of the same have nothing in common."""
    one, other = lock(SECRETS, PASS), lock(SECRETS, PASS)
    assert "c0urt" not in json.dumps(one)
    assert "smtp" not in json.dumps(one)
    assert not {one[name] for name in ("salt", "nonce", "sealed")} & {
        other[name] for name in ("salt", "nonce", "sealed")
    }


def test_other_passphrase_opens_nothing():
    """Said as such."""
    with pytest.raises(UsageError, match="the passphrase does not open its secrets"):
        unlock(as_read(lock(SECRETS, PASS)), "correct house")


@pytest.mark.parametrize("name", ["n", "r", "p", "salt", "nonce", "sealed", "kdf", "cipher"])
@pytest.mark.parametrize("value", ["", "x", "AAAA", "3", "99999999999", "-1", "4096"])
def test_any_change_is_a_sentence(name, value):
    """Nothing is opened, no memory is exhausted, nothing else is raised."""
    with pytest.raises(UsageError):
        unlock({**as_read(lock(SECRETS, PASS)), name: value}, PASS)


@pytest.mark.parametrize("name", ["n", "r", "p", "salt", "nonce", "sealed", "kdf", "cipher"])
def test_missing_part_is_a_sentence(name):
    """As any damage."""
    locked = as_read(lock(SECRETS, PASS))
    del locked[name]
    with pytest.raises(UsageError):
        unlock(locked, PASS)


def test_short_passphrase_is_refused():
    """It would be found by trying."""
    assert checked_passphrase("12345678") == "12345678"
    with pytest.raises(UsageError, match="at least 8 characters"):
        checked_passphrase("1234567")
