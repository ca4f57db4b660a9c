"""How main.cf and master.cf are spelled, and what a failing Postfix command says."""

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.postfix.conf import Instance, PostfixError, service_entry, spell_list


@pytest.fixture
def scripted(monkeypatch):
    """An instance whose commands are noted, and print what the test says."""
    calls = []
    answers = {}

    def run(_self, program, *arguments):
        calls.append((program, *arguments))
        return answers.get((program, *arguments), "")

    monkeypatch.setattr(Instance, "run", run)
    instance = Instance(Path("/etc/postfix"))
    return instance, calls, answers


@pytest.mark.parametrize(
    ("options", "spelled"),
    [
        ({}, "pm-a unix - - n - 5 smtp"),
        ({"a": "b"}, "pm-a unix - - n - 5 smtp -o a=b"),
        ({"a": ""}, "pm-a unix - - n - 5 smtp -o a="),
        ({"a": "b, c"}, "pm-a unix - - n - 5 smtp -o {a=b, c}"),
        ({"a": "b,c", "d": "e f"}, "pm-a unix - - n - 5 smtp -o a=b,c -o {d=e f}"),
        ({"a": "{x y}, z"}, "pm-a unix - - n - 5 smtp -o {a={x y}, z}"),
        ({"a": ">=TLSv1"}, "pm-a unix - - n - 5 smtp -o a=>=TLSv1"),
    ],
)
def test_entry_is_spelled_as_postconf_prints_it(options, spelled):
    """A value with blanks goes into braces, any other stands bare."""
    assert spelled == service_entry("pm-a unix - - n - 5 smtp", options)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.text("ab ,{}=:/")))
def test_entry_holds_every_option_in_order(options):
    """No option is lost or merged with its neighbour."""
    entry = service_entry("x unix", options)
    for name, value in options.items():
        assert f" -o {{{name}={value}}}" in entry or f" -o {name}={value}" in entry
    assert entry.count(" -o ") >= len(options)


@pytest.mark.parametrize(
    ("items", "spelled"),
    [
        (("a", "b"), "a, b"),
        (("a", ""), "a"),
        (("", "a"), "a"),
        (("", ""), ""),
        (("pcre:/x", "regexp:/y, static:z"), "pcre:/x, regexp:/y, static:z"),
    ],
)
def test_list_has_no_empty_item(items, spelled):
    """An empty list of the admin's leaves no dangling comma."""
    assert spelled == spell_list(*items)


def test_files_of_the_instance():
    """Both stand in the configuration directory."""
    instance = Instance(Path("/etc/postfix-out"))
    assert instance.main_cf == Path("/etc/postfix-out/main.cf")
    assert instance.master_cf == Path("/etc/postfix-out/master.cf")


def test_parameters_are_read(scripted):
    """A value may be empty or hold an equals sign; all are asked for in one go."""
    instance, _, answers = scripted
    answers["postconf", "-x"] = "a = x=y\nb =\nc = 1 2\nd = 3\n"
    assert instance.parameters("a", "b", "c") == {"a": "x=y", "b": "", "c": "1 2"}
    assert instance.parameters("a", "unknown") == {"a": "x=y"}
    answers["postconf",] = "a = $b\n"
    assert instance.parameters("a", expand=False) == {"a": "$b"}


def test_explicit_parameters_are_read(scripted):
    """Only what main.cf itself says."""
    instance, _, answers = scripted
    answers["postconf", "-n"] = "a = b\nc =\n"
    assert instance.explicit() == {"a": "b", "c": ""}


def test_services_are_read_by_name_and_type(scripted):
    """Entries are folded to one line each, and comments left out."""
    instance, _, answers = scripted
    answers["postconf", "-M"] = "smtp  inet  n - y - - smtpd\n\nsmtp unix -  - y - - smtp -o a=b\n"
    assert instance.services() == {
        "smtp/inet": "smtp inet n - y - - smtpd",
        "smtp/unix": "smtp unix - - y - - smtp -o a=b",
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"a": "b", "c": ""}, [("postconf", "-e", "a=b", "c=")]),
        ({"a": None}, [("postconf", "-X", "a")]),
        ({"a": "b", "c": None}, [("postconf", "-e", "a=b"), ("postconf", "-X", "c")]),
        ({}, []),
    ],
)
def test_parameters_are_set_or_dropped(scripted, values, expected):
    """None takes the line away, and nothing to do runs nothing."""
    instance, calls, _ = scripted
    instance.set_parameters(values)
    assert expected == calls


def test_many_services_go_in_groups(scripted):
    """No more on one command line than Linux takes, and all of it in order."""
    instance, calls, _ = scripted
    names = [f"pm-{n}/unix" for n in range(3000)]
    instance.put_services(dict.fromkeys(names, "e" * 3000))
    instance.remove_services(names)
    assert len(calls) == 3
    assert all(sum(map(len, call)) < 6_000_000 for call in calls)
    assert [a.partition("=")[0] for call in calls[:2] for a in call[2:]] == names
    assert list(calls[2][2:]) == names


def test_a_thousand_lanes_fit_on_one_command_line(tmp_path):
    """A real command of 3 MB; the limit is as before afterwards."""
    (tmp_path / "main.cf").touch()
    (tmp_path / "master.cf").touch()
    before = resource.getrlimit(resource.RLIMIT_STACK)
    entries = {
        f"pm-{n}/unix": f"pm-{n} unix - - n - 5 smtp" + " -o a=" + "b" * 3000 for n in range(1000)
    }
    instance = Instance(tmp_path)
    instance.put_services(entries)
    assert instance.services() == entries
    assert resource.getrlimit(resource.RLIMIT_STACK) == before


def test_missing_command_is_a_sentence(tmp_path):
    """Without Postfix the admin reads what to install."""
    with pytest.raises(PostfixError, match="there is no no-such-command: install Postfix"):
        Instance(tmp_path).run("no-such-command")


def test_failing_command_is_one_sentence(tmp_path):
    """Postfix's own words, on one line."""
    command = tmp_path / "fails"
    command.write_text("#!/bin/sh\necho one >&2\necho two >&2\nexit 3\n")
    command.chmod(0o755)
    with pytest.raises(PostfixError) as caught:
        Instance(tmp_path).run(str(command), "check")
    assert str(caught.value).startswith(f"{command} ")
    assert str(caught.value).endswith("failed: one two")


def test_command_is_told_the_instance(tmp_path):
    """Every command gets `-c` and the directory first, and its standard input."""
    command = tmp_path / "shows"
    command.write_text('#!/bin/sh\necho "$@"\ncat\necho careful >&2\n')
    command.chmod(0o755)
    instance = Instance(tmp_path)
    assert instance.run(str(command), "-q", "x y", stdin="in") == f"-c {tmp_path} -q x y\nin"
    assert instance.complaints(str(command), stdin="") == "careful"


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("false", False)])
def test_command_may_only_be_asked(tmp_path, text, expected):
    """`test` gives the status as a truth."""
    assert expected is Instance(tmp_path).test(text)


@pytest.mark.parametrize("content", [None, "", "nonsense", "1", "999999999"])
def test_instance_without_a_master_is_not_running(scripted, tmp_path, content):
    """No pid, a foreign one or one that is gone: `master` is what must run."""
    instance, _, answers = scripted
    answers["postconf", "-x"] = f"queue_directory = {tmp_path}\n"
    if content is not None:
        (tmp_path / "pid").mkdir()
        (tmp_path / "pid" / "master.pid").write_text(content)
    assert not instance.running()


def test_postconf_is_asked_again_once_a_file_changed(tmp_path):
    """An answer counts as long as main.cf and master.cf are the files it was about."""
    main, master = tmp_path / "main.cf", tmp_path / "master.cf"
    main.write_text("myorigin = one.test\n")
    master.write_text("")
    instance = Instance(tmp_path)
    asked = [instance.parameters("myorigin")["myorigin"] for _ in range(2)]
    main.write_text("myorigin = another.test\n")
    asked.append(instance.parameters("myorigin")["myorigin"])
    assert asked == ["one.test", "one.test", "another.test"]


def test_missing_kind_of_table_is_named_with_its_package(scripted, tmp_path):
    """Before anything is written: smtp(8) would defer all mail."""
    _, _, answers = scripted
    (tmp_path / "main.cf").touch()
    (tmp_path / "master.cf").touch()
    answers["postconf", "-m"] = "hash\nlmdb\nregexp\n"
    instance = Instance(tmp_path)
    instance.require_tables(["lmdb"])
    with pytest.raises(PostfixError) as caught:
        instance.require_tables(["sqlite", "lmdb", "pcre"])
    assert str(caught.value) == (
        "Postfix reads no pcre or sqlite tables: install Debian's postfix-pcre postfix-sqlite"
    )
