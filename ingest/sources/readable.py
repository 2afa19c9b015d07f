"""A body as those read it who make something else of it, whatever it comes from; no I/O."""

from __future__ import annotations

from typing import Protocol


class Readable(Protocol):
    """Bytes that are read as they come, and never back; ``ingest.sources.http.Body`` is one."""

    def read(self, size: int) -> bytes:
        """At least a byte, and at most ``size``; nothing at the end. Raises ``CameraError``."""

    def close(self) -> None:
        """Hang up."""
