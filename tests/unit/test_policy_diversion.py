"""While a connector is diverted, its mail counts against the other's rate and backlog."""

from dataclasses import replace

import pytest

from pointsman.policy.backlog import Backlog
from pointsman.policy.rules import Rules
from pointsman.routing.snapshot import Agency, Diversion, Lane, Snapshot

TOWN = Snapshot(
    agencies={"court": Agency("court", rate="50/minute")},
    lanes={
        "a": Lane("a", "h1", rate="1/hour", backlog=3),
        "b": Lane("b", "h2", rate="7/hour", backlog=4),
        "c": Lane("c", "h3"),
    },
)
DIVERTED = replace(TOWN, diversions={"a": Diversion("b", "jo", "", 0.0, "")})


@pytest.mark.parametrize(
    ("snapshot", "counter", "backlog", "sharing"),
    [(TOWN, "connector a", 3, {"a"}), (DIVERTED, "connector b", 4, {"a", "b"})],
)
def test_limits_are_those_of_the_lane_that_is_taken(snapshot, counter, backlog, sharing):
    """Held mail too: it counts when it goes, and then by the rules of that moment."""
    rules = Rules(snapshot)
    line = ("court", "a", "")
    assert [name for name, _ in rules.wanted(line)] == ["agency court", counter]
    assert rules.backlog("a") == backlog
    assert set(rules.sharing("a")) == sharing
    assert set(rules.sharing("c")) == {"c"}


def test_backlog_of_a_lane_is_what_leads_to_it():
    """Three of a's and one of b's are four for b."""
    backlog = Backlog()
    backlog.learn({"1": "a", "2": "a", "3": "a", "4": "b"}, 0.0)
    assert backlog.full(("a", "b"), 4)
    assert not backlog.full(("b",), 4)
    assert not backlog.full(("a", "b"), 0)
