"""Writes docs/cli.md and docs/configuration.md from the program itself.

`python docs/generate.py` writes both; with `--check` it writes nothing, names each
stale file on stderr and exits with 1. tests/unit/test_docs.py calls it so.
"""

import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from pointsman.cli.main import cli
from pointsman.config import DEFAULT_PATH, Config

HERE = Path(__file__).parent
WIDTH = 88
NOTE = "<!-- Written by docs/generate.py: edit the program's own texts, then run `make docs`. -->"
_DEFAULT = re.compile(r"\s*\[default: (.+)\]$")


def cli_reference() -> str:
    """Every command with its usage, help, arguments and options."""
    top = click.Context(cli, info_name="pointsman", **cli.context_settings)
    return _page(
        NOTE,
        "# Commands",
        _wrapped(
            "Every command takes `-h` and `--help`. Exit status: 0 if it worked, 1 if it failed, "
            "2 if it was called wrongly. An error is one sentence on standard error. "
            "With `set`, an empty value takes a value away: `--description ''`."
        ),
        *_command(cli, top),
    )


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    depth = context.command_path.count(" ")
    yield f"{'#' * (2 + min(depth, 2))} {context.command_path}"
    yield f"```\n{_usage(command, context)}\n```"
    yield from _help(command)
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    options = [p for p in command.params if isinstance(p, click.Option)]
    if arguments:
        yield "Arguments:"
        yield "\n".join(_argument(p) for p in arguments)
    if options:
        yield "Options:"
        yield "\n".join(_option(p) for p in options)
    if not isinstance(command, click.Group):
        return
    children = [
        (name, command.get_command(context, name)) for name in command.list_commands(context)
    ]
    found = [(name, child) for name, child in children if child is not None]
    yield "Commands:"
    yield "\n".join(
        _item(f"[`{name}`](#{_anchor(f'{context.command_path} {name}')})", _first_line(child))
        for name, child in found
    )
    for name, child in found:
        yield from _command(child, click.Context(child, info_name=name, parent=context))


def _usage(command: click.Command, context: click.Context) -> str:
    """The synopsis, wrapped ourselves: click's own spelling differs between its versions."""
    words = [context.command_path]
    if any(isinstance(p, click.Option) for p in command.params):
        words.append("[OPTIONS]")
    words += [_metavar(p) for p in command.params if isinstance(p, click.Argument)]
    if isinstance(command, click.Group):
        words += ["COMMAND", "[ARGS]..."]
    return " ".join(words)


def _help(command: click.Command) -> Iterator[str]:
    """The docstring: paragraphs wrapped, and those after \\b as they stand."""
    text = inspect.cleandoc((command.help or "").split("\f")[0])
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            yield f"```sh\n{paragraph.removeprefix(chr(8)).strip(chr(10))}\n```"
        elif paragraph:
            yield _wrapped(paragraph)


def _first_line(command: click.Command) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


def _metavar(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    name = name if argument.required else f"[{name}]"
    return f"{name}..." if argument.nargs < 0 else name


def _argument(argument: click.Argument) -> str:
    if isinstance(argument.type, click.Choice):
        text = "One of " + ", ".join(f"`{choice}`" for choice in argument.type.choices) + "."
    else:
        text = "Any number of them." if argument.nargs < 0 else "One."
    return _item(f"`{_metavar(argument)}`", text if argument.required else f"{text} Optional.")


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{_spelled(option, name)}`" for name in option.opts)
    if option.secondary_opts:
        names += "".join(f", `{name}`" for name in option.secondary_opts)
    return _item(names, " ".join(_facts(option)))


def _spelled(option: click.Option, name: str) -> str:
    if option.is_flag or option.count:
        return name
    if isinstance(option.type, click.Choice):
        return f"{name} {'|'.join(map(str, option.type.choices))}"
    return f"{name} {option.metavar or option.type.name.upper()}"


def _facts(option: click.Option) -> Iterator[str]:
    """Help, then what click knows besides: default, required, repeatable, variable."""
    text = option.help or ""
    in_help = _DEFAULT.search(text)
    yield _DEFAULT.sub("", text)
    if in_help:
        yield f"Default: `{in_help[1]}`."
    elif option.show_default:
        yield f"Default: `{option.default}`."
    if option.required:
        yield "Required."
    if option.multiple and "repeatable" not in text:
        yield "Repeatable."
    if option.envvar:
        yield f"Also read from the environment variable `{option.envvar}`."


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
        *(_key(name, default, doc) for name, default, doc in _keys(Config)),
        "## All keys with their defaults",
        f"```yaml\n{_example()}```",
    )


def _keys(kind: type, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Each key by its dotted name."""
    for field in dataclasses.fields(kind):
        if isinstance(field.default_factory, type) and dataclasses.is_dataclass(
            field.default_factory
        ):
            yield from _keys(field.default_factory, f"{prefix}{field.name}.")
        elif "doc" in field.metadata:
            yield f"{prefix}{field.name}", field.default, field.metadata["doc"]


def _key(name: str, default: Any, doc: str) -> str:
    return f"### {name}\n\n{_wrapped(doc)}\n\nDefault: `{default}`"


def _example() -> str:
    lines: list[str] = []
    section = ""
    for name, default, _ in _keys(Config):
        above, _, last = name.rpartition(".")
        if above != section:
            lines.append(f"{above}:")
            section = above
        lines.append(f"{'  ' if above else ''}{last}: {default}")
    return "".join(f"{line}\n" for line in lines)


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
