"""What `make demo` shows fits a terminal."""

from lab.demo import HEADERS, ROWS, shown
from pointsman.cli import layout


def test_table_of_the_demo_fits_100_columns():
    """When all is right; what is wrong stands below it in words."""
    lines = [shown(row, row.expected) for row in ROWS]
    assert max(map(len, layout.table(lines, HEADERS, None).splitlines())) <= 100
    assert {line[-1] for line in lines} == {"ok"}
