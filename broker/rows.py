"""Rows of a store's tables as they are in its file, in memory, so that a file that was lost can be written again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Row = tuple[Any, ...]  # its id first


class Rows:
    """The rows of each table by their ids. Changes since ``begin`` can be undone."""

    def __init__(self, tables: Iterable[str]) -> None:
        self._tables: dict[str, dict[str, Row]] = {table: {} for table in tables}
        self._undo: list[tuple[str, str, Row | None]] = []  # rows as they were before, in order

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, Row]]]:
        return iter(self._tables.items())

    def fill(self, table: str, rows: Iterable[Row]) -> None:
        """Take in what a table holds."""
        self._tables[table].update((row[0], row) for row in rows)

    def begin(self) -> None:
        """Begin a transaction."""
        self._undo = []

    def change(self, table: str, id: str, row: Row | None) -> None:
        """Put a row, or take it away (``None``)."""
        self._undo.append((table, id, self._tables[table].get(id)))
        self._set(table, id, row)

    def undo(self) -> None:
        """Have everything as it was when the transaction began."""
        for table, id, row in reversed(self._undo):
            self._set(table, id, row)

    def _set(self, table: str, id: str, row: Row | None) -> None:
        if row is None:
            self._tables[table].pop(id, None)
        else:
            self._tables[table][id] = row
