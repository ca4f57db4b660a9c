"""A name with a typing mistake: every command says which one was probably meant."""

import click
import pytest

from pointsman.cli.main import cli
from tests.wire.cli_sentences import misused, refused

NOUNS = {"agency": ("cuort", "court"), "connector": ("smpt", "smtp")}
NEW = ("add", "list")  # what `add` names is not there yet, `list` names nothing
MORE = {("connector", "divert"): ["--to", "smtp"], ("connector", "set"): ["--helo", "h.test"]}


def named():
    """Each command that takes the name of an agency or connector, with that name misspelled."""
    for noun, (wrong, right) in NOUNS.items():
        group = cli.get_command(click.Context(cli), noun)
        for verb in sorted(set(group.commands) - set(NEW)):
            yield [noun, verb, wrong, *MORE.get((noun, verb), [])], right


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        *named(),
        (["connector", "divert", "smtp", "--to", "reley"], "relay"),
        (["connector", "list", "--agency", "cuort"], "court"),
        (["sender", "link", "x@b.test", "--agency", "cuort", "--connector", "smtp"], "court"),
        (["sender", "link", "x@b.test", "--agency", "court", "--connector", "smpt"], "smtp"),
        (["sender", "list", "--agency", "Court"], "court"),
        (["sender", "list", "--connector", "smpt"], "smtp"),
        (["sender", "unlink", "clrek@a.test"], "clerk@a.test"),
        (["sender", "disable", "clerk@a.tset"], "clerk@a.test"),
        (["sender", "enable", "clerk@a.tset"], "clerk@a.test"),
        (["usage", "cuort"], "court"),
        (["usage", "smpt"], "smtp"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_name_that_was_meant_is_said(admin, arguments, right):
    """Whatever the command, and in the same words."""
    assert refused(admin, *arguments).endswith(f"; did you mean {right!r}?")


def test_domain_is_not_meant_by_an_address(admin):
    """Who mistypes an address must not be led to unlink all of a domain."""
    admin.do("sender", "link", "@wide.test", "--agency", "court", "--connector", "smtp")
    assert "did you mean" not in refused(admin, "sender", "unlink", "a@wide.test")


def test_command_and_kind_that_were_meant_are_said(admin):
    """By click's rules: with the usage, and status 2."""
    assert misused(admin, "conector", "list").endswith("; did you mean 'connector'?")
    assert misused(admin, "connector", "lst")  # click's own words
    assert misused(admin, "xyzzy").endswith("; `pointsman --help` shows them")
    wrong = misused(admin, "check", "--ignore", "soft-bonce")
    assert wrong.endswith("; did you mean 'soft-bounce'?")


def test_name_like_no_other_is_told_where_to_look(admin):
    """A wild guess would be worse; where there is nothing, that is said."""
    assert refused(admin, "agency", "show", "xyzzy").endswith("`pointsman agency list` shows them")
