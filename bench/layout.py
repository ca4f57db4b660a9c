"""How figures look in a table."""

from collections.abc import Sequence
from statistics import median

from tabulate import tabulate


def table(rows: Sequence[Sequence[str]], *headers: str) -> str:
    """Markdown."""
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def spread(values: Sequence[float], digits: int) -> str:
    """The median, and in brackets the range."""
    middle, least, most = median(values), min(values), max(values)
    return f"{middle:,.{digits}f} ({least:,.{digits}f} to {most:,.{digits}f})"
