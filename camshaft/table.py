"""Text for a terminal: rows in columns, and lines of which strangers may have said a part.

A camera says why it refuses, a user claims a name: what they say is read, and does nothing to the terminal.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

import click


def tell(lines: Iterable[object], *, err: bool = False) -> None:
    """Print lines, on standard error if ``err``."""
    from common.log import printable  # late: help is asked for in a hurry

    for line in lines:
        click.echo(printable(str(line)), err=err)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines whose columns are aligned. All rows have as many cells as the first."""
    from common.log import printable

    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _padded(cell: str, width: int) -> str:
    return cell + " " * (width - _width(cell))


def _width(text: str) -> int:
    """Columns that a terminal takes for it (Unicode Standard Annex 11)."""
    return sum(0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF") for each in text)
