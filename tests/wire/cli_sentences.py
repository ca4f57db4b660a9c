"""What a command that fails says: one sentence, and nothing changed."""

import re


def said(result, status):
    """The one sentence on stderr."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == status, result.output
    found = re.fullmatch(r"Error: ([^\n]+)\n", result.stderr)
    assert found, result.stderr
    assert "Traceback" not in result.stderr
    assert found[1].isprintable()
    return found[1]


def refused(admin, *arguments, stdin="", status=1):
    """The sentence of a command that fails and changes nothing."""
    before = admin.dump()
    result = admin.run(*arguments, stdin=stdin)
    sentence = said(result, status)
    assert result.stdout == ""
    assert admin.dump() == before
    return sentence


def misused(admin, *arguments, stdin=""):
    """The sentence of click's own usage errors, after the usage."""
    before = admin.dump()
    result = admin.run(*arguments, stdin=stdin)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith("Usage: ")
    assert lines[-1].startswith("Error: ")
    assert admin.dump() == before
    return lines[-1].removeprefix("Error: ")
