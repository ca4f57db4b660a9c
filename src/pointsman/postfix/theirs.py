"""Keeps what main.cf and master.cf would be without us, in a folder that only root reads.

Every edit of ours is between `settle` and `note`: the first takes in what the admin edited
since our last one, the second remembers how we leave the files.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pointsman.postfix import files, without
from pointsman.postfix.conf import Instance
from pointsman.postfix.without import Ours

_Merge = Callable[[str, str, str, Ours], str]
_MERGES: dict[str, _Merge] = {"main.cf": without.main_cf, "master.cf": without.master_cf}


@dataclass(frozen=True)
class Theirs:
    """The two files without us, and as we left them."""

    instance: Instance
    folder: Path
    ours: Ours

    @property
    def begun(self) -> bool:
        """Whether setup has been here."""
        return (self.folder / "main.cf").exists() and (self.folder / "master.cf").exists()

    @contextmanager
    def editing(self) -> Iterator[None]:
        """Edit main.cf and master.cf within; should it fail, the caller puts them back."""
        self.settle()
        yield
        self.note()

    def settle(self) -> None:
        """Take in what the admin has edited; before the first edit, all is theirs."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in _MERGES:
            path = self.folder / name
            _write(path, self.without_us(name) if path.exists() else self._now(name))

    def note(self) -> None:
        """Remember how we leave the files."""
        for name in _MERGES:
            _write(self.folder / f"{name}.left", self._now(name))

    def without_us(self, name: str) -> str:
        """What a file would say now, had there never been a setup."""
        now = self._now(name)
        left = files.text_of(self.folder / f"{name}.left")
        return _MERGES[name](now, left or "", files.text_of(self.folder / name) or "", self.ours)

    def forget(self) -> None:
        """After teardown there is nothing left to know."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _now(self, name: str) -> str:
        return files.text_of(self.instance.config_directory / name) or ""


def _write(path: Path, text: str) -> None:
    if files.text_of(path) != text:
        files.write(path, text, 0o600)
