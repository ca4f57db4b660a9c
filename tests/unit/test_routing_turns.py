"""Whose turn it is: of the connectors that can, each as often as the others."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.routing.decide import Carry, Leave, Mark, Message, Refuse, decide
from pointsman.routing.lanes import Client, Route
from pointsman.routing.recipients import Recipient
from pointsman.routing.snapshot import Lane, Link, Snapshot
from pointsman.routing.turns import ROTATE, Turns, turn_of, usable

NAMES = ("a", "b", "tax", "off")


def route(ways, turn=ROTATE):
    return Route("x", ways[0], "from", None, "@x.test", tuple(ways), turn)


def lanes(*live):
    """A snapshot with these lanes alone, live or not."""
    return Snapshot(lanes={name: Lane(name, "[h]:25", is_live) for name, is_live in live})


WAYS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.booleans()), min_size=1, unique_by=lambda w: w[0]
)


@given(WAYS, st.sets(st.sampled_from(NAMES)))
def test_only_live_ones_that_are_up_are_used(ways, down):
    """In the admin's order; one that is down only if all are; a disabled one never."""
    found = usable(lanes(*ways), route([name for name, _ in ways]), down)
    live = [name for name, is_live in ways if is_live]
    up = [name for name in live if name not in down]
    assert found == (up or live)


@given(st.lists(st.sampled_from(NAMES), min_size=1, unique=True), st.integers(1, 100))
def test_rotation_is_even(names, count):
    """However many messages: no connector has two more than another."""
    turns = Turns()
    taken = Counter(turn_of(route(names), names, turns.next) for _ in range(count))
    numbers = [taken[name] for name in names]
    assert max(numbers) - min(numbers) <= 1


def test_failover_takes_the_first():
    """Always, and asks for no number."""
    chosen = turn_of(route(["b", "a"], "failover"), ["b", "a"], lambda _: pytest.fail("asked"))
    assert chosen == "b"


def test_each_link_counts_by_itself():
    """One sender's mail does not move another's turn."""
    turns = Turns()
    assert [turns.next("x"), turns.next("y"), turns.next("x")] == [0, 0, 1]


def decided(town, sender="<x@turns.test>", number=0, down=(), **link):
    """The decision about a message of a sender with two connectors, a and b."""
    values = {"ways": ("a", "b"), "turn": "rotate", **link}
    linked = {**town.links, "@turns.test": Link("open", "a", **values)}
    message = Message(
        sender, [Recipient("<x@ext.test>", "pm-a", "[h]:25")], Client(), ["x@turns.test"]
    )
    return decide(replace(town, links=linked), message, 0.0, lambda _: number, down)


def test_turn_of_the_tables_lane_changes_nothing(town):
    """Else the message is carried to the one whose turn it is; `<>` is marked."""
    assert decided(town).step == Leave("table")
    assert decided(town, number=1).step == Carry("x=turns.test@open.b.pm.invalid")
    assert decided(town, number=2).route.connector == "a"
    assert isinstance(decided(town, "<>", number=1).step, Mark)


def test_connector_that_is_down_is_passed_over(town):
    """And with all of them down, mail waits as it would for one."""
    assert decided(town, down={"a"}).route.connector == "b"
    assert decided(town, down={"a", "b"}).route.connector == "a"


def test_all_disabled_defers(town):
    """The client is told which."""
    disabled = replace(town, lanes={n: replace(lane, live=False) for n, lane in town.lanes.items()})
    step = decided(disabled).step
    assert (step.code, step.text) == ("450", "connectors a, b are disabled")


def test_sender_that_is_switched_off_is_deferred(town):
    """After the question who may send for it: a stranger learns nothing."""
    step = decided(town, ways=(), turn="off").step
    assert (step.code, step.text) == ("450", "sender @turns.test is switched off")
    linked = {**town.links, "@turns.test": Link("a", "a", (), "off")}
    message = Message("<x@turns.test>", [Recipient("<x@ext.test>")], Client("nobody"))
    stranger = decide(replace(town, links=linked), message, 0.0).step
    assert isinstance(stranger, Refuse)
    assert stranger.code == "550"
