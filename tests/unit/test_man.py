"""The manual pages and the packaged configuration file: complete, and as the program is."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest

from pointsman.cli.main import cli
from pointsman.config import Config, load

ROOT = Path(__file__).parents[2]
TOP = click.Context(cli, info_name="pointsman", **cli.context_settings)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder that packaging/build takes the pages from."""
    folder = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, ROOT / "docs" / "man.py", folder], check=True)
    return folder


def contexts(context=TOP):
    """Every command, groups included."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            child = context.command.get_command(context, name)
            yield from contexts(click.Context(child, info_name=name, parent=context))


PAGES = {context.command_path.replace(" ", "-"): context.command for context in contexts()}


def test_every_command_has_a_page(written):
    """And no other has one."""
    assert {path.stem for path in (written / "man1").iterdir()} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_every_option_is_on_its_page(written, name):
    """Under each of its names, in the spelling of troff."""
    page = (written / "man1" / f"{name}.1").read_text()
    for option in (p for p in PAGES[name].params if isinstance(p, click.Option)):
        for spelled in (*option.opts, *option.secondary_opts):
            assert "\\fB" + spelled.replace("-", "\\-") in page


def test_no_line_is_taken_for_a_request(written):
    """Text that begins with a dot or a quote would vanish in silence."""
    known = (".TH", ".SH", ".TP", ".PP", ".RS", ".RE", ".nf", ".fi", ".ad", ".B", ".BR", ".I")
    for path in written.rglob("*.[15]"):
        for line in path.read_text().splitlines():
            if line.startswith((".", "'")):
                assert line.split()[0] in known, (path.name, line)


def test_configuration_file_is_comments_alone(written):
    """As installed it changes nothing; each key may be switched on as it stands."""
    path = written / "pointsman.yaml"
    assert replace(load(path), path=Config().path) == Config()
    lines = [
        line
        for line in path.read_text().splitlines()
        if not line.startswith("# ") or line[2:3] == " "
    ]
    path.write_text("".join(f"{line.removeprefix('#')}\n" for line in lines))
    assert replace(load(path), path=Config().path) == Config()
    assert "config_directory: /etc/postfix" in path.read_text()
