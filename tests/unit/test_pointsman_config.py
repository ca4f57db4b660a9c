"""The YAML file: a typing mistake is an error that names its key, and nothing else happens."""

import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointsman import config
from pointsman.config import MAX_SIZE, Config, ConfigError, config_path, load


@pytest.fixture
def write(tmp_path):
    """Write the file and return its path."""
    path = tmp_path / "pointsman.yaml"

    def write(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def why(path):
    """The sentence of a ConfigError."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert sentence.isprintable()
    return sentence.removeprefix(f"{path}").removeprefix(": ").strip()


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "{}", "null"])
def test_empty_file_means_defaults(write, content):
    """Every key has one."""
    path = write(content)
    assert load(path) == Config(path=path)


def test_every_key_is_read(write):
    """The file of the design, and the keys beyond it."""
    path = write(
        """\
database: sqlite:////var/lib/x/pm.db
secret_key_file: /etc/x/secret.key
state_directory: /var/lib/x
user: mailer
log: stderr
postfix: {config_directory: /etc/postfix-out}
milter: {socket: "unix:/var/spool/postfix/x/milter.sock"}
"""
    )
    loaded = load(path)
    assert loaded.database == "sqlite:////var/lib/x/pm.db"
    assert loaded.secret_key_file == Path("/etc/x/secret.key")
    assert loaded.snapshot == Path("/var/lib/x/snapshot.json")
    assert loaded.tables == Path("/etc/postfix-out/pointsman")
    assert loaded.milter_socket == Path("/var/spool/postfix/x/milter.sock")
    assert (loaded.user, loaded.log, loaded.path) == ("mailer", "stderr", path)
    assert loaded.apply_lock != loaded.agent_lock


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("databse: sqlite:////x", "unknown key 'databse'; known are database, "),
        ("milter: {sockt: unix:/x}", "milter: unknown key 'sockt'; known are socket"),
        ("postfix: {config_directory: /x, queue: /y}", "postfix: unknown key 'queue'"),
        ("1: x", "unknown key 1;"),
        ("true: x", "unknown key True;"),
        ("null: x", "unknown key None;"),
        ("path: /x", "unknown key 'path';"),
        ("database: 1", "database: expected text, not 1"),
        ("database: true", "database: expected text, not True"),
        ("database: ", "database: expected text, not None"),
        ("database: ''", "database: expected text, not ''"),
        ("database: [a]", "database: expected text, not ['a']"),
        ("database: {a: b}", "database: expected text, not {'a': 'b'}"),
        ("user: 2024-01-01", "user: expected text, not datetime.date(2024, 1, 1)"),
        ("user: 007", "user: expected text, not 7"),
        ("milter: unix:/x", "milter: expected `key: value` lines"),
        ("milter:", "milter: expected `key: value` lines"),
        ("milter: [socket]", "milter: expected `key: value` lines"),
        ("just text", "expected `key: value` lines"),
        ("- database", "expected `key: value` lines"),
        ("[]", "expected `key: value` lines"),
        ("false", "expected `key: value` lines"),
        ("0", "expected `key: value` lines"),
        ("''", "expected `key: value` lines"),
        ("milter: {socket: inet:8891@localhost}", "milter.socket: 'inet:8891@localhost' should"),
        ("milter: {socket: unix:relative}", "milter.socket: 'unix:relative' should be unix:/path"),
        ("milter: {socket: /path}", "milter.socket: '/path' should be unix:/path"),
        ("database: /var/lib/pm.db", "database: not an SQLAlchemy URL such as sqlite:////path"),
        ("secret_key_file: secret.key", "secret_key_file: expected an absolute path"),
        ("state_directory: .", "state_directory: expected an absolute path"),
        ("postfix: {config_directory: etc}", "postfix.config_directory: expected an absolute path"),
    ],
)
def test_wrong_key_or_value_is_named(write, content, sentence):
    """Which key, what is wrong with it, what is allowed."""
    assert why(write(content)).startswith(sentence)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("user: a\nuser: b", "key 'user' is there twice"),
        ("milter: {socket: unix:/a, socket: unix:/b}", "key 'socket' is there twice"),
        ("milter: {socket: unix:/a}\nuser: x\nmilter: {}", "key 'milter' is there twice"),
        ("user: &a x\nlog: *a", "aliases are not allowed"),
        ("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases are not allowed"),
        ("milter: &m {socket: unix:/a}\npostfix: {<<: *m}", "aliases are not allowed"),
        ("<<: {user: x}", "not valid YAML"),
        ("\tuser: x", "found character '\\t'"),
        ("milter:\n\tsocket: unix:/x", "found character '\\t'"),
        ("user: !!python/object:os.system x", "python/object"),
        ("user: !!python/object/apply:os.system [id]", "python/object/apply"),
        ("!!python/object/new:os.system [id]", "python/object/new"),
        ("user: !mine x", "!mine"),
        ("user: x\n---\nlog: y", "document"),
        ("? [a]\n: b", "unhashable key"),
        ("? {a: b}\n: c", "unhashable key"),
        ("user: 'x", "not valid YAML"),
        ("user: [", "not valid YAML"),
        ("{user: x", "not valid YAML"),
        ("user: x: y", "mapping values are not allowed"),
        ("%YAML 3.0\n---\nuser: x", "incompatible YAML document"),
        ("user: \x00", "not valid YAML"),
        (b"user: \xff\xfe", "not valid YAML"),
        (b"\xff\xfeu", "not valid YAML"),
        ("user: !!int ''", "not valid YAML"),
        ("user: !!float ''", "not valid YAML"),
        ("user: !!bool maybe", "not valid YAML"),
        ("user: !!timestamp x", "not valid YAML"),
        ("user: 2024-99-99", "not valid YAML"),
        ("[" * 20_000, "not valid YAML"),
        ("{a: " * 10_000, "not valid YAML"),
        ("- " * 20_000, "not valid YAML"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_what_is_not_plain_yaml_is_refused(write, content, words):
    """Duplicates, aliases, tabs, objects, bombs: one sentence each."""
    assert words in why(write(content))


def test_broken_file_does_not_show_its_secrets(write):
    """A database URL may hold a password, and an error may go into a ticket."""
    assert "hunter2" not in why(write('user: x\ndatabase: "postgresql://pm:hunter2@db/pm\n'))
    assert "hunter2" not in why(write("database: postgresql://pm:hunter2@db/pm: x\n"))


@pytest.mark.parametrize(("size", "fine"), [(MAX_SIZE, True), (MAX_SIZE + 1, False)])
def test_size_is_limited(write, size, fine):
    """64 KiB is more than anybody needs, and less than what a mistake may point at."""
    path = write("user: x\n" + "#" * (size - 8))
    if fine:
        assert load(path).user == "x"
    else:
        assert why(path) == "is larger than 64 KiB"


def test_size_is_checked_before_the_file_is_read(tmp_path):
    """A path typed wrong may lead to a file that would fill the memory."""
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    try:
        assert why(path) == "is larger than 64 KiB"
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_missing_file_is_an_error_unless_it_is_the_usual_one(tmp_path, monkeypatch):
    """Who names a file means it."""
    path = tmp_path / "gone.yaml"
    assert why(path) == "does not exist: name the file with --config"
    monkeypatch.setattr(config, "DEFAULT_PATH", path)
    assert load(path) == Config()


def test_folder_in_place_of_the_file_is_an_error(tmp_path):
    """The reason is the system's."""
    assert why(tmp_path) == "can't be read: Is a directory"


@pytest.mark.parametrize(
    ("option", "variable", "expected"),
    [
        ("/a", "/b", "/a"),
        (None, "/b", "/b"),
        (None, "", "/etc/pointsman/pointsman.yaml"),
        (None, None, "/etc/pointsman/pointsman.yaml"),
    ],
)
def test_file_is_named_by_option_then_by_environment(monkeypatch, option, variable, expected):
    """`--config` before POINTSMAN_CONFIG before the usual place."""
    monkeypatch.delenv("POINTSMAN_CONFIG", raising=False)
    if variable is not None:
        monkeypatch.setenv("POINTSMAN_CONFIG", variable)
    assert config_path(option) == Path(expected)


def test_defaults_pass_their_own_check(write):
    """The built-in values are ones that the file may hold."""
    defaults = Config()
    path = write(
        f"database: {defaults.database}\nsecret_key_file: {defaults.secret_key_file}\n"
        f"milter: {{socket: {defaults.milter.socket}}}\n"
    )
    assert load(path) == Config(path=path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.text("ab: \n\t-[]{}&*!?|>'\"%#,<0", max_size=40))
def test_any_file_is_read_or_refused(write, content):
    """Nothing but a Config or a ConfigError ever comes out."""
    path = write(content)
    with suppress(ConfigError):
        assert isinstance(load(path), Config)
