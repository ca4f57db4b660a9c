"""Tables of an admin's, read as Postfix reads them."""

from pathlib import Path

import pytest

from pointsman.checks.maps import rows
from pointsman.postfix.conf import Instance, PostfixError

INSTANCE = Instance(Path("/etc/postfix"))


def read(item):
    """Keys and values."""
    found = rows(INSTANCE, item)
    return None if found is None else [(row.key, row.value) for row in found]


def test_patterns(tmp_path):
    """Comments, blank lines and continued lines; flags and negation belong to the pattern."""
    path = tmp_path / "checks"
    path.write_text(
        "# a comment\n\n/^X-A:/ FILTER smtp:[h.test]\n!/b/i\n  WARN\nif /c/\n"
        "m/d\\/e/ REDIRECT x@y.test\nendif\n|f|g IGNORE\n"
    )
    found = rows(INSTANCE, f"pcre:{path}")
    assert [(r.where, r.key, r.value) for r in found or ()] == [
        (f"{path}:3", "/^X-A:/", "FILTER smtp:[h.test]"),
        (f"{path}:4", "!/b/i", "WARN"),
        (f"{path}:9", "|f|g", "IGNORE"),
    ]


def test_lines_of_words(tmp_path):
    """Of cidr and texthash: the first word, and the rest."""
    path = tmp_path / "clients"
    path.write_text("192.0.2.0/24   DISABLE\n2001:db8::/32\tunix:/x y\n")
    expected = [("192.0.2.0/24", "DISABLE"), ("2001:db8::/32", "unix:/x y")]
    assert read(f"cidr:{path}") == expected
    assert read(f"texthash:{path}") == expected


def test_list_of_domains(tmp_path):
    """A file named without a type."""
    path = tmp_path / "domains"
    path.write_text("a.test b.test,\n c.test\n")
    assert read(str(path)) == [("a.test", ""), ("b.test", ""), ("c.test", "")]


def test_tables_in_main_cf():
    """Of inline and static: no file at all."""
    assert read("inline:{a.test=smtp:x, {b.test = error:no way}}") == [
        ("a.test", "smtp:x"),
        ("b.test", "error:no way"),
    ]
    assert read("static:smtp:[h.test]") == [("*", "smtp:[h.test]")]


def test_made_table_is_listed_by_postmap(monkeypatch):
    """With the table's name, for the fix."""
    monkeypatch.setattr(Instance, "run", lambda *_: "* \tsmtp:x\nb.test\tsmtp:y z\n")
    found = rows(INSTANCE, "proxy:hash:/etc/t") or ()
    assert [(r.where, r.value, r.table) for r in found][1] == (
        "/etc/t: b.test",
        "smtp:y z",
        "hash:/etc/t",
    )


@pytest.mark.parametrize("item", ["mysql:/etc/sql.cf", "socketmap:unix:/x:y", "ldap:/etc/l"])
def test_table_that_can_only_be_asked(item):
    """None, which is not the same as an empty one."""
    assert read(item) is None


def test_table_that_is_not_there(tmp_path, monkeypatch):
    """Postfix complains of it; there is nothing in it that could win over a lane."""

    def fail(*_):
        raise PostfixError("no such file")

    monkeypatch.setattr(Instance, "run", fail)
    assert read(f"pcre:{tmp_path}/gone") == []
    assert read("lmdb:/gone") is None
