"""The snapshot file: what is written is read, and a damaged file is known as such."""

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.routing.snapshot import (
    Agency,
    Lane,
    Link,
    Pause,
    Snapshot,
    Surroundings,
    client_ip,
    dump,
    load,
    parse,
)

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}", fullmatch=True)
TURNS = st.sampled_from(["", "rotate", "failover", "off"])
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SETS = st.frozensets(WORDS, max_size=4)
NETWORKS = st.ip_addresses().map(ip_network) | st.sampled_from(
    [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]
)
RATES = st.sampled_from(["unlimited", "50/minute", "5/hour; 100 recipients/day"])


def named(records):
    """Records by their names, as a snapshot keeps them."""
    return st.lists(records, max_size=4).map(
        lambda found: {getattr(r, "name", None) or r.connector: r for r in found}
    )


SNAPSHOTS = st.builds(
    Snapshot,
    revision=st.integers(0, 2**40),
    tokens=st.lists(WORDS, max_size=3).map(tuple),
    agencies=named(
        st.builds(
            Agency,
            NAMES,
            SETS,
            st.lists(NETWORKS, max_size=3).map(tuple),
            st.booleans(),
            RATES,
            st.sampled_from(["delay", "defer", "reject"]),
            st.integers(1, 10**6),
            st.booleans(),
        )
    ),
    lanes=named(
        st.builds(Lane, NAMES, WORDS, st.booleans(), st.booleans(), RATES, st.integers(1, 10**6))
    ),
    links=st.dictionaries(
        WORDS,
        st.builds(Link, NAMES, NAMES, st.lists(NAMES, max_size=3).map(tuple), TURNS),
        max_size=6,
    ),
    default=NAMES,
    null_sender=NAMES | st.just(""),
    rates=st.dictionaries(WORDS, RATES, max_size=3),
    pauses=st.dictionaries(
        WORDS, st.builds(Pause, WORDS, WORDS, st.floats(0, 2e9), WORDS), max_size=3
    ),
    around=st.builds(
        Surroundings,
        myorigin=WORDS,
        transport=NAMES,
        nexthop=WORDS,
        relayhost=WORDS,
        relayhost_varies=st.booleans(),
        hosted=SETS,
        hosted_parents=SETS,
        aliased=SETS,
        copies=st.booleans(),
        rewrites=st.booleans(),
        foreign=SETS,
        unlisted=st.lists(WORDS, max_size=3).map(tuple),
    ),
    changed=st.dictionaries(WORDS, st.floats(0, 2e9), max_size=3),
)


@given(SNAPSHOTS)
def test_what_is_written_is_read(snapshot):
    """No field is lost or changed on its way; written again it is the same text, sets in order."""
    text = dump(snapshot)
    again = parse(text)
    assert snapshot == again
    assert text == dump(again)


def test_links_are_grouped(town):
    """100,000 links of one agency and connector share one object and one name in the file."""
    links = {f"u{n}@a.test": Link("a", "a") for n in range(100)}
    text = dump(replace(town, links=links))
    assert text.count('"a a -"') == 1
    assert len({id(link) for link in parse(text).links.values()}) == 1


DAMAGE = {
    "another format": lambda data: data.update(format=99),
    "older format": lambda data: data.update(format=1),
    "no format": lambda data: data.pop("format"),
    "no links": lambda data: data.pop("links"),
    "no surroundings": lambda data: data.pop("around"),
    "links as a list": lambda data: data.update(links=[]),
    "links null": lambda data: data.update(links=None),
    "agencies null": lambda data: data.update(agencies=None),
    "empty agency": lambda data: data.update(agencies=[{}]),
    "surroundings as a list": lambda data: data.update(around=[]),
    "tokens null": lambda data: data.update(tokens=None),
    "pauses null": lambda data: data.update(pauses=None),
    "pause without an end": lambda data: data.update(pauses={"agency a": {"who": "x"}}),
    "no rates": lambda data: data.pop("rates"),
    "newer lane": lambda data: data["lanes"][0].update(newer=1),
    "nameless lane": lambda data: data["lanes"][0].pop("connector"),
    "newer surroundings": lambda data: data["around"].update(newer=1),
    "no network": lambda data: data["agencies"][1].update(networks=["nonsense"]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_snapshot_of_another_shape_is_a_value_error(town, damage):
    """Another format, or a field that is missing, unknown or of another kind."""
    data = json.loads(dump(town))
    DAMAGE[damage](data)
    with pytest.raises(ValueError, match=r"."):
        parse(json.dumps(data))


@pytest.mark.parametrize("text", ["", " ", "{", "[]", "null", "1", '"x"', "{}", "\x00"])
def test_text_that_is_no_snapshot_is_a_value_error(text):
    """An empty, cut or foreign file."""
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@given(st.data())
def test_snapshot_cut_anywhere_is_a_value_error(town, data):
    """A file that was not written to its end never serves."""
    text = dump(town)
    end = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(ValueError, match=r"."):
        parse(text[:end])


def test_file_is_read(town, tmp_path):
    """`load` reads the file as UTF-8."""
    path = tmp_path / "snapshot.json"
    snapshot = replace(town, links={"z\u00fcrich@a.test": Link("a", "a")})
    path.write_text(dump(snapshot), encoding="utf-8")
    assert snapshot == load(path)


def test_file_that_is_not_there_or_not_text(tmp_path):
    """A missing file is an OSError, bytes that are not UTF-8 a ValueError."""
    path = tmp_path / "snapshot.json"
    with pytest.raises(OSError, match="No such file"):
        load(path)
    path.write_bytes(b'{"format": 1, "\xff')
    with pytest.raises(ValueError, match="utf-8"):
        load(path)


@pytest.mark.parametrize(
    ("connector", "transport"), [("postfix", "slow"), ("none", "pm-none"), ("a", "pm-a")]
)
def test_transport_of_a_connector(town, connector, transport):
    """`postfix` stands for what main.cf said, `none` for a service that does not exist."""
    snapshot = replace(town, around=replace(town.around, transport="slow"))
    assert transport == snapshot.transport_of(connector)


def test_lane_spells_its_destination():
    """Service and next hop, as Postfix's tables have them."""
    lane = Lane("a", "[h.test]:587")
    assert (lane.transport, lane.destination) == ("pm-a", "pm-a:[h.test]:587")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", IPv4Address("192.0.2.1")),
        ("::ffff:192.0.2.1", IPv4Address("192.0.2.1")),
        ("2001:db8::1", IPv6Address("2001:db8::1")),
        ("", None),
        (None, None),
        ("unknown", None),
        ("192.0.2.1/24", None),
        ("/var/run/socket", None),
    ],
)
def test_client_address_is_read(text, address):
    """An IPv4-mapped address is the IPv4 address; what is none is None."""
    assert address == client_ip(text)
