"""`pointsman check` as a command: what it prints, leaves out and ends with."""

import json


def printed(admin, *options):
    result = admin.run("check", "--json", *options)
    return [json.loads(line) for line in result.stdout.splitlines()], result.exit_code


def test_host_without_a_postfix(admin):
    """A finding, not a traceback; what the database knows is looked at all the same."""
    found, status = printed(admin)
    assert status == 1
    first = found[0]
    assert (first["kind"], first["severity"]) == ("not-set-up", "error")
    assert "main.cf: No such file or directory" in first["text"]
    assert first["fix"] == f"`pointsman --config {admin.config_file} setup`"


def test_note_is_no_failure(admin):
    """Monitoring stays quiet; `--ignore` leaves out what an admin knows."""
    admin.do("agency", "add", "all", "--any-client")
    found, status = printed(admin, "--ignore", "not-set-up")
    assert ([f["kind"] for f in found], status) == (["any-client"], 0)
    assert printed(admin, "--ignore", "not-set-up", "--ignore", "any-client") == ([], 0)


def test_kind_that_does_not_exist(admin):
    """A typing mistake must not hide the finding that was meant."""
    result = admin.run("check", "--ignore", "any-clients")
    assert result.exit_code == 2
    assert "there is no kind of finding 'any-clients'" in result.stderr


def test_database_that_is_away(admin):
    """Its sentence is the finding."""
    admin.database.unlink()
    found, status = printed(admin)
    assert status == 1
    assert "database" in [f["kind"] for f in found]


def test_text_has_finding_fix_and_count(admin):
    """One line what, one line what to do; the kind in brackets, to look it up."""
    admin.do("agency", "add", "all", "--any-client")
    lines = admin.do("check", "--ignore", "not-set-up").splitlines()
    assert lines[0].startswith("note: agency ")
    assert lines[0].endswith(" (any-client)")
    assert lines[1].startswith("  fix: say who may: `pointsman --config ")
    assert lines[2] == "-- 1 finding"
