"""The rate that a path can carry, from how trains of packets arrive (packet pair dispersion); pure.

Packets that leave back to back arrive spaced by the narrowest link on their way, so a train's size over its spread is
that link's rate, however little the camera sends. The arrival times are the viewer's transport-wide feedback on the
packets of keyframes, which are sent in trains anyway.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Mapping

MIN_TRAIN = 4  # packets: below, the feedback's resolution of 250 µs is most of what is measured
TRAINS_KEPT = 15  # the median over these is the estimate: other traffic and Wi-Fi frames blur single trains
NEWEST, FRESH = 3, 15.0  # trains, and seconds for which they say how the path is now
RESOLUTION = 250e-6  # seconds of an arrival time

Train = tuple[int, int]  # index of the first packet, and of the one after the last


class Capacity:
    """The estimate for one viewer."""

    def __init__(self) -> None:
        self._rates: deque[float] = deque(maxlen=TRAINS_KEPT)
        self._at = float("-inf")  # when the newest train had arrived

    @property
    def estimate(self) -> float | None:
        """Bytes/s, ``None`` before the first train was seen to arrive."""
        return statistics.median(self._rates) if self._rates else None

    def newest(self, now: float) -> float | None:
        """Bytes/s by the last few trains alone, ``None`` if they are old: it follows a path that becomes another."""
        return statistics.median(list(self._rates)[-NEWEST:]) if now - self._at < FRESH else None

    def add(self, trains: Iterable[Train], arrivals: Mapping[int, float], size: int, now: float) -> None:
        """Use the trains of which ``arrivals`` (index to seconds) tells enough; packets have about ``size`` bytes."""
        for first, end in trains:
            times = [arrivals[index] for index in range(first, end) if index in arrivals]
            if len(times) >= MIN_TRAIN:
                spread = max(times) - min(times)
                self._at = now
                self._rates.append((len(times) - 1) * size / max(spread, RESOLUTION))
