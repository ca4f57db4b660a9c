"""What the program says of itself: read by generate.py and man.py, which lay it out."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

import click

from pointsman.cli.main import cli

TOP = click.Context(cli, info_name="pointsman", **cli.context_settings)
_DEFAULT = re.compile(r"\s*\[default: (.+)\]$")


def children(context: click.Context) -> list[click.Context]:
    """The subcommands of a group, in its own order."""
    command = context.command
    if not isinstance(command, click.Group):
        return []
    found = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return [
        click.Context(child, info_name=name, parent=context)
        for name, child in found.items()
        if child is not None and not child.hidden
    ]


def usage(context: click.Context) -> str:
    """The synopsis, wrapped ourselves: click's own spelling differs between its versions."""
    command = context.command
    words = [context.command_path]
    if any(isinstance(p, click.Option) for p in command.params):
        words.append("[OPTIONS]")
    words += [_metavar(p) for p in command.params if isinstance(p, click.Argument)]
    if isinstance(command, click.Group):
        words += ["COMMAND", "[ARGS]..."]
    return " ".join(words)


def paragraphs(command: click.Command) -> Iterator[tuple[str, bool]]:
    """The help text, and of each paragraph whether it stands as it is, after \\b."""
    text = inspect.cleandoc((command.help or "").split("\f")[0])
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b"):
            yield paragraph.removeprefix(chr(8)).strip("\n"), True
        elif paragraph:
            yield " ".join(paragraph.split()), False


def first_line(command: click.Command) -> str:
    """What a list of commands has to say."""
    return " ".join((command.help or "").split("\n\n")[0].split())


def _metavar(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    name = name if argument.required else f"[{name}]"
    return f"{name}..." if argument.nargs < 0 else name


def arguments(command: click.Command) -> list[tuple[str, str]]:
    """Each argument, and what may stand there."""
    return [_argument(p) for p in command.params if isinstance(p, click.Argument)]


def options(command: click.Command) -> list[tuple[str, str]]:
    """Each option under all its names, and what is to be known about it."""
    return [_option(p) for p in command.params if isinstance(p, click.Option)]


def _argument(argument: click.Argument) -> tuple[str, str]:
    if isinstance(argument.type, click.Choice):
        text = "One of " + ", ".join(f"`{choice}`" for choice in argument.type.choices) + "."
    else:
        text = "Any number of them." if argument.nargs < 0 else "One."
    return f"`{_metavar(argument)}`", text if argument.required else f"{text} Optional."


def _option(option: click.Option) -> tuple[str, str]:
    names = ", ".join(f"`{_spelled(option, name)}`" for name in option.opts)
    if option.secondary_opts:
        names += "".join(f", `{name}`" for name in option.secondary_opts)
    return names, " ".join(_facts(option))


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


def keys(kind: type, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Each key by its dotted name."""
    for field in dataclasses.fields(kind):
        if isinstance(field.default_factory, type) and dataclasses.is_dataclass(
            field.default_factory
        ):
            yield from keys(field.default_factory, f"{prefix}{field.name}.")
        elif "doc" in field.metadata:
            yield f"{prefix}{field.name}", field.default, field.metadata["doc"]
