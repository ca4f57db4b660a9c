"""Rates as people write them: every spelling, the normal form, every refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import UsageError
from pointsman.rates.rate import Rate, Window, parse_rate, spell_rate

LONGEST = 366 * 86400
WINDOWS = st.builds(
    Window,
    st.integers(1, 10**9),
    st.integers(1, LONGEST) | st.sampled_from([1, 60, 3600, 86400, 7 * 86400]),
    st.sampled_from(["messages", "recipients"]),
)
RATES = st.lists(WINDOWS, unique_by=lambda w: (w.seconds, w.unit), max_size=4).map(tuple)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("50/minute", [Window(50, 60)]),
        ("50 / minute", [Window(50, 60)]),
        ("  50/minute\n", [Window(50, 60)]),
        ("50 messages/minute", [Window(50, 60)]),
        ("1 message/second", [Window(1, 1)]),
        ("50 Messages per Minute", [Window(50, 60)]),
        ("60/10 seconds", [Window(60, 10)]),
        ("60/10seconds", [Window(60, 10)]),
        ("100 recipients/2 hours", [Window(100, 7200, "recipients")]),
        ("1 recipient per day", [Window(1, 86400, "recipients")]),
        ("30/minute; 10000 recipients/day", [Window(30, 60), Window(10000, 86400, "recipients")]),
        ("30/minute, 500/day", [Window(30, 60), Window(500, 86400)]),
        ("5/minute;5 recipients/minute", [Window(5, 60), Window(5, 60, "recipients")]),
        ("1000000000/366 days", [Window(10**9, LONGEST)]),
        ("unlimited", []),
        (" UNLIMITED ", []),
        ("", []),
    ],
)
def test_spelling(text, rate):
    """All ways to write a rate mean what they say."""
    assert tuple(rate) == parse_rate(text)


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        ([], "unlimited"),
        ([Window(50, 60)], "50/minute"),
        ([Window(50, 120)], "50/2 minutes"),
        ([Window(50, 90)], "50/90 seconds"),
        ([Window(5, 7 * 86400, "recipients")], "5 recipients/7 days"),
        ([Window(1, 1), Window(9, 3600, "recipients")], "1/second; 9 recipients/hour"),
    ],
)
def test_normal_form(rate, text):
    """A rate is written in its largest unit, messages without their name."""
    assert text == spell_rate(tuple(rate))


@given(RATES)
def test_normal_form_is_read_back(rate: Rate):
    """What is spelled is read as the same rate, and spelled the same again."""
    assert rate == parse_rate(spell_rate(rate))


@given(st.text(max_size=30) | st.text("0123456789/;, minutehourdaysrecipientper", max_size=40))
def test_any_text_is_a_rate_or_refused(text):
    """Nothing but UsageError ever comes out, and what is read can be spelled."""
    try:
        rate = parse_rate(text)
    except UsageError:
        return
    assert rate == parse_rate(spell_rate(rate))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("50", "is not a rate"),
        ("minute", "is not a rate"),
        ("50/", "is not a rate"),
        ("/minute", "is not a rate"),
        ("50/month", "is not a rate"),
        ("50//minute", "is not a rate"),
        ("-5/minute", "is not a rate"),
        ("5.5/minute", "is not a rate"),
        ("50 mails/minute", "is not a rate"),
        ("5per minute", "is not a rate"),
        ("50/minute;", "is not a rate"),
        ("10,000/day", "is not a rate"),
        ("unlimited; 5/minute", "is not a rate"),
        ("1" * 13 + "/minute", "is not a rate"),
        ("5/" + "1" * 10 + " seconds", "is not a rate"),
        ("0/minute", "to stop all mail, pause it"),
        ("1000000001/minute", "from 1 to 1,000,000,000"),
        ("5/0 seconds", "from a second to 366 days"),
        ("5/367 days", "from a second to 366 days"),
        ("5/minute; 6/60 seconds", "two limits for one window"),
        ("5 recipients/hour; 6 recipients/60 minutes", "two limits for one window"),
    ],
)
def test_refusal(text, words):
    """What is no rate is refused in words that say why."""
    with pytest.raises(UsageError, match=words):
        parse_rate(text)
