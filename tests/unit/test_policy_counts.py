"""What is on its way, what was decided, and what somebody is warned of."""

import pytest

from pointsman.policy.backlog import APPEARS, Backlog
from pointsman.policy.rules import Asked
from pointsman.policy.tally import MOST_ALARMS, OLD, Alarm, Tally
from pointsman.rates.rate import Window
from pointsman.rates.windows import Near, Over

MINUTE, HOUR = Window(50, 60), Window(500, 3600)
ASKED = Asked("4Q1", "i1", ("court", "smtp", ""), 3)


# The backlog.


def test_backlog_counts_only_while_the_agent_watches():
    """Without it nothing is counted, and no lane is ever full."""
    backlog = Backlog()
    backlog.add("1", ("a", "c", ""), 0.0)
    assert not backlog.full("c", 1)
    backlog.learn({"2": "c", "3": "d"}, 0.0)
    backlog.add("4", ("a", "c", ""), 0.0)
    assert backlog.count == {"c": 2, "d": 1}
    assert backlog.full("c", 2)
    assert not backlog.full("c", 3)
    backlog.stop()
    backlog.add("5", ("a", "c", ""), 0.0)
    assert not backlog.full("c", 1)


def test_message_is_counted_once():
    """However often it is seen, and not without a queue id."""
    backlog = Backlog()
    backlog.learn({"1": "c"}, 0.0)
    for queue_id in ("1", "1", ""):
        backlog.add(queue_id, ("a", "c", ""), 0.0)
    assert backlog.count["c"] == 1


def test_message_that_has_left_makes_room():
    """Once it has had the time to appear in the queue and is not there."""
    backlog = Backlog()
    backlog.learn({}, 0.0)
    backlog.add("1", ("a", "c", ""), 10.0)
    backlog.add("2", ("a", "c", ""), 10.0)
    backlog.prune(["2"], 10.0 + APPEARS)
    assert backlog.count["c"] == 2
    backlog.prune(["2"], 10.1 + APPEARS)
    assert backlog.count["c"] == 1


def test_lane_without_a_limit_is_never_full():
    """0 stands for a transport that is no lane."""
    backlog = Backlog()
    backlog.learn({str(number): "postfix" for number in range(9)}, 0.0)
    assert not backlog.full("postfix", 0)


# The tally.


def test_decisions_are_counted_for_agency_and_connector():
    """By slices of time; recipients only of what was sent."""
    tally = Tally()
    for column, now in (("sent", 600.0), ("held", 1199.9), ("sent", 1200.0)):
        tally.add(ASKED, column, now)
    ((usage, alarms),) = tally.hand_over(9)
    first, second = [1, 3, 1, 0, 0], [1, 3, 0, 0, 0]
    assert usage == {
        (600, "agency court"): first,
        (600, "connector smtp"): first,
        (1200, "agency court"): second,
        (1200, "connector smtp"): second,
    }
    assert (alarms, list(tally.hand_over(9))) == ([], [])


def test_sender_with_a_rate_of_its_own_has_figures_of_its_own():
    """Beside those of its agency and its connector, of which it is a part."""
    tally = Tally()
    tally.add_line(("court", "smtp", "clerk@a.test"), 2, "sent", 0.0)
    tally.add_line(("court", "smtp", ""), 1, "sent", 0.0)
    ((usage, _),) = tally.hand_over(9)
    assert {name: counts[0] for (_, name), counts in usage.items()} == {
        "agency court": 2,
        "connector smtp": 2,
        "sender clerk@a.test": 1,
    }


def test_what_the_database_did_not_take_is_added_to_what_came_since():
    """Nothing is lost, nothing counted twice, and warnings stay in order."""
    tally = Tally()
    tally.add(ASKED, "sent", 0.0)
    tally.warn_full(Over("agency court", MINUTE, 9.0), 0.0)
    tally.new_alarms()
    (lost,) = tally.hand_over(9)
    tally.add(ASKED, "refused", 0.0)
    tally.warn_full(Over("agency police", MINUTE, 9.0), 0.0)
    tally.new_alarms()
    tally.take_back(*lost)
    ((usage, alarms),) = tally.hand_over(9)
    assert usage[0, "agency court"] == [1, 3, 0, 0, 1]
    assert [alarm.name for alarm in alarms] == ["agency court", "agency police"]


def test_report_of_many_agencies_goes_in_parts():
    """What is counted meanwhile, and what no part has taken, comes with the next report."""
    tally = Tally()
    for number in range(5):
        tally.add_line((f"a{number}", "smtp", ""), 1, "sent", 0.0)
    parts = tally.hand_over(2)
    first, _ = next(parts)
    tally.add_line(("a9", "smtp", ""), 1, "sent", 0.0)
    assert sum(counts[0] for (_, name), counts in first.items() if name.startswith("a")) == 2
    rest = [usage for _ in range(2) for usage, _ in tally.hand_over(2)]
    sent = [name for usage in (first, *rest) for _, name in usage if name.startswith("agency")]
    assert sorted(sent) == [f"agency a{number}" for number in (0, 1, 2, 3, 4, 9)]
    assert sum(usage[0, "connector smtp"][0] for usage in (first, *rest)) == 6


def test_warnings_for_a_database_that_stays_away_are_bounded():
    """The newest are kept."""
    tally = Tally()
    tally.take_back({}, [Alarm("a", "rate-full", str(n)) for n in range(MOST_ALARMS + 5)])
    ((_, alarms),) = tally.hand_over(9)
    assert (len(alarms), alarms[-1].text) == (MOST_ALARMS, str(MOST_ALARMS + 4))


@pytest.mark.parametrize(
    ("used", "kind", "text"),
    [
        (40, "rate-80", "is near its limit: 40 of 50/minute"),
        (50, "rate-full", "is at its limit: 50 of 50/minute"),
    ],
)
def test_warning_of_a_window(used, kind, text):
    """Nearly full and full are two warnings, each in words."""
    tally = Tally()
    tally.warn_near([Near("agency court", MINUTE, used)], 0.0)
    assert tally.new_alarms() == [Alarm("agency court", kind, text)]


def test_each_warning_once_per_window():
    """A full minute's limit speaks once a minute, an hour's and another counter's on their own."""
    tally = Tally()
    for now in range(120):
        for key, window in (("agency a", MINUTE), ("agency a", HOUR), ("agency b", HOUR)):
            tally.warn_full(Over(key, window, 0.0), float(now))
            tally.warn_near([Near(key, window, window.limit - 1)], float(now))
    said = [(alarm.name, alarm.kind) for alarm in tally.new_alarms()]
    assert said.count(("agency a", "rate-full")) == 3
    assert said.count(("agency a", "rate-80")) == 3
    assert said.count(("agency b", "rate-full")) == 1
    assert tally.new_alarms() == []


def test_what_no_longer_keeps_quiet_is_forgotten():
    """Warnings that are over leave nothing behind."""
    tally = Tally()
    tally.warn_full(Over("a", MINUTE, 0.0), 0.0)
    tally.warn_full(Over("a", HOUR, 0.0), 0.0)
    tally.forget(60.0)
    assert len(tally._quiet_until) == 1


def test_old_held_mail_is_told_once():
    """Until none is that old any more; then again."""
    tally = Tally()
    for now in (OLD, OLD + 1, OLD + 2):
        tally.warn_old({"court": 0.0, "police": now - 1}, now)
    tally.warn_old({}, OLD + 3)
    tally.warn_old({"court": 10.0}, 2 * OLD + 11)
    texts = [(alarm.name, alarm.kind, alarm.text) for alarm in tally.new_alarms()]
    assert texts == [
        ("agency court", "held-old", "has had mail on hold for 4 h"),
        ("agency court", "held-old", "has had mail on hold for 8 h"),
    ]
