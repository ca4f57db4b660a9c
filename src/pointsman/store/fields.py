"""How a record's field is declared, once, and how given values are checked against it."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pointsman.errors import UsageError

Check = Callable[[str], str]
MOST = 1_000_000  # of anything that is counted


@dataclass(frozen=True)
class Setting:
    """How a field looks to people: option, help and what is allowed."""

    help: str
    choices: Sequence[str] = ()
    check: Check | None = None
    metavar: str | None = None
    secret: bool = False  # kept encrypted, never shown
    lines: bool = False  # a secret of several lines
    file: bool = False  # the option names a file that holds the value
    states: str = ""  # the parameter by which the lane states the value, where one will do
    auths: Sequence[str] = ()  # the ways to log in that it belongs to; () for all
    made_from: str = ""  # the option that it is made from, where it has none of its own

    def option(self, name: str) -> str:
        """The option by which a person gives the field of this name."""
        if self.made_from:
            return f"--{self.made_from}"
        return f"--{name.replace('_', '-')}{'-file' if self.file else ''}"


def setting(default: Any, help: str, **more: Any) -> Any:  # noqa: A002 - click's own word
    """Declare a record's field."""
    return dataclasses.field(default=default, metadata={"setting": Setting(help, **more)})


def settings(record: type) -> dict[str, tuple[Setting, Any]]:
    """The declared fields of a record, each with its default."""
    return {
        field.name: (field.metadata["setting"], field.default)
        for field in dataclasses.fields(record)
        if "setting" in field.metadata
    }


def check_values(record: type, values: dict[str, Any]) -> dict[str, Any]:
    """Check given values against the record's field list; return them in normal form."""
    known = settings(record)
    return {name: _checked(known[name][0], value) for name, value in values.items()}


def _checked(field: Setting, value: Any) -> Any:
    if field.choices and value not in field.choices:
        raise UsageError(f"{value!r}: choose from {', '.join(field.choices)}")
    if field.check is None or value in ("", False, True):
        return value
    if isinstance(value, tuple):
        return tuple(dict.fromkeys(field.check(item) for item in value))
    return field.check(value)
