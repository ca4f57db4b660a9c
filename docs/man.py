"""Writes the manual pages, and the configuration file that a package installs.

`python docs/man.py DIR` writes DIR/man1/*.1, DIR/man5/pointsman.yaml.5 and
DIR/pointsman.yaml. packaging/build calls it; nothing of it is kept in the repository.
"""

import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import program

from pointsman import __version__
from pointsman.config import DEFAULT_PATH, Config

WIDTH = 76
EXIT_STATUS = "0 if it worked, 1 if it failed, 2 if it was called wrongly."
CONFIG_FILE = (
    "The file holds only what belongs to this host; all else is in the database. It is YAML. "
    "An unknown key is an error, and so is a key that is there twice. Every value is text. "
    "Without the file, every key has its default."
)
HOW_TO = "See pointsman.yaml(5). To change a key, take the # before it away, and before its group."


def command_page(context: click.Context) -> str:
    """The page of a command or a group: roff, for man(1)."""
    command = context.command
    first, *rest = program.paragraphs(command)
    arguments, options = program.arguments(command), program.options(command)
    children = [(_page_name(c), program.first_line(c.command)) for c in program.children(context)]
    return "\n".join(
        [
            _head(_page_name(context), "1"),
            f".SH NAME\n{_roff(_page_name(context))} \\- {_roff(first[0].rstrip('.'))}",
            f".SH SYNOPSIS\n.B {_roff(program.usage(context))}",
            ".SH DESCRIPTION",
            *(_paragraph(*paragraph) for paragraph in (first, *rest)),
            *_listed("ARGUMENTS", arguments),
            *_listed("OPTIONS", options),
            *_listed("COMMANDS", [(f"`{name}`(1)", text) for name, text in children]),
            f".SH EXIT STATUS\n{EXIT_STATUS}",
            ".SH SEE ALSO",
            ",\n".join(f".BR {_roff(name)} ({part})" for name, part in _related(context)),
            "",
        ]
    )


def _related(context: click.Context) -> list[tuple[str, int]]:
    """The group that it belongs to, the commands that belong to it, and the file."""
    above = [_page_name(context.parent)] if context.parent else []
    below = [_page_name(child) for child in program.children(context)]
    return [*((name, 1) for name in (*above, *below)), ("pointsman.yaml", 5), ("postfix", 1)]


def configuration_page() -> str:
    """The page of pointsman.yaml."""
    items = [
        (f"`{name}`", f"{doc} Default: `{default}`.") for name, default, doc in program.keys(Config)
    ]
    return "\n".join(
        [
            _head("pointsman.yaml", "5"),
            ".SH NAME\npointsman.yaml \\- what Pointsman has to know about this host",
            f".SH SYNOPSIS\n.I {_roff(str(DEFAULT_PATH))}",
            f".SH DESCRIPTION\n{_roff(CONFIG_FILE)}",
            *_listed("KEYS", items),
            ".SH EXAMPLE\n.nf",
            "policy:\n  counters: redis://192.0.2.1:6379/0\n  on_failure: hold",
            ".fi\n.SH SEE ALSO\n.BR pointsman (1)",
            "",
        ]
    )


def configuration_file() -> str:
    """Every key with its meaning and its default, which holds as long as it is a comment."""
    lines = [f"# {line}" for line in textwrap.wrap(f"{CONFIG_FILE} {HOW_TO}", WIDTH)]
    section = ""
    for name, default, doc in program.keys(Config):
        above, _, last = name.rpartition(".")
        lines += ["", *([f"#{above}:"] if above not in ("", section) else [])]
        section = above
        indent = "  " if above else ""
        lines += [
            f"#{indent}# {line}" if above else f"# {line}" for line in textwrap.wrap(doc, WIDTH)
        ]
        lines += [f"#{indent}{last}: {default}"]
    return "\n".join(lines) + "\n"


def _page_name(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _head(name: str, section: str) -> str:
    return f'.TH {_roff(name.upper())} {section} "" "Pointsman {__version__}" "Pointsman"\n.ad l'


def _paragraph(text: str, literal: bool) -> str:  # noqa: FBT001
    if not literal:
        return f".PP\n{_roff(text)}"
    return "\n".join([".PP\n.RS 4\n.nf", *map(_roff, text.splitlines()), ".fi\n.RE"])


def _listed(title: str, items: Iterable[tuple[str, str]]) -> Iterator[str]:
    for number, (term, text) in enumerate(items):
        if number == 0:
            yield f".SH {title}"
        yield f".TP\n{_roff(term)}\n{_roff(text)}"


def _roff(text: str) -> str:
    """Text as troff needs it (groff_man_style(7)); what is in backticks becomes bold."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    escaped = re.sub(r"`([^`]+)`", r"\\fB\1\\fP", escaped)
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


def pages(context: click.Context = program.TOP) -> Iterator[click.Context]:
    """Every command, groups first."""
    yield context
    for child in program.children(context):
        yield from pages(child)


def main(arguments: list[str]) -> int:
    """Write all of it into one folder."""
    if len(arguments) != 1:
        print("usage: python docs/man.py DIR", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    texts = {f"man1/{_page_name(c)}.1": command_page(c) for c in pages()}
    texts |= {"man5/pointsman.yaml.5": configuration_page()}
    texts |= {"pointsman.yaml": configuration_file()}
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
