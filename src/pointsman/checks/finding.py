"""What a check says: each finding with something that a person can do about it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pointsman.checks.facts import Facts

NOTE, WARNING, ERROR = "note", "warning", "error"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or will be."""

    severity: str
    name: str  # what it is about: `connector court-smtp`
    kind: str  # the same word in the log
    text: str
    fix: str


class Found(NamedTuple):
    """A finding as its check has it: what it is about, what is so, and what to do."""

    name: str
    text: str
    fix: str


@dataclass(frozen=True)
class Kind:
    """One kind of finding: how bad it is, and the function that looks for it."""

    name: str
    severity: str
    look: Callable[[Facts], Iterable[Found]]
    cure: str  # in general; a finding says it exactly

    @property
    def reason(self) -> str:
        """What is wrong about it, for the reader of docs/check.md."""
        return " ".join((self.look.__doc__ or "").split())


def findings(kinds: Iterable[Kind], facts: Facts) -> Iterator[Finding]:
    """Everything that is found, kind by kind."""
    for kind in kinds:
        for found in kind.look(facts):
            yield Finding(kind.severity, found.name, kind.name, found.text, found.fix)
