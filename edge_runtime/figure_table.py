"""The one look of tables of figures in the terminal."""

from __future__ import annotations

from rich.table import Table


def figure_table(first: str, *others: str) -> Table:
    """An empty table: names to the left, the other columns' figures to the right.

    Args:
        first: heading of the names.
        others: headings of the figures.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for other in others:
        table.add_column(other, justify="right")
    return table
