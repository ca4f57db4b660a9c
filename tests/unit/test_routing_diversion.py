"""While a connector is diverted, all that leads to it leads to the other, wherever it is said."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pointsman.postfix.lane import Tables
from pointsman.postfix.render import render
from pointsman.routing.decide import Carry, Leave, Mark, Message, decide, lane_taken
from pointsman.routing.lanes import Client
from pointsman.routing.recipients import Recipient
from pointsman.routing.snapshot import Diversion, Pause, dump, parse
from pointsman.store import records
from pointsman.store.book import Book
from pointsman.store.records import Agency, Connector, Sender

START = "2026-06-01T08:00:00+00:00"
END = "2026-06-01T12:00:00+00:00"
BOOK = Book(
    revision=3,
    agencies={"court": Agency("court", any_client=True)},
    connectors={
        "a": Connector("a", hosts=("h1.test",), state="live"),
        "b": Connector("b", hosts=("h2.test",), state="live", envelope="align", rate="7/hour"),
        "c": Connector("c", hosts=("h3.test",), state="live"),
    },
    senders={
        "@a.test": Sender("@a.test", "court", "a"),
        "@b.test": Sender("@b.test", "court", "b"),
        "@c.test": Sender("@c.test", "court", "c"),
    },
    diversions={"a": records.Diversion("a", "b", "jo", START, END, "down")},
    carriers=frozenset({("court", "a"), ("court", "b")}),
    settings={"tokens": ["0" * 32], "default": "a", "null_sender": "a"},
)
CHECKS = dict.fromkeys(("header_checks", "nested_header_checks", "mime_header_checks"), "")
NO_END = {"a": replace(BOOK.diversions["a"], until="")}


def rendered(hour, around, **changes):
    """One revision at an hour of that day."""
    now = datetime(2026, 6, 1, hour, tzinfo=UTC)
    tables, before = Tables(Path("/etc/postfix/pointsman")), {"default_transport": None}
    return render(replace(BOOK, **changes), around, tables, str, "n", CHECKS, before, now)


@pytest.mark.parametrize(
    ("hour", "changes", "way"),
    [
        (8, {}, "pm-b:[h2.test]:587"),
        (11, {}, "pm-b:[h2.test]:587"),
        (12, {}, "pm-a:[h1.test]:587"),
        (12, {"diversions": NO_END}, "pm-b:[h2.test]:587"),
        (8, {"diversions": {}}, "pm-a:[h1.test]:587"),
    ],
)
def test_everything_in_postfix_leads_one_way(town, hour, changes, way):
    """Senders, carriers, markers, null sender and default relay; at the end, back by itself."""
    found = rendered(hour, town.around, **changes)
    rows = dict(line.split(" ", 1) for line in found.senders.splitlines())
    for key in ("@a.test", "@court.a.pm.invalid", "<>"):
        assert rows[key] == way
    assert rows["@b.test"] == rows["@court.b.pm.invalid"] == "pm-b:[h2.test]:587"
    assert rows["@c.test"] == "pm-c:[h3.test]:587"
    assert f"{{32}} a$/ FILTER {way}\n" in found.files["marker.pcre"]
    assert f" a$/ FILTER {way}\n" in found.secret_files["requeue.pcre"]
    assert found.parameters["default_transport"] == way
    assert set(found.services) >= {"pm-a/unix", "pm-b/unix"}


def test_disabled_connector_may_be_diverted(town):
    """Its mail flows again, though its own lane is out of master.cf."""
    off = replace(BOOK.connectors["a"], state="disabled")
    found = rendered(8, town.around, connectors={**BOOK.connectors, "a": off})
    assert "pm-a/unix" not in found.services
    assert "@a.test pm-b:" in found.senders
    assert "{32} a$/ FILTER pm-b:" in found.files["marker.pcre"]
    assert isinstance(decided(found.snapshot, "x@a.test", "x@a.test", "pm-b").step, Leave)


def decided(snapshot, envelope, from_, mailer):
    """The decision about a message whose recipient would get this transport."""
    recipients = [Recipient("x@ext.test", mailer, "h.test")]
    client = Client("", "192.0.2.1")
    return decide(snapshot, Message(f"<{envelope}>", recipients, client, [from_]), 0.0)


@pytest.fixture
def snapshot(town):
    """What the daemons know meanwhile, through the file."""
    return parse(dump(rendered(8, town.around).snapshot))


def test_milter_decides_as_postfix_does(snapshot):
    """The table's answer is the other lane; the route still says whose mail it is."""
    found = decided(snapshot, "x@a.test", "x@a.test", "pm-b")
    assert found.step == Leave("table")
    assert (found.route.connector, lane_taken(snapshot, found)) == ("a", "pm-b")
    stale = decided(snapshot, "x@a.test", "x@a.test", "pm-a")
    assert isinstance(stale.step, Carry)
    assert stale.step.sender.endswith("@court.a.pm.invalid")


def test_marker_names_the_connector_itself(snapshot):
    """Requeued after the end, the message takes its own way again."""
    found = decided(snapshot, "", "x@a.test", "pm-x")
    assert found.step == Mark(f"{'0' * 32} a")


def test_envelope_is_as_the_other_connector_wants_it(snapshot):
    """Its provider accepts only its own."""
    found = decided(snapshot, "v@vendor.test", "x@a.test", "pm-a")
    assert found.step == Carry("x=a.test@court.a.pm.invalid")


def test_pause_of_the_other_connector_counts(snapshot):
    """A connector may have been paused because it is down: its mail flows all the same."""
    pause = Pause("jo", START, 0.0, "")
    assert replace(snapshot, pauses={"connector a": pause}).pause("court", "a", 0.0) is None
    paused = replace(snapshot, pauses={"connector b": pause}).pause("court", "a", 0.0)
    assert paused == ("connector b", pause)
    paused = replace(snapshot, pauses={"agency court": pause}).pause("court", "a", 0.0)
    assert paused == ("agency court", pause)


def test_snapshot_knows_when_the_first_one_ends(snapshot):
    """That is when the agent has to apply again."""
    assert snapshot.next_end() == datetime.fromisoformat(END).timestamp()
    forever = replace(snapshot.diversions["a"], until=0.0)
    assert replace(snapshot, diversions={"a": forever}).next_end() == float("inf")
    assert replace(snapshot, diversions={}).next_end() == float("inf")


def test_diversion_in_words(snapshot):
    """Who, when, until and why."""
    assert str(snapshot.diversions["a"]) == f"diverted to b by jo at {START} until {END}: down"
    assert str(Diversion("b", "jo", START, 0.0, "")) == f"diverted to b by jo at {START}"
