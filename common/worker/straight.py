"""The way of one rendition straight to the only subscriber that takes it, which is near by and gets it unsealed.

A batch that goes by it was encoded, and its frame written, before it came here. ``Publisher`` ends a way as soon as
anything about it changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from common.media import Batch


class Books(Protocol):
    """Keeps note of what was sent by a way, and is not entered yet (``ingest.rtsp.express``)."""

    def end(self) -> None:
        """Enter it, and send nothing more by this way: it is over, or somebody looks at what is kept."""


class Straight:
    """``send`` and ``keep`` are the publisher's."""

    __slots__ = ("keep", "send", "topic")

    def __init__(
        self, topic: bytes, send: Callable[[memoryview], object], keep: Callable[[Batch, bytes], object]
    ) -> None:
        self.topic = topic
        self.send = send  # a frame behind its length, as ``Pipe`` has it; it stays as it is only for this call
        self.keep = keep  # what was sent, for those who join; of the batch the payloads do not count
