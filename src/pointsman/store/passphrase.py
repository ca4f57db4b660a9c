"""Secrets outside the database: locked with a passphrase, for a file that travels.

The key is made by scrypt (RFC 7914), the lock is AES-256-GCM; what is needed to open it,
but the passphrase, is in the file.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pointsman.errors import UsageError

SHORTEST = 8  # characters of a passphrase
_COST = {"n": 2**16, "r": 8, "p": 1}  # 64 MiB and a fifth of a second
_LARGEST = {"n": 2**20, "r": 8, "p": 4}  # 1 GiB: a file must not exhaust whoever reads it
_ABOUT = b"pointsman export 1"

Secrets = Mapping[str, Mapping[str, str]]  # by connector, then by field


def checked_passphrase(text: str) -> str:
    """Refuse a passphrase that would be found by trying."""
    if len(text) < SHORTEST:
        raise UsageError(f"a passphrase has at least {SHORTEST} characters")
    return text


def lock(secrets: Secrets, passphrase: str) -> dict[str, Any]:
    """What to write into the file."""
    salt, nonce = os.urandom(16), os.urandom(12)
    plain = json.dumps(secrets, sort_keys=True).encode()
    sealed = AESGCM(_key(passphrase, salt, _COST)).encrypt(nonce, plain, _ABOUT)
    return {
        "kdf": "scrypt",
        **_COST,
        "salt": _spelled(salt),
        "cipher": "aes-256-gcm",
        "nonce": _spelled(nonce),
        "sealed": _spelled(sealed),
    }


def unlock(locked: Mapping[str, str], passphrase: str) -> Secrets:
    """What was locked; raises UsageError for another passphrase, or a file that was changed."""
    if (locked.get("kdf"), locked.get("cipher")) != ("scrypt", "aes-256-gcm"):
        raise UsageError("its secrets are locked in a way that this version does not know")
    try:
        cost = {name: int(locked[name]) for name in _COST}
        salt, nonce, sealed = (_bytes(locked[name]) for name in ("salt", "nonce", "sealed"))
        if any(not 1 <= cost[name] <= most for name, most in _LARGEST.items()):
            raise UsageError("its secrets would take more memory to open than is reasonable")
        plain = AESGCM(_key(passphrase, salt, cost)).decrypt(nonce, sealed, _ABOUT)
        found: Secrets = json.loads(plain)
    except (KeyError, ValueError, binascii.Error):
        raise UsageError("the part with its secrets is damaged") from None
    except InvalidTag:
        raise UsageError("the passphrase does not open its secrets, or they were changed") from None
    return found


def _key(passphrase: str, salt: bytes, cost: Mapping[str, int]) -> bytes:
    return Scrypt(salt=salt, length=32, **cost).derive(passphrase.encode())


def _spelled(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
