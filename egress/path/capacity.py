"""The rate that a path can carry, from how trains of packets arrive (packet pair dispersion); pure.

Packets that leave back to back arrive spaced by the narrowest link on their way, so a train's size over its spread is
that link's rate, however little the camera sends. The arrival times are the viewer's transport-wide feedback on the
packets of keyframes, which are sent in trains anyway. Trains of single pictures are short: they tell how the path is
now, and do not count for what it is on the whole.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Mapping

MIN_TRAIN = 4  # packets: below, the feedback's resolution of 250 µs is most of what is measured
TRAINS_KEPT = 15  # the median over these is the estimate: other traffic and Wi-Fi frames blur single trains
NEWEST, FRESH = 3, 15.0  # trains, and seconds for which they say how the path is now
NARROW_FOR = 2.0  # seconds for which a path is taken to carry no more than the newest train
RESOLUTION = 250e-6  # seconds of an arrival time

Train = tuple[int, int]  # index of the first packet, and of the one after the last


class Capacity:
    """The estimate for one viewer."""

    def __init__(self) -> None:
        self._rates: deque[float] = deque(maxlen=TRAINS_KEPT)
        self._newest: deque[float] = deque(maxlen=NEWEST)  # the same, with short trains
        self._at = float("-inf")  # when the newest train had arrived

    @property
    def estimate(self) -> float | None:
        """Bytes/s, ``None`` before the first train was seen to arrive."""
        return statistics.median(self._rates) if self._rates else None

    def newest(self, now: float) -> float | None:
        """Bytes/s by the last few trains alone, ``None`` if they are old: it follows a path that becomes another."""
        return statistics.median(self._newest) if self._newest and now - self._at < FRESH else None

    def narrow(self, rate: float, now: float) -> float | None:
        """Bytes/s of the newest train, if that was slower than ``rate``; ``None``: no, or not known."""
        if now - self._at >= NARROW_FOR or not self._newest or self._newest[-1] >= rate:
            return None
        return self._newest[-1]

    def believe(self) -> None:
        """Believe the newest train, though others before it said otherwise: there are more signs."""
        while len(self._newest) > 1:
            self._newest.popleft()

    def add(
        self, trains: Iterable[Train], arrivals: Mapping[int, float], size: int, now: float, *, lasting: bool = True
    ) -> None:
        """Use the trains of which ``arrivals`` (index to seconds) tells enough; packets have about ``size`` bytes."""
        for first, end in trains:
            times = [arrivals[index] for index in range(first, end) if index in arrivals]
            if len(times) >= MIN_TRAIN:
                spread = max(times) - min(times)
                self._at = now
                rate = (len(times) - 1) * size / max(spread, RESOLUTION)
                self._newest.append(rate)
                if lasting:
                    self._rates.append(rate)
