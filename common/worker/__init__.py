"""The parts of a worker of any kind: membership in the cluster, the link to the broker, both ends of the media bus.

The broker is no worker and uses none of it.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, runtime_checkable

from common.control import Report, ToWorker


class Worker(Protocol):
    """A worker of any kind has these methods; all else about a worker's process is ``common.worker.process``."""

    def handle(self, message: ToWorker) -> None:
        """Do what the broker says."""

    def report(self, base: Report) -> Report:
        """Complete a report, in which the rest is set already, with everything that this worker is and does."""

    @property
    def drained(self) -> bool:
        """Whether nothing is left that somebody would miss. Asked while it drains, and takes nothing new."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, and end in good order: the broker is told that it is over when this returns."""


@runtime_checkable
class HandsOver(Protocol):
    """A worker that may have a successor beside it, on the same machine and of the same name."""

    @property
    def has_heir(self) -> bool:
        """Whether the successor is ready."""

    async def hand_over(self) -> bool:
        """Give everything to the successor, if one is ready. Whether that has it now, so that nothing is left to do."""
