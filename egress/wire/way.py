"""Carriers of a viewer's datagrams, as far as ICE and DTLS need to know; pure.

``egress.wire.port`` has UDP, ``egress.wire.tcp`` has connections.
"""

from __future__ import annotations

from typing import Protocol

from egress.media.target import Target
from egress.wire.ice import Path

# The first byte of a datagram, RFC 7983 7.
STUN, DTLS, RTP = range(4), range(20, 64), range(128, 192)


class Way(Target, Protocol):
    """A target, and the path that leads to it."""

    path: Path

    def settle(self) -> None:
        """Get ready for much to be sent; to be called before that."""

    def send(self, datagram: bytes | memoryview) -> bool:
        """Send one datagram. ``False`` if the buffer is full; any other failure is counted and lost."""


class Carrier(Protocol):
    """The socket, or its like, that a datagram came by and that can carry an answer."""

    def way(self, path: Path) -> Way:
        """The way to the other end of ``path``."""
