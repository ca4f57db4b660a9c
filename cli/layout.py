"""Lays tables and records out for the screen that is there; pure, and never cuts a name.

For a pipe or a file (no width) a row is a line, however long: so grep(1) finds it whole.
"""

import textwrap
from collections.abc import Sequence

import tabulate

GAP = 2  # columns between two columns
tabulate.MIN_PADDING = 0  # of a heading; its two columns each are missed on a narrow screen


def table(rows: Sequence[Sequence[str]], headers: Sequence[str], width: int | None) -> str:
    """Rows under headings; what a narrow screen has no room for is wrapped between words.

    Where even that is too wide, each row is a block of its own, a line for each value it has.
    """
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    if width is None or _sum(widths) <= width:
        return _aligned(rows, headers)
    # A column in which nobody has anything tells nothing.
    kept = [n for n in range(len(headers)) if any(row[n] != "-" for row in rows)]
    rows = [[row[n] for n in kept] for row in rows]
    headers = [headers[n] for n in kept]
    columns = list(zip(headers, *rows, strict=True))
    least = [max(len(word) for cell in column for word in _words(cell)) for column in columns]
    if _sum(least) > width:
        return "\n\n".join(_block(headers, row, width) for row in rows)
    room = _narrowed([max(map(len, column)) for column in columns], least, width)
    wrapped = [[_wrap(cell, n) for cell, n in zip(row, room, strict=True)] for row in rows]
    return _aligned(wrapped, [_wrap(h, n) for h, n in zip(headers, room, strict=True)])


def record(values: dict[str, str], width: int | None) -> str:
    """A value a line; a long one goes on below itself."""
    margin = max(map(len, values), default=0) + GAP
    lines = ((f"{name:<{margin}}", value) for name, value in values.items())
    if width is None:
        return "\n".join(name + value for name, value in lines)
    room = max(width - margin, 1)
    return "\n".join(
        name + _wrap(value, room).replace("\n", "\n" + " " * margin) for name, value in lines
    )


def _block(headers: Sequence[str], row: Sequence[str], width: int) -> str:
    """A row on lines of its own, without what it does not say."""
    pairs = zip(headers, row, strict=True)
    return record({name: value for name, value in pairs if value != "-"}, width)


def _words(cell: str) -> list[str]:
    return cell.split() or [""]


def _wrap(cell: str, width: int) -> str:
    return textwrap.fill(cell, width, break_long_words=False, break_on_hyphens=False)


def _sum(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _narrowed(widths: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Take from the widest column that can give, until all of them fit."""
    room = list(widths)
    while _sum(room) > width:
        giving = [n for n in range(len(room)) if room[n] > least[n]]
        room[max(giving, key=lambda n: room[n])] -= 1
    return room


def _aligned(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """Numbers end at the right, so that they can be compared at a glance."""
    columns = [[c for c in column if c != "-"] for column in zip(*rows, strict=True)]
    align = ["right" if c and all(map(str.isdecimal, c)) else "left" for c in columns]
    return tabulate.tabulate(
        rows, headers=headers, tablefmt="simple", disable_numparse=True, colalign=align
    )
