"""Connectors in any state, diverted anywhere, in turn, down: the lane that mail takes is live.

What the milter decides and where Postfix's rows lead are one; both are asked here.
"""

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pointsman.postfix.lane import Tables
from pointsman.postfix.render import render
from pointsman.routing.decide import Carry, Leave, Mark, Message, Refuse, decide
from pointsman.routing.lanes import Client
from pointsman.routing.recipients import Recipient
from pointsman.routing.snapshot import Surroundings, dump, parse
from pointsman.store import records
from pointsman.store.book import Book
from pointsman.store.records import Agency, Connector, Sender

NAMES = ("a", "b", "c", "d")
NOW = datetime(2026, 6, 1, 10, tzinfo=UTC)
START, OVER, LASTS = (f"2026-06-01T{hour}:00:00+00:00" for hour in ("08", "09", "12"))
CHECKS = dict.fromkeys(("header_checks", "nested_header_checks", "mime_header_checks"), "")
TOKEN = "0" * 32

states = st.tuples(*[st.sampled_from(["live", "live", "disabled", "new"])] * len(NAMES))
diversions = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from([*NAMES, "gone"]), st.sampled_from(["", OVER, LASTS])),
)
ways = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)


def book(found_states, found_diversions, found_ways, turn):
    """One sender domain, linked to one connector or several."""
    return Book(
        revision=3,
        agencies={"court": Agency("court", any_client=True)},
        connectors={
            name: Connector(name, hosts=(f"{name}.test",), state=state)
            for name, state in zip(NAMES, found_states, strict=True)
        },
        senders={
            "@x.test": Sender(
                "@x.test", "court", " ".join(found_ways), turn=turn if len(found_ways) > 1 else ""
            )
        },
        diversions={
            name: records.Diversion(name, to, "jo", START, until, "")
            for name, (to, until) in found_diversions.items()
            if to != name
        },
        carriers=frozenset(("court", name) for name in found_ways),
        settings={"tokens": [TOKEN], "default": "postfix", "null_sender": ""},
    )


def rows_of(rendered):
    """Postfix's table of senders."""
    return dict(line.split(" ", 1) for line in rendered.senders.splitlines())


def marked(rendered, value):
    """Where cleanup sends a marked message."""
    rule = f"/^X-Pointsman-Lane: [0-9a-f]{{32}} {value.split()[1]}$/ FILTER "
    (line,) = [x for x in rendered.files["marker.pcre"].splitlines() if x.startswith(rule)]
    return line.removeprefix(rule)


@given(
    found_states=states,
    found_diversions=diversions,
    found_ways=ways,
    turn=st.sampled_from(["rotate", "failover"]),
    down=st.sets(st.sampled_from(NAMES)),
    envelope=st.sampled_from(["x@x.test", "v@vendor.test", ""]),
    number=st.integers(0, 5),
)
def test_mail_takes_a_live_lane_or_none(
    found_states, found_diversions, found_ways, turn, down, envelope, number
):
    """By row, carrier or marker; and 450 only if none of the sender's connectors leads to one."""
    known = book(found_states, found_diversions, found_ways, turn)
    tables, before = Tables(Path("/etc/postfix/pointsman")), {"default_transport": None}
    around = Surroundings(transport="smtp", myorigin="mx.test")
    rendered = render(known, around, tables, str, "n", CHECKS, before, NOW)
    snapshot, rows = parse(dump(rendered.snapshot)), rows_of(rendered)
    row = rows.get(f"@{envelope.rpartition('@')[2]}", "smtp")
    mailer = row.partition(":")[0]
    message = Message(
        f"<{envelope}>",
        [Recipient("y@ext.test", mailer, "ext.test")],
        Client("", "192.0.2.1"),
        ["x@x.test"],
    )
    step = decide(snapshot, message, 0.0, lambda _key: number, down).step
    staged = all(known.connectors[name].state == "new" for name in found_ways)
    open_ways = {
        snapshot.taken(name)
        for name in found_ways
        if name in snapshot.lanes and f"pm-{snapshot.taken(name)}/unix" in rendered.services
    }
    if isinstance(step, Refuse):
        assert step.code == "450"
        assert not open_ways
        assert not staged
        return
    if staged:
        assert step == Leave("default")
        return
    way = {Leave: lambda: row, Carry: lambda: rows[f"@{step.sender.rpartition('@')[2]}"]}
    way[Mark] = lambda: marked(rendered, step.value)
    lane = way[type(step)]().partition(":")[0]
    assert lane.removeprefix("pm-") in open_ways
    if open_ways - down:
        assert lane.removeprefix("pm-") not in down
