"""Tables and records on a screen of any width: nothing is cut, nothing is too wide."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.cli import layout

HEADERS = ("CONNECTOR", "STATE", "HOST", "QUEUED", "PAUSED", "NOTE")
ROWS = (
    ("court-smtp", "live", "smtp.court.example:587", "12", "-", "the court's own server"),
    ("city-relay", "disabled", "relay.city.example:25", "3", "-", "-"),
)


def longest(text):
    """The width that a text needs."""
    return max(map(len, text.splitlines()))


def test_row_is_a_line_where_there_is_no_screen():
    """A pipe to grep(1) gets all of a row, and every column."""
    lines = layout.table(ROWS, HEADERS, None).splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert all(value in line for row, line in zip(ROWS, lines[2:], strict=True) for value in row)


def test_screen_that_is_wide_enough_changes_nothing():
    """To the very column."""
    plain = layout.table(ROWS, HEADERS, None)
    assert layout.table(ROWS, HEADERS, longest(plain)) == plain
    assert layout.table(ROWS, HEADERS, longest(plain) - 1) != plain


def test_column_that_tells_nothing_goes_first():
    """On a screen that is too narrow for all of them."""
    text = layout.table(ROWS, HEADERS, 80)
    assert "PAUSED" not in text
    assert "the court's own server" in text
    assert longest(text) <= 80


def test_text_is_wrapped_between_words():
    """Names stay whole, and each part stands below the first."""
    text = layout.table(ROWS, HEADERS, 68)
    assert longest(text) <= 68
    assert "smtp.court.example:587" in text
    second = next(line for line in text.splitlines() if line.strip() == "own server")
    assert second.index("own") == text.splitlines()[0].index("NOTE")


def test_rows_become_blocks_where_names_do_not_fit():
    """A value a line, and only those that are there."""
    blocks = layout.table(ROWS, HEADERS, 40).split("\n\n")
    assert blocks[1].splitlines() == [
        "CONNECTOR  city-relay",
        "STATE      disabled",
        "HOST       relay.city.example:25",
        "QUEUED     3",
    ]


@pytest.mark.parametrize(
    ("cells", "shown"), [(("9", "120"), "  9"), (("9", "-"), "9"), (("9", "a10"), "9  ")]
)
def test_numbers_end_at_the_right(cells, shown):
    """A column of them; one word in it, and it is text."""
    line = layout.table([(cell, "x") for cell in cells], ("N", "X"), None).splitlines()[2]
    assert line == f"{shown}  x"


WORDS = st.text("abc@.-:", min_size=1, max_size=14)
CELLS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)
TABLES = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=4),
        st.lists(st.from_regex(r"[A-Z]{1,9}", fullmatch=True), min_size=n, max_size=n, unique=True),
    )
)


@given(TABLES, st.integers(26, 120))
def test_no_word_is_cut_and_no_line_too_long(table, width):
    """On any screen that has room for the longest name and its heading."""
    rows, headers = table
    text = layout.table(rows, headers, width)
    assert longest(text) <= width
    found = text.split()
    for row in rows:
        for cell in row:
            assert cell == "-" or set(cell.split()) <= set(found)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), CELLS, min_size=1))
def test_value_of_a_record_goes_on_below_itself(values):
    """And for a pipe it is one line."""
    assert len(layout.record(values, None).splitlines()) == len(values)
    margin = max(map(len, values)) + 2
    for line in layout.record(values, 30).splitlines():
        assert len(line) <= 30
        assert line[margin - 1] == " " != line[margin]
