"""The table of senders, sender_transport.lmdb: brought up to date in place, and read back.

A renamed lmdb would not be seen for a while. In place it is one transaction: whoever
looks meanwhile, or after a kill, finds all old rows or all new ones.
"""

from pathlib import Path

from pointsman.postfix import files
from pointsman.postfix.conf import Instance, PostfixError


def holds(source: Path, text: str) -> bool:
    """Whether the source is just so, and postmap(1) has read it since."""
    if files.text_of(source) != text:
        return False
    try:
        return _lmdb(source).stat().st_mtime_ns >= source.stat().st_mtime_ns
    except FileNotFoundError:
        return False


def update(instance: Instance, source: Path, text: str) -> None:
    """Replace source and table; raises PostfixError if postmap(1) has something to say."""
    files.write(source, text, 0o644)
    words = instance.complaints("postmap", f"lmdb:{source}")
    if words:
        raise PostfixError(f"postmap: {words}")
    _insist(instance, source)


def bring_back(instance: Instance, source: Path, backup: files.Backup) -> bool:
    """Bring files back, the senders before all else; whether any had changed."""
    restored = [backup.restore(source)]
    if source.exists():
        read_again(instance, source)
    restored += [backup.restore(path) for path in backup.there if path != source]
    return any(restored)


def read_again(instance: Instance, source: Path) -> None:
    """Make the table what its source says, where it is not; whatever postmap(1) says to it."""
    if not agrees(instance, source):
        instance.complaints("postmap", f"lmdb:{source}")
        _insist(instance, source)


def _insist(instance: Instance, source: Path) -> None:
    """On a full disk postmap(1) changes nothing, says nothing and exits with 0."""
    if not agrees(instance, source):
        raise PostfixError(f"postmap does not update {_lmdb(source)}: is the disk full?")


def agrees(instance: Instance, source: Path) -> bool:
    """Whether the table has the rows of its source, and no others."""
    printed = instance.run("postmap", "-s", f"lmdb:{source}")
    return _rows(printed.replace("\t", " ")) == _rows(files.text_of(source) or "")


def _rows(text: str) -> set[str]:
    """As Postfix keeps them, which folds the keys."""
    return set(text.casefold().splitlines())


def _lmdb(source: Path) -> Path:
    return source.with_name(f"{source.name}.lmdb")
