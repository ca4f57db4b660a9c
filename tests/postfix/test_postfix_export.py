"""`export` and `import` on a real Postfix: an edited file moves mail, or changes nothing."""

from pathlib import Path

import pytest


@pytest.fixture
def city(city_of_a):
    """Connector a has a server of its own; another one takes its login, too."""
    return city_of_a


def edited(city, *changes):
    """The path of a fresh export, with some text replaced."""
    path = Path(city.folder) / "export.yaml"
    city.postfix.cli("export", str(path))
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return str(path)


def test_edited_file_moves_mail_after_a_test(city):
    """Another server with the password that is known here, in one revision; and undone."""
    own, shared = (f"localhost:{city.hops[name].port}" for name in ("own", "shared"))
    output = city.cli("import", edited(city, (own, shared)), "--yes")
    assert f"    hosts: {own} -> {shared}\n" in output
    assert f"testing a at {shared}" in output
    assert city.send("clerk@a.test", "clerk@a.test", "moved").code == 250
    city.arrived("moved")
    assert [(r.subject, r.login) for r in city.hops["shared"].received] == [("moved", "court")]
    assert not city.hops["own"].received


def test_file_with_a_server_that_does_not_work_changes_nothing(city):
    """All of it or nothing: the new agency of the same file is not there either."""
    own, tax = (f"localhost:{city.hops[name].port}" for name in ("own", "tax"))
    agency = ("agencies:\n", "agencies:\n  other: {any_client: true}\n")
    login = ("    username: court\n", "    tls: tls\n    username: court\n")
    path = edited(city, agency, (own, tax), login)
    output = city.postfix.cli("import", path, "--yes", check=False)
    assert "connector a failed at AUTH" in output
    assert "other" not in city.postfix.cli("agency", "list")
    assert city.send("clerk@a.test", "clerk@a.test", "as before").code == 250
    city.arrived("as before")
    assert [r.subject for r in city.hops["own"].received] == ["as before"]


def test_replace_removes_no_connector_that_mail_waits_for(city):
    """As `connector remove`; then it may, and the queue is empty."""
    own = city.hops["own"]
    own.answer = lambda _envelope: "451 4.0.0 later"
    queue_id = city.send("clerk@a.test", "clerk@a.test", "waits").queue_id
    city.postfix.wait_for_log(rf"{queue_id}: .*status=deferred")
    nothing = Path(city.folder) / "nothing.yaml"
    nothing.write_text("pointsman: 1\n")
    output = city.postfix.cli("import", str(nothing), "--yes", "--replace", check=False)
    assert f"connector a still has 1 message in the queue, {queue_id} among them" in output
    own.answer = None
    city.postfix.postfix("postqueue", "-i", queue_id)
    city.arrived("waits")
    city.postfix.wait_for_empty_queue()
    output = city.cli("import", str(nothing), "--yes", "--replace")
    assert "- agency a\n- connector a\n- sender @a.test\n" in output
