"""The way of one rendition straight to the only subscriber that takes it, which is near by and gets it unsealed.

A batch that goes by it was encoded, and its frame written, before it came here. ``Publisher`` ends a way as soon as
anything about it changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from common.media import Batch
from common.worker.neighbours import Neighbour


class Books(Protocol):
    """Keeps note of what was sent by a way, and is not entered yet (``ingest.rtsp.express``)."""

    def end(self) -> None:
        """Enter it, and send nothing more by this way: it is over, or somebody looks at what is kept."""


class Straight:
    """``send`` and ``keep`` are the publisher's."""

    __slots__ = ("_keep", "_neighbour", "_send", "topic")

    def __init__(
        self,
        topic: bytes,
        neighbour: Neighbour,
        send: Callable[[Neighbour, memoryview], object],
        keep: Callable[[Batch, bytes], object],
    ) -> None:
        self.topic = topic
        self._neighbour, self._send, self._keep = neighbour, send, keep

    def send(self, frame: memoryview) -> None:
        """Send a frame behind its length, as ``Pipe`` has it; only for this call the frame stays as it is."""
        self._send(self._neighbour, frame)

    def keep(self, batch: Batch, encoded: bytes) -> None:
        """Keep what was sent for those who join; of ``batch`` the payloads do not count."""
        self._keep(batch, encoded)
