"""Slices of work that wait for their turn, which comes when a test says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from egress.media import outbox


class Slices:
    """Takes the place of the event loop; a slice has as many datagrams as ``size`` says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        monkeypatch.setattr(outbox, "SLICE", size)
        self.waiting: list[Callable[[], None]] = []

    def turn(self) -> None:
        """Do what waits; there is one."""
        [work] = self.waiting
        self.waiting.clear()
        work()

    def rest(self) -> None:
        """Do all that is left."""
        while self.waiting:
            self.turn()
