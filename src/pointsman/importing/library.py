"""Opens Postfix's lookup tables: listed where that can be, else asked by postmap(1)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pointsman.importing.read import Remark
from pointsman.importing.tables import Table, constant, fixed
from pointsman.postfix.conf import Instance
from pointsman.postfix.maps import entries, items

_PATTERNS = ("pcre", "regexp")
# `/^user@domain$/`, or one of the ways to write `/@domain$/`.
_PLAIN = re.compile(
    r"/(?:\^|(?:\^?(?:\.[*+]|\[\^@\]\+))?(?=@))((?:\\[^\w\s]|[^\\^$*+?()\[\]{}|/])+)\$/"
)


@dataclass
class Library:
    """The tables of one instance, each opened once."""

    instance: Instance
    ours: Path
    remarks: list[Remark] = field(default_factory=list)
    _known: dict[tuple[str, str], Table] = field(default_factory=dict)

    def tables(self, parameter: str, value: str, *, senders: bool) -> tuple[Table, ...]:
        """The tables of a parameter, in order; one that names senders should be listed."""
        return tuple(self._table(parameter, item, senders) for item in self.shown(value))

    def shown(self, value: str) -> list[str]:
        """The items of a list that are not ours."""
        return [item for item in items(value) if str(self.ours) not in item]

    def _table(self, parameter: str, item: str, senders: bool) -> Table:  # noqa: FBT001
        if (parameter, item) not in self._known:
            self._known[parameter, item] = self._opened(parameter, item, senders=senders)
        return self._known[parameter, item]

    def _opened(self, parameter: str, item: str, *, senders: bool) -> Table:
        kind, _, name = item.removeprefix("proxy:").partition(":")
        # What stands in main.cf itself may hold a password.
        own = kind == "static" or "{" in item
        shown = f"{kind}: of {parameter}" if own else item
        if kind == "static":
            return constant(shown, name.strip("{} "))
        found = entries(self.instance, item)
        if found is not None:
            return fixed(shown, found)
        asked = Asked(self.instance, item)
        keys = list(_plain_keys(Path(name))) if kind in _PATTERNS else [None]
        if senders and None in keys:
            what = "has other rules than /^user@domain$/" if len(keys) > 1 else "can't be listed"
            text = f"{what}: senders that only it names are not imported, and stay as they are"
            self.remarks.append(Remark(text, f"{parameter} {shown}", keeps=True))
        named = tuple(key for key in keys if key)
        return Table(shown, asked, named, pattern=kind in _PATTERNS, learn=asked.learn)


@dataclass
class Asked:
    """A table that Postfix is asked for each key, many at once where that is known."""

    instance: Instance
    item: str
    answers: dict[str, str | None] = field(default_factory=dict)

    def __call__(self, key: str) -> str | None:
        """One key's answer."""
        if key not in self.answers:
            self.learn([key])
        return self.answers[key]

    def learn(self, keys: Iterable[str]) -> None:
        """Ask for many; keys come by standard input, one a line."""
        new = [key for key in dict.fromkeys(keys) if key not in self.answers]
        self.answers.update(dict.fromkeys(new))
        asked = "".join(f"{key}\n" for key in new if key and "\n" not in key)
        for line in self.instance.answers(self.item, asked):
            key, _, value = line.partition("\t")
            self.answers[key] = value


def _plain_keys(path: Path) -> Iterator[str | None]:
    """The senders that patterns name: `/^user@domain$/`, `/@domain$/`; None for any other rule.

    They are but keys to ask for: what they lead to, Postfix says.
    """
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        yield None
        return
    for line in lines:
        if not line.strip() or line[:1] in ("#", " ", "\t"):
            continue
        match = _PLAIN.match(line)
        key = re.sub(r"\\(.)", r"\1", match[1]) if match else ""
        yield key if "@" in key else None
