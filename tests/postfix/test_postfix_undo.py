"""`undo` on a real Postfix: a bad change is taken back, and mail goes as it did."""

import json

import pytest


@pytest.fixture
def city(city_of_a):
    """Connector a has a server of its own; others are there to be mistaken for it."""
    return city_of_a


def newest(city):
    """The number of the newest revision."""
    return json.loads(city.postfix.cli("history", "--json", "--limit", "1"))["revision"]


def host_of(city, hop):
    """A server as `--host` takes it."""
    return f"localhost:{city.hops[hop].port}"


def test_bad_set_is_taken_back_and_mail_goes_to_the_old_server(city):
    """Wrong server and wrong password; then the old ones, tried first, and queued mail leaves."""
    (city.folder / "bad.pw").write_text("wrong")
    bad = ("--host", host_of(city, "shared"), "--password-file", str(city.folder / "bad.pw"))
    city.cli("connector", "set", "a", *bad, "--untested")
    queue_id = city.send("v@vendor.test", "clerk@a.test", "caught").queue_id
    city.postfix.wait_for_log(rf"{queue_id}: .*status=deferred")
    output = city.cli("undo", str(newest(city)))
    assert f"testing a at {host_of(city, 'own')}" in output
    assert "AUTH" in output
    assert "FAIL" not in output
    (received,) = city.arrived("caught")
    assert (received.login, received.sender) == ("court", "v@vendor.test")
    assert city.send("clerk@a.test", "clerk@a.test", "new mail").code == 250
    city.arrived("new mail")
    assert {r.subject for r in city.hops["own"].received} == {"caught", "new mail"}
    assert not city.hops["shared"].received
    assert city.postfix.wait_for_log(r'pointsman/cli\[\d+\]: change .*what="connector set \(undo')


def test_undo_that_does_not_work_any_more_is_refused(city):
    """The old server takes the password no longer: what works now stays."""
    city.cli("connector", "set", "a", *city.connector_options("shared", "police"))
    city.hops.pop("own").stop()
    before = newest(city)
    output = city.postfix.cli("undo", str(before), check=False)
    assert "connector a failed at" in output
    assert newest(city) == before
    assert city.send("clerk@a.test", "clerk@a.test", "as now").code == 250
    (received,) = city.arrived("as now")
    assert received.login == "police"


def test_removed_connector_comes_back_and_takes_what_its_carriers_kept(city):
    """Mail that met the tombstone leaves by the connector again, under its login."""
    own = city.hops["own"]
    own.answer = lambda _envelope: "451 4.0.0 later"
    queue_id = city.send("v@vendor.test", "clerk@a.test", "waited").queue_id
    city.postfix.wait_for_log(rf"{queue_id}: .*status=deferred")
    city.cli("sender", "unlink", "@a.test")
    city.cli("connector", "remove", "a", "--despite-queue")
    removed = newest(city)
    city.postfix.postfix("postqueue", "-i", queue_id)
    city.postfix.wait_for_log(rf"{queue_id}: .*status=deferred.*connector a is gone")
    own.answer = None
    city.cli("undo", str(removed))
    city.cli("undo", str(removed - 1))
    (received,) = city.arrived("waited", timeout=30)
    assert (received.login, received.sender) == ("court", "v@vendor.test")
    assert city.send("clerk@a.test", "clerk@a.test", "as before").code == 250
    assert city.arrived("as before")[0].login == "court"


def test_enable_is_not_undone_while_mail_is_queued(city):
    """Mail that was accepted for a lane must leave by it."""
    city.hops["own"].answer = lambda _envelope: "451 4.0.0 later"
    changes = map(json.loads, city.postfix.cli("history", "--json").splitlines())
    enabled = next(c["revision"] for c in changes if c["action"] == "connector enable")
    queue_id = city.send("clerk@a.test", "clerk@a.test", "queued").queue_id
    city.postfix.wait_for_log(rf"{queue_id}: .*status=deferred")
    output = city.postfix.cli("undo", str(enabled), check=False)
    assert "connector a still has 1 message in the queue" in output
    city.hops["own"].answer = None
    city.postfix.postfix("postqueue", "-i", queue_id)
    city.arrived("queued")
    city.postfix.wait_for_empty_queue()
    city.cli("undo", str(enabled))
    assert city.send("clerk@a.test", "clerk@a.test", "before us").code == 250
    assert city.arrived("before us")[0].login == ""
