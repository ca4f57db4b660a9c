"""Health: thresholds up and down, and when to probe, with time as an argument."""

import pytest

from pointsman.health import (
    FAILURES,
    PROBE_DOUBTED,
    PROBE_DOWN,
    PROBE_UP,
    SUCCESSES,
    Health,
    Turn,
)


@pytest.fixture
def health():
    """Two connectors, both probed at time 0 and well."""
    health = Health()
    health.watch(["a", "b"])
    for name in ("a", "b"):
        assert health.probed(name, 0.0, "") is None
    return health


def fail(health, name, times=FAILURES, start=0.0):
    """Failing probes, a second apart; what the last one brought."""
    return [health.probed(name, start + n, "refused") for n in range(times)][-1]


def test_down_after_failures_in_a_row(health):
    """The last of them says why; later ones say nothing."""
    assert fail(health, "a", FAILURES - 1) is None
    assert health.down == []
    assert health.probed("a", 9.0, "refused") == Turn("a", True, "refused")
    assert health.down == ["a"]
    assert health.probed("a", 10.0, "refused") is None


@pytest.mark.parametrize("good", ["probe", "delivery"])
def test_success_in_between_clears_the_doubt(health, good):
    """A server that fails now and then is not down."""
    for _ in range(3):
        fail(health, "a", FAILURES - 1)
        if good == "probe":
            health.probed("a", 5.0, "")
        else:
            health.delivered("a", "")
    assert health.down == []


def test_deliveries_and_probes_count_together(health):
    """Each delivery that failed for the way is as good as a probe."""
    assert health.delivered("a", "lost connection") is None
    assert health.probed("a", 1.0, "refused") is None
    assert health.delivered("a", "timed out") == Turn("a", True, "timed out")


def test_up_after_good_probes_in_a_row(health):
    """One good one does not do; a failure in between begins anew."""
    fail(health, "a")
    assert health.probed("a", 10.0, "") is None
    assert health.probed("a", 11.0, "refused") is None
    for number in range(SUCCESSES - 1):
        assert health.probed("a", 20.0 + number, "") is None
    assert health.probed("a", 30.0, "") == Turn("a", False, "")
    assert health.down == []


def test_late_delivery_does_not_bring_it_back(health):
    """A message that was on its way for long proves nothing about now."""
    fail(health, "a")
    assert health.delivered("a", "") is None
    assert health.down == ["a"]


def test_probes_come_more_often_when_in_doubt(health):
    """Rarely while it works, soon after a failure, now and then while it is down."""
    assert health.due(PROBE_UP - 0.1) == []
    assert health.due(PROBE_UP) == ["a", "b"]
    health.delivered("a", "timed out")
    assert health.due(PROBE_DOUBTED) == ["a"]
    fail(health, "a", start=100.0)
    last = 100.0 + FAILURES - 1
    assert "a" not in health.due(last + PROBE_DOWN - 0.1)
    assert "a" in health.due(last + PROBE_DOWN)
    health.probed("a", 200.0, "")
    assert "a" in health.due(200.0 + PROBE_DOUBTED)


def test_only_those_that_are_watched_count(health):
    """A connector that stands alone is never out: its mail waits for it."""
    assert health.delivered("other", "refused") is None
    assert health.probed("other", 1.0, "refused") is None
    fail(health, "a")
    health.watch(["b"])
    assert health.down == []


def test_next_life_knows_what_was_down():
    """Until its own probes say otherwise."""
    again = Health()
    again.watch(["a", "b"])
    again.restore(["a", "gone"])
    assert again.down == ["a"]
