"""Case 3: hosted and outbound recipients in one message each go their right way."""

import json

import pytest

from lab.city import City, built
from lab.instance import wait_until
from lab.nexthop import NextHop

HOSTED = {
    "root@localhost": "local",
    "home@valias.test": "alias that leads home",
    "u@vmbox.test": "lmtp mailbox",
    "u@relayed.test": "relay domain",
    "u@special.test": "the admin's transport map",
}
OUT = ("x@ext.test", "away@valias.test")


def wire(city: City) -> None:
    """An alias domain, a mailbox domain behind lmtp, a relay domain, a transport map."""
    folder = city.postfix.folder
    for name in ("lmtp", "relayed", "special"):
        city.hops[name] = NextHop(name, lmtp=name == "lmtp").start()
    ports = {name: hop.port for name, hop in city.hops.items()}
    tables = {
        "valias": "valias.test any\nhome@valias.test root@localhost\naway@valias.test y@ext.test\n",
        "transport": f"special.test smtp:[127.0.0.1]:{ports['special']}\n"
        f"relayed.test relay:[127.0.0.1]:{ports['relayed']}\n",
    }
    for name, text in tables.items():
        (folder / name).write_text(text)
        city.postfix.postfix("postmap", f"lmdb:{folder / name}")
    city.postfix.set(
        virtual_alias_maps=f"lmdb:{folder}/valias, pcre:{folder}/etc/pointsman/decode.pcre",
        virtual_mailbox_domains="vmbox.test",
        virtual_mailbox_maps="static:all",
        virtual_transport=f"lmtp:inet:127.0.0.1:{ports['lmtp']}",
        relay_domains="relayed.test",
        transport_maps=f"lmdb:{folder}/transport",
    )


def edit_main_cf(city: City, expected: dict, **parameters) -> None:
    """Edit main.cf as an admin would, and wait until agent and milter have taken it up."""
    mark = city.postfix.log_size()
    path = city.postfix.state_directory / "snapshot.json"
    city.postfix.set(**parameters)

    def known() -> bool:
        around = json.loads(path.read_text())["around"]
        return all(around[name] == value for name, value in expected.items())

    wait_until(known, f"the snapshot to have {expected}")
    city.postfix.wait_for_log(r"pointsman/milter\[\d+\]: snapshot revision", since=mark)


@pytest.fixture(scope="module")
def mixed_city():
    with built() as city:
        run = city.postfix.cli
        run("agency", "add", "a", "--login", "a-app")
        run("connector", "add", "a", *city.connector_options("shared", "court"))
        run("sender", "link", "clerk@a.test", "--agency", "a", "--connector", "a")
        run("connector", "enable", "a")
        wire(city)
        city.settle()
        wait_until(
            lambda: "vmbox.test" in (city.postfix.state_directory / "snapshot.json").read_text(),
            "the agent to see the mailbox domain",
        )
        city.outlast_memory()
        yield city


@pytest.fixture
def city(mixed_city):
    mixed_city.clear()
    return mixed_city


def ways(city: City, queue_id: str) -> dict[str, str]:
    """Recipient to the service that delivered it, once the queue is empty."""
    city.postfix.wait_for_empty_queue()
    return city.lanes(queue_id)


HOME = {
    "root@localhost": "postfix",  # local(8) delivers both under this name
    "u@vmbox.test": "postfix",
    "u@relayed.test": "postfix",
    "u@special.test": "postfix",
}


@pytest.mark.parametrize(
    ("sender", "way"), [("clerk@a.test", "table"), ("v+1=x@vendor.test", "carrier")]
)
def test_each_recipient_goes_its_own_way(city, sender, way):
    """Outbound ones, aliases that lead out included, take the lane; all others stay."""
    reply = city.send(sender, "clerk@a.test", f"mixed {way}", [*HOSTED, *OUT])
    assert reply.code == 250
    assert ways(city, reply.queue_id) == {
        **HOME,
        "x@ext.test": "postfix/pm-a",
        "y@ext.test": "postfix/pm-a",
    }
    assert f"way={way}" in city.decision(reply.queue_id)
    arrived = {(r.server, r.recipients) for r in city.arrived(f"mixed {way}", 4)}
    assert ("special", ("u@special.test",)) in arrived
    assert ("relayed", ("u@relayed.test",)) in arrived
    assert ("lmtp", ("u@vmbox.test",)) in arrived
    assert {r.sender for r in city.arrived(f"mixed {way}", 4)} == {sender}


def test_null_sender_with_outbound_recipients_only_is_marked(city):
    """Two outbound recipients of null-sender mail both take the lane."""
    reply = city.send("<>", "clerk@a.test", "null out", ["x@ext.test", "z@ext.test"])
    assert ways(city, reply.queue_id) == dict.fromkeys(["x@ext.test", "z@ext.test"], "postfix/pm-a")
    assert "way=marker" in city.decision(reply.queue_id)


def test_null_sender_with_hosted_recipients_moves_none(city):
    """FILTER would take the hosted ones along, so the outbound one takes the default relay."""
    reply = city.send("<>", "clerk@a.test", "null mixed", [*HOSTED, "x@ext.test"])
    assert ways(city, reply.queue_id) == {**HOME, "x@ext.test": "postfix"}
    assert "way=null-sender-mixed" in city.decision(reply.queue_id)
    assert {r.server for r in city.arrived("null mixed", 4)} == {
        "default",
        "lmtp",
        "relayed",
        "special",
    }


def test_hosted_mail_is_left_alone(city):
    """Mail for hosted recipients alone is not touched, whatever its From."""
    reply = city.send("v@vendor.test", "clerk@a.test", "inbound", list(HOSTED), login="stranger")
    assert ways(city, reply.queue_id) == HOME
    assert "way=hosted" in city.decision(reply.queue_id)


@pytest.mark.parametrize(
    ("sender", "way", "server"),
    [
        ("clerk@a.test", "table", "shared"),
        ("v@vendor.test", "carrier", "shared"),
        ("<>", "null-sender-bcc", "default"),
    ],
)
def test_always_bcc_stays_home(city, sender, way, server):
    """The archive gets its copy, and the agency's server does not."""
    edit_main_cf(city, {"copies": True}, always_bcc="www-data@localhost")
    before = len(list(city.postfix.spool("www-data")))
    reply = city.send(sender, "clerk@a.test", f"bcc {way}")
    ways(city, reply.queue_id)
    (received,) = city.arrived(f"bcc {way}")
    assert (received.server, received.recipients) == (server, ("someone@example.net",))
    assert len(list(city.postfix.spool("www-data"))) == before + 1
    assert f"way={way}" in city.decision(reply.queue_id)
    edit_main_cf(city, {"copies": False}, always_bcc="")


def test_aliased_outbound_recipient_is_never_filtered(city):
    """A virtual alias of an outbound address leads home, null sender or not."""
    table = city.postfix.folder / "valias"
    table.write_text(table.read_text() + "boss@ext.test root@localhost\n")
    city.postfix.postfix("postmap", f"lmdb:{table}")
    # Any edit of main.cf: the agent looks at the maps again.
    edit_main_cf(city, {"aliased": ["boss@ext.test"]}, delay_warning_time="1h")
    reply = city.send("<>", "clerk@a.test", "aliased", "boss@ext.test")
    assert ways(city, reply.queue_id) == {"root@localhost": "postfix"}
    assert "way=null-sender-aliased" in city.decision(reply.queue_id)
