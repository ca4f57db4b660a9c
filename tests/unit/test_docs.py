"""Documentation that can't lie: generated pages are fresh, and all that exists is mentioned."""

import ast
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import get_args

import click
import pytest

from pointsman.cli.main import cli
from pointsman.config import Config, load
from pointsman.postfix import lane, wiring
from pointsman.postfix.lane import Tables
from pointsman.postfix.render import CLEANUP, render
from pointsman.postfix.wiring import Choice
from pointsman.routing.lanes import By
from pointsman.routing.snapshot import Surroundings
from pointsman.store.book import Book
from pointsman.store.modes import LOGINS, TLS_MODES
from pointsman.store.records import Connector

ROOT = Path(__file__).parents[2]
CODE = ("src", "milter", "policy", "cli", "lab")
TOP = click.Context(cli, info_name="pointsman", **cli.context_settings)

OPERATORS = {"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"}
FENCED = re.compile(r"^ *(```+|~~~+)[^\n]*\n(.*?)^ *\1 *$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"(?<![\w/.~-])((?:[\w-]+/)+[\w-]+\.py)\b")
FUNCTION = re.compile(r"`(?:[\w/]+\.py[: ])?(?:\w+\.)*(\w+)\(\)`")


def text_of(name):
    """A file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def in_code(name, text):
    """Whether a text has a name in backticks, alone or at the head of `name = value`."""
    return re.search(rf"`{re.escape(name)}(`|[ =/])", text) is not None


# -- the generated pages


PAGES = ("cli.md", "configuration.md", "check.md")


def test_generated_pages_are_up_to_date():
    """Who changes a help text or a key runs `make docs` as well."""
    command = [sys.executable, ROOT / "docs" / "generate.py", "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.fixture
def generator(tmp_path, monkeypatch):
    """The generator with pages of its own, in this process: a start of Python takes longer."""
    for name in PAGES:
        shutil.copy(ROOT / "docs" / name, tmp_path)
    monkeypatch.syspath_prepend(ROOT / "docs")  # where its `program` is
    found = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    monkeypatch.setitem(found["main"].__globals__, "HERE", tmp_path)
    return found["main"]


@pytest.mark.parametrize("name", PAGES)
def test_check_names_the_stale_page(tmp_path, generator, capsys, name):
    """It writes nothing; without `--check` the page is put right."""
    page = tmp_path / name
    page.write_text("old\n")
    assert (generator(["--check"]), page.read_text()) == (1, "old\n")
    assert capsys.readouterr().err == f"docs/{name} is stale: run `make docs`\n"
    assert generator([]) == 0
    assert page.read_text() == text_of(f"docs/{name}")


def test_example_configuration_is_the_default(tmp_path):
    """The page ends with a file that could be used as it is."""
    example = text_of("docs/configuration.md").split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "pointsman.yaml"
    path.write_text(example)
    assert replace(load(path), path=Config().path) == Config()


# -- commands and options


def commands(command=cli, context=TOP):
    """Every command with its context, groups included."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            yield from commands(child, click.Context(child, info_name=name, parent=context))


def options(command):
    """The options of one command."""
    return [p for p in command.params if isinstance(p, click.Option)]


COMMANDS = {context.command_path: command for command, context in commands()}
OPTIONS = [(path, option) for path, command in COMMANDS.items() for option in options(command)]


def section(path):
    """What cli.md says about one command."""
    found = re.search(
        rf"^#+ {path}\n(.*?)(?=^#|\Z)", text_of("docs/cli.md"), re.MULTILINE | re.DOTALL
    )
    assert found, f"docs/cli.md has no section {path}"
    return found[1]


@pytest.mark.parametrize("path", COMMANDS)
def test_command_is_documented(path):
    """It has a help text, and the reference has the text's first line."""
    first = " ".join((COMMANDS[path].help or "").split("\n\n")[0].split())
    assert first
    assert first in " ".join(section(path).split())


@pytest.mark.parametrize(
    ("path", "option"), OPTIONS, ids=[f"{path} {option.opts[-1]}" for path, option in OPTIONS]
)
def test_option_is_documented(path, option):
    """It has a help text, and stands in its command's section under each of its names."""
    assert (option.help or "").strip()
    for name in [*option.opts, *option.secondary_opts]:
        assert in_code(name, section(path))


# -- command lines in the README


def command_lines(text):
    """The lines of fenced blocks that call pointsman, as words."""
    for _, block in FENCED.findall(text):
        for line in re.sub(r"\\\n", " ", block).splitlines():
            words = called(line)
            if words is not None:
                yield words


def called(line):
    """The arguments of a call of pointsman; None for any other line."""
    line = re.sub(r"^\s*(\$\s+)?", "", line)
    if not re.match(r"(sudo\s+|\w+=\S*\s+)*(\S*/)?pointsman(\s|$)", line):
        return None
    words = shlex.split(line, comments=True)
    while not re.fullmatch(r"(\S*/)?pointsman", words[0]):
        del words[0]
    return list(takewhile(lambda word: word not in OPERATORS, words[1:]))


def parse(words):
    """Parse a command line as click would, and run nothing."""
    command, context = cli, TOP
    while isinstance(command, click.Group):
        _, words, _ = command.make_parser(context).parse_args(list(words))
        if not words:
            return
        name, *words = words
        child = command.get_command(context, name)
        if child is None:
            raise click.UsageError(f"{context.command_path} has no command {name!r}")
        command, context = child, click.Context(child, info_name=name, parent=context)
    try:
        command.make_context(context.info_name, list(words), parent=context.parent)
    except click.exceptions.Exit:
        return  # --help


def test_readme_shows_commands():
    """Else the next test would prove nothing."""
    assert list(command_lines(text_of("README.md")))


def test_command_lines_of_the_readme_parse(capsys):
    """Commands, options, choices and what is required: word for word as printed there."""
    wrong = {}
    for words in command_lines(text_of("README.md")):
        try:
            parse(words)
        except click.ClickException as error:
            wrong[shlex.join(["pointsman", *words])] = error.format_message()
    capsys.readouterr()
    assert wrong == {}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pointsman apply", ["apply"]),
        ("$ pointsman apply  # now", ["apply"]),
        ("# pointsman apply", None),
        ("sudo pointsman sender link 'a b@c.test' # don't", ["sender", "link", "a b@c.test"]),
        ("  sudo .venv/bin/pointsman run &", ["run"]),
        ("A=b pointsman agency list --json | jq .", ["agency", "list", "--json"]),
        ("pointsman \\\n  apply \\\n  --dry-run", ["apply", "--dry-run"]),
        ("# pointsman/milter[1]: x", None),
        ("make demo", None),
    ],
)
def test_command_lines_are_found(line, words):
    """Prompts, sudo, comments, pipes and continued lines."""
    found = list(command_lines(f"text\n\n```sh\n{line}\n```\n\n`pointsman no`\n"))
    assert found == ([words] if words else [])


@pytest.mark.parametrize(
    "line",
    ["nonsense", "agency nonsense", "apply --nonsense", "--nonsense apply", "sender link @a.test"],
)
def test_wrong_command_line_is_noticed(line):
    """A command or option that does not exist, or one that is missing."""
    with pytest.raises(click.ClickException):
        parse(line.split())


@pytest.mark.parametrize("line", ["", "--help", "agency", "agency --help", "agency add --help"])
def test_call_for_help_is_right(line, capsys):
    """A group alone shows what there is."""
    parse(line.split())
    capsys.readouterr()


# -- the Postfix settings

POSTFIX = "contrib/postfix/README.md"
TABLES = Tables(Path("/etc/postfix/pointsman"))


class BarePostfix:
    """An instance whose main.cf says nothing."""

    def parameters(self, *names, **_):
        return {name: "0" if name in wiring.AT_LEAST else "" for name in names}

    def services(self):
        return {}

    def queue_directory(self):
        return Path("/var/spool/postfix")


SETTINGS = wiring.parameters(Config(), BarePostfix(), Choice())


@pytest.mark.parametrize("name", [*SETTINGS, "default_transport"])
def test_setting_is_explained(name):
    """All that setup and apply write into main.cf."""
    assert in_code(name, text_of(POSTFIX))


@pytest.mark.parametrize("name", SETTINGS)
def test_value_is_shown_as_written(name):
    """With `$config_directory/pointsman` for the folder."""
    value = SETTINGS[name].replace(str(TABLES.folder), "$config_directory/pointsman")
    assert f"`{name} = {value}`" in text_of(POSTFIX)


def test_limits_of_the_milter_are_shown():
    """One client waits no longer than this."""
    assert wiring.MILTER_LIMITS in text_of(POSTFIX)


def rendered():
    """What apply writes for one connector with all that a connector may have."""
    connectors = {
        "a": Connector(
            "a", "h.test", auth="password", username="u", password="p", ca="PEM", state="live"
        ),
        "b": Connector(
            "b", "h.test", auth="certificate", certificate="PEM", private_key="k", state="live"
        ),
    }
    checks = dict.fromkeys(("header_checks", "nested_header_checks", "mime_header_checks"), "")
    book = Book(1, {}, connectors, {}, settings={"tokens": ["0" * 32]})
    before = {"default_transport": None}
    return render(book, Surroundings(), TABLES, str, "n", checks, before, datetime.now(UTC))


def test_services_are_explained():
    """The cleanup service behind pickup, the option that leads to it, and the lanes."""
    text = text_of(POSTFIX)
    assert f"-o cleanup_service_name={CLEANUP}" in text
    assert in_code(CLEANUP, text)
    assert in_code("pm-NAME", text)
    entry = rendered().services[f"{CLEANUP}/unix"]
    for option in re.findall(r"-o \{?(\w+)=", entry):
        assert in_code(option, text)


def test_tables_are_explained():
    """Every file in the folder of the tables."""
    files = [
        *rendered().files,
        *rendered().secret_files,
        "sender_transport",
        "sender_transport.lmdb",
    ]
    text = text_of(POSTFIX)
    for name in files:
        shown = re.sub(
            r"(?<=^login/)a\.\w+$|(?<=^ca/)a\.\w+(?=\.pem$)|(?<=^identity/)b\.\w+(?=\.pem$)",
            "NAME.MARK",
            name,
        )
        assert in_code(shown, text), shown


@pytest.mark.parametrize("tls", TLS_MODES)
@pytest.mark.parametrize("auth", LOGINS)
def test_what_a_lane_states_is_explained(tls, auth):
    """The closed list, whatever the connector."""
    text = text_of(POSTFIX)
    stated = lane.parameters(Connector("a", "h.test", tls=tls, auth=auth), TABLES)
    assert [name for name in stated if not in_code(name, text)] == []


# -- the log


def logged_keys():
    """Every `key=` that logs.py writes: of the dictionaries of pairs, and in the formats."""
    tree = ast.parse(text_of("src/pointsman/logs.py"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            yield from (key.value for key in node.keys if isinstance(key, ast.Constant))
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            yield node.slice.value
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"\b(\w+)=", node.value)


def test_every_key_of_the_log_is_explained():
    """Who adds a key says what it means."""
    keys = {key for key in logged_keys() if isinstance(key, str)}
    assert {"from", "reply", "revision", "error", "moved"} <= keys
    assert [key for key in sorted(keys) if not in_code(key, text_of("docs/log.md"))] == []


def ways():
    """Every value of `way=`, as far as the code spells it out."""
    source = text_of("src/pointsman/routing/decide.py")
    yield from re.findall(r'Leave\("([\w-]+)"\)', source)
    yield from re.findall(r'way: str = "([\w-]+)"', source)
    yield from re.findall(r'", "(deferred)"\)', source)
    yield from (
        f"null-sender-{h}" for h in re.findall(r'^        "([a-z-]+)": ', source, re.MULTILINE)
    )


@pytest.mark.parametrize(
    "value", sorted({*ways(), *get_args(By), "table", "default", "null-sender"})
)
def test_value_in_the_log_is_explained(value):
    """What `way=` and `by=` may say."""
    assert in_code(value, text_of("docs/log.md"))


# -- files and functions that are named


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/tour.md", POSTFIX])
def test_files_that_are_named_exist(page):
    """From the root, or from src/pointsman."""
    named = set(PATH.findall(text_of(page)))
    there = [ROOT, ROOT / "src" / "pointsman"]
    assert [p for p in sorted(named) if not any((base / p).is_file() for base in there)] == []


def defined():
    """Every function, method and class of ours."""
    for folder in CODE:
        for path in (ROOT / folder).rglob("*.py"):
            yield from re.findall(r"(?:def|class) (\w+)", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/tour.md"])
def test_functions_that_are_named_exist(page):
    """`function()`, `Class.method()` or `folder/file.py:function()`."""
    named = set(FUNCTION.findall(text_of(page)))
    assert sorted(named - set(defined())) == []
