"""Secrets at rest: sealed with Fernet under a key file that only its owner reads."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pointsman.errors import PointsmanError

CREDENTIAL = "pointsman.key"


class KeyFileError(PointsmanError):
    """The key file is missing, readable by others, or not a key."""


@dataclass(frozen=True)
class Secrets:
    """Seals and unseals with the keys of one file; read anew at each use."""

    path: Path

    def seal(self, text: str) -> str:
        """Encrypt under the newest key."""
        return self._keys().encrypt(text.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """Decrypt under whichever key fits."""
        try:
            return self._keys().decrypt(sealed).decode()
        except (InvalidToken, ValueError):
            raise KeyFileError(
                f"no key in {self.path} opens the stored secrets: restore the key file they "
                "were sealed with"
            ) from None

    def _keys(self) -> MultiFernet:
        """The file's keys, and those that systemd handed over when this daemon started.

        Both, because the file may have a newer key by now, or not be there at all where the
        credential is an encrypted one.
        """
        handed = _handed_over()
        try:
            lines = self._lines()
        except KeyFileError:
            if not handed:
                raise
            lines = []
        try:
            return MultiFernet([Fernet(line) for line in [*lines, *handed]])
        except ValueError:
            raise KeyFileError(f"key file {self.path} holds no Fernet key") from None

    def _lines(self) -> list[str]:
        try:
            with self.path.open() as file:
                mode = os.fstat(file.fileno()).st_mode
                lines = file.read().split()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not text"
            raise KeyFileError(f"key file {self.path}: {why}") from None
        if mode & 0o077:
            raise KeyFileError(f"key file {self.path} is open to others: chmod 600 {self.path}")
        return lines


def _handed_over() -> list[str]:
    """The keys of a service's credential (LoadCredential=, systemd.exec(5)), if there is one."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return []
    try:
        return (Path(folder) / CREDENTIAL).read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return []


def create_key_file(path: Path) -> None:
    """Write a new key, readable by its owner only; an existing file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key() + b"\n")
