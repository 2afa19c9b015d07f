"""How much a viewer may be sent again of what it was sent, relative to what the camera sends; pure.

A NACK of a few bytes asks for kilobytes and a picture loss indication for a group of pictures (RFC 4585 3.3: feedback
must not make congestion worse; 5 on what an attacker can ask for). What an honest viewer loses is a part of what it
gets. So what is sent again is counted in bytes, and grows with the camera's rate and not with the requests.
"""

from __future__ import annotations

LEAST_RATE = 50_000  # bytes/s taken as a camera's rate until it is known, or if it is less
PACKETS_SHARE = 0.5  # of the rate for single packets: a fifth of everything, twice on a lossy path, and some more
PACKETS_BURST = 2.0  # seconds of the camera at once: what is lost when a phone changes its cell
PICTURES_SHARE = 1.0  # of the rate for whole groups of pictures; the first that is asked for is sent in any case


class RepeatBudget:
    """Bounds what one viewer is sent again of one track."""

    __slots__ = ("_at", "_packets", "_pictures")

    def __init__(self) -> None:
        self._packets = self._pictures = 0.0  # bytes sent again that are not made up for by what came since
        self._at = 0.0

    def allow_packet(self, size: int, rate: float, now: float) -> bool:
        """Whether a packet of ``size`` bytes may be sent again; it is then counted. ``rate`` is bytes/s."""
        rate = self._pass(rate, now)
        if self._packets + size > PACKETS_BURST * rate:
            return False
        self._packets += size
        return True

    def allow_pictures(self, size: int, rate: float, now: float) -> bool:
        """Whether a group of pictures of ``size`` bytes may be sent again; it is then counted. ``rate`` is bytes/s."""
        self._pass(rate, now)
        if self._pictures > 0:
            return False
        self._pictures += size
        return True

    def _pass(self, rate: float, now: float) -> float:
        rate = max(rate, LEAST_RATE)
        passed, self._at = max(0.0, now - self._at), max(now, self._at)
        self._packets = max(0.0, self._packets - passed * rate * PACKETS_SHARE)
        self._pictures = max(0.0, self._pictures - passed * rate * PICTURES_SHARE)
        return rate
