"""Writes docs/cli.md, docs/configuration.md and docs/check.md from the program itself.

`python docs/generate.py` writes them; with `--check` it writes nothing, names each
stale file on stderr and exits with 1. tests/unit/test_docs.py calls it so.
"""

import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import program

from pointsman.checks.finding import Kind
from pointsman.checks.table import TOPICS
from pointsman.config import DEFAULT_PATH, Config

HERE = Path(__file__).parent
WIDTH = 88
NOTE = "<!-- Written by docs/generate.py: edit the program's own texts, then run `make docs`. -->"


def cli_reference() -> str:
    """Every command with its usage, help, arguments and options."""
    return _page(
        NOTE,
        "# Commands",
        _wrapped(
            "Every command takes `-h` and `--help`. Exit status: 0 if it worked, 1 if it failed, "
            "2 if it was called wrongly. An error is one sentence on standard error. "
            "With `set`, an empty value takes a value away: `--description ''`."
        ),
        *_command(program.TOP),
    )


def _command(context: click.Context) -> Iterator[str]:
    command, depth = context.command, context.command_path.count(" ")
    yield f"{'#' * (2 + min(depth, 2))} {context.command_path}"
    yield f"```\n{program.usage(context)}\n```"
    for text, literal in program.paragraphs(command):
        yield f"```sh\n{text}\n```" if literal else _wrapped(text)
    for title, items in (
        ("Arguments:", program.arguments(command)),
        ("Options:", program.options(command)),
    ):
        if items:
            yield title
            yield "\n".join(_item(*item) for item in items)
    children = program.children(context)
    if children:
        yield "Commands:"
        yield "\n".join(
            _item(f"[`{c.info_name}`](#{_anchor(c.command_path)})", program.first_line(c.command))
            for c in children
        )
    for child in children:
        yield from _command(child)


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


def configuration_reference() -> str:
    """Every key of the YAML file with its default and what it is for."""
    return _page(
        NOTE,
        "# Configuration file",
        _wrapped(
            "The file holds only what belongs to this host. Everything else is in the database, "
            "with history: see [cli.md](cli.md)."
        ),
        "## Which file is read",
        "\n".join(
            [
                "1. The one that `pointsman --config FILE` names.",
                "2. Else the one that the environment variable `POINTSMAN_CONFIG` names.",
                f"3. Else `{DEFAULT_PATH}`. If it is not there, every key has its default.",
            ]
        ),
        _wrapped(
            "The format is YAML. An unknown key is an error, and so are a key that is there "
            "twice and a YAML alias: a typing mistake never does nothing in silence. "
            "Every value is text. Give absolute paths."
        ),
        "## Keys",
        *(_key(name, default, doc) for name, default, doc in program.keys(Config)),
        "## All keys with their defaults",
        f"```yaml\n{_example()}```",
    )


def _key(name: str, default: Any, doc: str) -> str:
    return f"### {name}\n\n{_wrapped(doc)}\n\nDefault: `{default}`"


def _example() -> str:
    lines: list[str] = []
    section = ""
    for name, default, _ in program.keys(Config):
        above, _, last = name.rpartition(".")
        if above != section:
            lines.append(f"{above}:")
            section = above
        lines.append(f"{'  ' if above else ''}{last}: {default}")
    return "".join(f"{line}\n" for line in lines)


def check_reference() -> str:
    """Every kind of finding, by topic, from the one table."""
    return _page(
        NOTE,
        "# What `pointsman check` finds",
        _wrapped(
            "It looks at what would otherwise do nothing in silence: an option of one service "
            "that leaves the milter out, a rule that wins over a lane, a daemon that does not "
            "answer, a file that somebody edited. It changes nothing. Run it after every change "
            "to Postfix, and by your monitoring. It asks the daemons themselves, and gives the "
            "agent the time that it has for a change before it calls anything wrong."
        ),
        _wrapped(
            "Each finding is printed with what is so on this host and with what to do about it, "
            "as a command where there is one. Its kind stands in brackets:"
        ),
        "```\n"
        "error: service submission/inet has `-o smtpd_milters=`: its mail is not led, checked or "
        "counted (no-milter)\n"
        "  fix: `postconf -PX submission/inet/smtpd_milters && postfix reload`\n"
        "```",
        _wrapped(
            "An `error` sends mail by a wrong way, unchecked, or not at all. A `warning` will "
            "before long, or does for some mail. A `note` is something that you may have meant. "
            "Exit status: 1 if there is an error or a warning, else 0. `--ignore KIND` leaves out "
            "what you know and accept. `--json` prints an object a line, with `severity`, "
            "`name`, `kind`, `text` and `fix`."
        ),
        *(block for topic, kinds in TOPICS.items() for block in _topic(topic, kinds)),
    )


def _topic(topic: str, kinds: Iterable[Kind]) -> Iterator[str]:
    yield f"## {topic}"
    rows = [f"| `{k.name}` | {k.severity} | {k.reason} | {k.cure} |" for k in kinds]
    yield "\n".join(
        ["| kind | severity | what is wrong | what to do |", "|---|---|---|---|", *rows]
    )


def _item(term: str, text: str) -> str:
    return textwrap.fill(
        f"- {term}: {text}",
        WIDTH,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(
        " ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False
    )


def _page(*blocks: str) -> str:
    return "\n\n".join(blocks) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_reference,
    "configuration.md": configuration_reference,
    "check.md": check_reference,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` say which of them are stale."""
    if arguments not in ([], ["--check"]):
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    stale = []
    for name, page in PAGES.items():
        path, text = HERE / name, page()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not arguments:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        if arguments:
            print(f"docs/{name} is stale: run `make docs`", file=sys.stderr)
        else:
            print(f"wrote docs/{name}")
    return 1 if arguments and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
