"""A logger that remembers what it was told, whatever other tests have made of structlog."""

from __future__ import annotations

from typing import Any


class Recorder:
    """In the place of a module's ``log``."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        """Remember a line; all levels are the same here."""
        self.lines.append((event, fields))

    debug = warning = error = exception = info

    def of(self, event: str) -> list[dict[str, Any]]:
        """The fields of each line with this text."""
        return [fields for text, fields in self.lines if text == event]
