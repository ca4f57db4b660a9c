"""Records: named, deduplicated, compared with what is there, and never twice."""

from dataclasses import replace

import pytest

from pointsman.importing.proposal import NAME_LENGTH, propose
from pointsman.importing.tables import fixed
from pointsman.store.checks import checked_name
from pointsman.store.combinations import check_agency, check_connector
from pointsman.store.records import Agency, Connector, Sender
from tests.unit.importing_town import SEALING, book, service, town

SAYS = {"smtp_sasl_auth_enable": "yes", "smtp_sender_dependent_authentication": "yes"}
LOGINS = {"@a.test": "alice:pw a", "@b.test": "bob:pw b"}


def two_agencies(**more):
    """Two domains with their own logins on one server, a third without."""
    relays = {"@a.test": "[relay.test]:587", "@b.test": "[relay.test]:587", "u@c.test": "[c.test]"}
    smtp = service(passwords=LOGINS, policies={"[relay.test]:587": "secure"}, **SAYS)
    return town(relays, services=[smtp], **more)


def texts(found):
    """All that is said, as one text."""
    return "\n".join(f"{remark.where}: {remark.text}" for remark in found.remarks)


def after(found, before=None):
    """The database once the proposal is in it."""
    before = before or book()
    return book(
        agencies=[a for a in before.agencies.values() if a.name != "default"] + found.agencies,
        connectors=[*before.connectors.values(), *found.connectors],
        senders=[*before.senders.values(), *found.senders],
    )


def test_records_are_made():
    """One agency a domain, one connector a way, all valid, staged and unlimited."""
    found = propose(two_agencies(), book(), SEALING)
    assert [(s.key, s.agency, s.connectors) for s in found.senders] == [
        ("@a.test", "a-test", "relay-test"),
        ("@b.test", "b-test", "relay-test-bob"),
        ("u@c.test", "c-test", "c-test"),
    ]
    assert {(a.rate, a.any_client) for a in found.agencies} == {("unlimited", True)}
    assert {c.state for c in found.connectors} == {"new"}
    assert found.staged == ["relay-test", "relay-test-bob", "c-test"]
    alice = found.connectors[0]
    assert (alice.hosts, alice.tls, alice.username) == (("relay.test:587",), "starttls", "alice")
    assert alice.password == "sealed:pw a"
    for record in found.connectors:
        check_connector(replace(record, name=checked_name(record.name)))
    for record in found.agencies:
        check_agency(replace(record, name=checked_name(record.name)))


def test_twice_is_once():
    """What is there already is counted, and nothing is proposed for it."""
    first = propose(two_agencies(), book(), SEALING)
    second = propose(two_agencies(), after(first), SEALING)
    assert (second.agencies, second.connectors, second.senders) == ([], [], [])
    assert (second.known, second.staged) == (3, first.staged)
    live = [replace(c, state="live", processes=9, rate="10/minute") for c in first.connectors]
    known = book(agencies=first.agencies, connectors=live, senders=first.senders)
    third = propose(two_agencies(), known, SEALING)
    assert (third.known, third.staged) == (3, [])


def test_a_changed_password_is_no_second_connector_by_stealth():
    """A sender whose connector differs by now keeps its link, and that is said."""
    first = propose(two_agencies(), book(), SEALING)
    changed = [replace(c, password="sealed:new") for c in first.connectors[:1]]
    there = book(
        agencies=first.agencies, connectors=changed + first.connectors[1:], senders=first.senders
    )
    second = propose(two_agencies(), there, SEALING)
    assert (second.connectors, second.senders, second.known) == ([], [], 2)
    assert "@a.test: is linked to relay-test already" in texts(second)
    assert "pw a" not in texts(second)


def test_a_domain_that_has_an_agency_keeps_it():
    """Its rate and who may send stay the admin's."""
    court = Agency("court", logins=("app",))
    mine = Connector("mine", hosts=("x.test:25",), tls="none")
    there = book(
        agencies=[court], connectors=[mine], senders=[Sender("boss@a.test", "court", "mine")]
    )
    found = propose(two_agencies(), there, SEALING)
    assert {s.key: s.agency for s in found.senders}["@a.test"] == "court"
    assert "a-test" not in {a.name for a in found.agencies}
    assert "agency court" in texts(found)


def test_names_are_free():
    """Of what is built in, of what is there, and of each other, however long the domain."""
    long = "a-very-long-name-of-a-department.ministry.test"
    relays = {
        "@postfix": "[postfix]",
        f"@x.{long}": "[a]",
        "@default": "[none]",
        "@a.test": "[a]:1",
    }
    relays |= {f"@{long}": "[a]:2", f"@{long[:-1]}": "[a]:3"}
    there = book(connectors=[Connector("a", hosts=("z.test",))], agencies=[Agency("a-test")])
    found = propose(town(relays), there, SEALING)
    names = [c.name for c in found.connectors]
    assert len(names) == len({*names, "a", "postfix", "none"}) - 3
    agencies = [a.name for a in found.agencies]
    assert len(agencies) == len({*agencies, "default", "a-test"}) - 2
    assert all(len(checked_name(name)) <= NAME_LENGTH for name in (*names, *agencies))


def test_connectors_may_be_tuned_by_hand_only_without_changing_the_way():
    """A connector to another port is another connector."""
    other = Connector("other", hosts=("c.test:26",), tls="none")
    same = Connector("same", hosts=("c.test",), tls="none", backlog=7, description="mine")
    found = propose(town({"u@c.test": "[c.test]"}), book(connectors=[other, same]), SEALING)
    assert ([s.connectors for s in found.senders], found.connectors) == (["same"], [])


def test_default_is_made_when_asked_for():
    """A connector of what relayhost was; nothing of it otherwise."""
    read = town({"@a.test": "[one]"}, relayhost="[all]")
    assert propose(read, book(), SEALING).default == ""
    found = propose(read, book(), SEALING, default=True)
    assert (found.default, [c.name for c in found.connectors]) == ("all", ["all", "one"])
    direct = propose(town(), book(), SEALING, default=True)
    assert (direct.default, "MX" in texts(direct)) == ("", True)


def test_logins_are_proposed_where_they_are_known():
    """Any client may send, as before; the command that ends that names who owns the addresses."""
    owners = {"u@a.test": "alice, app", "@b.test": "bob", "x@other.test": "eve"}
    found = propose(two_agencies(logins=(fixed("login", owners),)), book(), SEALING)
    assert "agency set a-test --no-any-client --login alice --login app`" in texts(found)
    assert "eve" not in texts(found)


@pytest.mark.parametrize("key", ["odd key@a.test", "u@pm.invalid", "@[192.0.2.1]"])
def test_keys_that_are_no_sender_are_said(key):
    """What Postfix may look up and `sender link` refuses."""
    found = propose(town({key: "[one]"}), book(), SEALING)
    assert (found.senders == []) == (key != "odd key@a.test")
    assert found.senders or "is not a sender" in texts(found)
