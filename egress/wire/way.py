"""What carries a viewer's datagrams, as far as ICE and DTLS need to know; pure. ``egress.wire.port`` has UDP."""

from __future__ import annotations

from typing import Protocol

from egress.media.target import Target
from egress.wire.ice import Path


class Way(Target, Protocol):
    """A target, and the path that leads to it."""

    path: Path

    def settle(self) -> None:
        """To be called before much is sent."""

    def send(self, datagram: bytes | memoryview) -> bool:
        """Send one datagram. ``False`` if the buffer is full; any other failure is counted and lost."""


class Carrier(Protocol):
    """What a datagram came by, and an answer can go by."""

    def way(self, path: Path) -> Way:
        """The way to the other end of ``path``."""
