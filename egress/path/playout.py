"""How long a receiver is asked to keep pictures before it shows them, on a path that loses some; pure.

It is the playout delay extension of WebRTC (``rtp-hdrext/playout-delay``): the least and the most, for what comes from
now on. How long that has to be ``PathQuality.playout_delay`` knows.
"""

from __future__ import annotations

RETRACTION = 300  # packets that tell a receiver that it need not keep pictures longer any more
MOST = 1_000  # units of 10 ms: Chromium's own


def element(extension: int, least: float) -> bytes:
    """The header extension's element (RFC 8285 4.2) for at least so many seconds; 0: as the receiver likes."""
    return (extension << 28 | 2 << 24 | round(least * 100) << 12 | MOST).to_bytes(4, "big")


class Playout:
    """The delay that one receiver is told. ``extension`` is the id of the extension, 0 where it does not know that."""

    __slots__ = ("_extension", "_seconds", "_told", "element")

    def __init__(self, extension: int) -> None:
        self.element = b""  # in each packet; empty: none
        self._extension = extension
        self._seconds = 0.0
        self._told = 0  # packets that were sent when it was last told to keep pictures

    def update(self, needed: float, sent: int) -> bool:
        """Pictures are to be kept for ``needed`` seconds, and so many packets were sent. ``True`` for a new element."""
        before = self.element
        if needed and self._extension:
            self._seconds = max(needed, self._seconds)  # while packets are lost it only grows
            self._told = sent
            self.element = element(self._extension, self._seconds)
        elif before:
            self._seconds = 0.0
            self.element = element(self._extension, 0.0) if sent - self._told < RETRACTION else b""
        return self.element != before

    def forget(self) -> None:
        """Tell nothing any more, and begin anew."""
        self.element, self._seconds = b"", 0.0
