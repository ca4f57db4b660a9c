"""Lengths of time, bars and ages, as the command line reads and shows them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.cli import live
from pointsman.cli.pausing import duration
from pointsman.cli.status import age
from pointsman.cli.usage import _over_time, sparkline
from pointsman.errors import UsageError
from pointsman.store.usage import SLICE


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("2H", 7200),
        ("3d", 3 * 86400),
        ("1w", 7 * 86400),
        ("1h30m", 5400),
        ("366d", 366 * 86400),
        ("1s", 1),
    ],
)
def test_length_of_time(text, seconds):
    """One unit or several together."""
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a length of time"),
        ("2x", "is not a length of time"),
        ("30", "is not a length of time"),
        ("m", "is not a length of time"),
        ("1h 30m", "is not a length of time"),
        ("-1h", "is not a length of time"),
        ("1.5h", "is not a length of time"),
        ("0s", "from a second to 366 days"),
        ("367d", "from a second to 366 days"),
        ("9999999w" * 20, "from a second to 366 days"),
        ("1" * 8 + "s", "is not a length of time"),
    ],
)
def test_what_is_no_length_of_time(text, words):
    """Refused in words."""
    with pytest.raises(UsageError, match=words):
        duration(text)


@given(st.text("0123456789smhdw .-", max_size=40) | st.text(max_size=10))
def test_any_text_is_a_length_of_time_or_refused(text):
    """Nothing but UsageError comes out, and no more than a year goes in."""
    try:
        assert timedelta() < duration(text) <= timedelta(days=366)
    except UsageError:
        return


@pytest.mark.parametrize(
    ("parts", "bars"),
    [
        ([], ""),
        ([0, 0], ""),
        ([0, 1, 8], "\u00b7\u2581\u2588"),
        ([1, 1000], "\u2581\u2588"),
        ([4, 8], "\u2584\u2588"),
    ],
)
def test_bars(parts, bars):
    """The most is a full bar, little is still seen, nothing is a dot."""
    assert bars == sparkline(parts)


@given(st.lists(st.integers(0, 10**12), max_size=50))
def test_bars_of_any_numbers(parts):
    """As many as there are numbers, or none at all."""
    assert len(sparkline(parts)) == (len(parts) if any(parts) else 0)


@given(st.dictionaries(st.integers(-2, 200).map(lambda n: n * SLICE), st.integers(0, 100)))
def test_nothing_sent_is_lost_over_time(slices):
    """Each slice is in one part, the first ones in the first."""
    counts = {at: {"sent": sent} for at, sent in slices.items()}
    parts = _over_time(counts, 0.0, 86400.0)
    assert sum(parts) == sum(slices.values())
    assert _over_time({0: {"sent": 5}}, 0.0, 86400.0)[0] == 5
    assert _over_time({86400 - SLICE: {"sent": 5}}, 0.0, 86400.0)[-1] == 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, ""), (1, "1s"), (59, "59s"), (60, "1m"), (3600, "1h"), (7200, "2h"), (864000, "10d")],
)
def test_age(seconds, text):
    """In its largest unit."""
    assert text == age(seconds)


def test_what_may_still_go():
    """A window at a time."""
    windows = [{"left": 38, "window": "50/minute"}, {"left": 0, "window": "9/day"}]
    assert live.left(windows) == "38 of 50/minute; 0 of 9/day"
    assert live.left([]) == ""
