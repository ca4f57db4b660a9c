"""What main.cf and master.cf would say without us: kept up to date, for teardown. Pure.

An admin goes on editing both files after setup. Their edits are told from ours entry by
entry: what is as we left it goes back to what stood there; what they edited since is
theirs, and loses only our items.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

NESTED = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
ITEM = re.compile(rf"(?:{NESTED}|[^\s,{{}}])+")
_OPTION = re.compile(rf"\s+-o\s*({NESTED}|\S+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A parameter or service with its continuation lines; or lines that are neither (no key)."""

    key: str
    text: str


@dataclass(frozen=True)
class Ours:
    """How to know what is ours."""

    marks: tuple[str, ...]  # an item of a list, an option or a service with one of these is ours
    whole: Mapping[str, str] = field(default_factory=dict)  # parameters without a list: our value

    def owns(self, text: str) -> bool:
        """Whether an item, option or service is ours."""
        return any(mark in text for mark in self.marks)


def main_cf(now: str, left: str, without: str, ours: Ours) -> str:
    """What main.cf would be without us, where it is `now`.

    `left` is how our last edit left it, `without` what it would have been then.
    """
    return _rejoined(now, left, without, ours, _parameter_name, _stripped_parameter)


def master_cf(now: str, left: str, without: str, ours: Ours) -> str:
    """The same for master.cf."""
    return _rejoined(now, left, without, ours, _service_name, _stripped_service)


def entries(text: str, key_of: Callable[[str], str]) -> list[Entry]:
    """Cut a file into logical lines (postconf(5), master(5)); joined again they are the file."""
    found: list[Entry] = []
    gap = ""  # comments and empty lines: nobody's, unless a continuation follows
    for line in _LINE.findall(text):
        if not line.strip() or line.lstrip().startswith("#"):
            gap += line
        elif line[0].isspace() and found:
            found[-1] = Entry(found[-1].key, found[-1].text + gap + line)
            gap = ""
        else:
            found += [Entry("", gap)] if gap else []
            found.append(Entry(key_of(line), line))
            gap = ""
    return [*found, Entry("", gap)] if gap else found


def _parameter_name(line: str) -> str:
    return line.partition("=")[0].strip()


def _service_name(line: str) -> str:
    return "/".join(line.split()[:2])


def _texts(text: str, key_of: Callable[[str], str]) -> dict[str, str]:
    """Each key's entries; of a parameter that is there twice, both."""
    found: dict[str, str] = {}
    for entry in entries(text, key_of):
        if entry.key:
            found[entry.key] = found.get(entry.key, "") + entry.text
    return found


Strip = Callable[[str, str, str, str, Ours], str]


def _rejoined(
    now: str, left: str, without: str, ours: Ours, key_of: Callable[[str], str], strip: Strip
) -> str:
    if now == left:
        return without
    here, were, theirs = (_texts(text, key_of) for text in (now, left, without))
    result: list[str] = []
    done: set[str] = set()
    for entry in entries(now, key_of):
        key = entry.key
        # The latter: we may have been killed before we noted how we left it.
        touched = were.get(key) != theirs.get(key) or key in ours.whole or ours.owns(entry.text)
        if not key or not touched:
            result.append(entry.text)
        elif key not in done:
            done.add(key)
            if here[key] == were.get(key):
                result.append(theirs.get(key, ""))
            else:
                known = were.get(key, ""), theirs.get(key, "")
                result.append(strip(key, here[key], *known, ours))
    return "".join(result)


def _stripped_parameter(key: str, now: str, left: str, theirs: str, ours: Ours) -> str:
    value = _value(now)
    if ours.owns(key):
        return ""
    if key in ours.whole:
        as_we_say = re.fullmatch(ours.whole[key], value) or value == _value(left)
        return theirs if as_we_say else now
    items = ITEM.findall(value)
    kept = [item for item in items if not ours.owns(item)]
    if kept == ITEM.findall(_value(theirs)):
        return theirs
    return now if kept == items else f"{key} = {', '.join(kept)}\n"


def _value(text: str) -> str:
    """The value of the last line of a parameter, with what continues it."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    starts = [number for number, line in enumerate(lines) if line[:1].strip()]
    return " ".join(" ".join(lines[starts[-1] :] if starts else []).partition("=")[2].split())


def _stripped_service(_key: str, now: str, left: str, theirs: str, ours: Ours) -> str:
    """A lane goes altogether; a service of the admin's loses the options that we gave it."""
    if not theirs:
        return "" if ours.owns(now) else now
    were, before = options(left), options(theirs)

    def one(match: re.Match[str]) -> str:
        name, value = _split(match[1])
        changed = were.get(name) == value != before.get(name)
        if not (changed or ours.owns(f"{name}={value}")):
            return match[0]
        items = [] if changed else ITEM.findall(value)
        kept = [item for item in items if not ours.owns(f"{name}={item}")]
        rest = before.get(name, "") if not kept else ", ".join(kept)
        keep = kept or name in before
        return match[0].replace(match[1], _spelled(name, rest)) if keep else ""

    return _OPTION.sub(one, now)


def options(text: str) -> dict[str, str]:
    """The `-o name=value` of a service of master.cf."""
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return dict(map(_split, _OPTION.findall(bare)))


def _split(option: str) -> tuple[str, str]:
    bare = option[1:-1] if option.startswith("{") else option
    name, _, value = bare.partition("=")
    return name.strip(), value.strip()


def _spelled(name: str, value: str) -> str:
    return f"{{ {name} = {value} }}" if " " in value else f"{name}={value}"
