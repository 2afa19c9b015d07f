"""Whether this process has time for another viewer: how busy its thread was lately, and how late its timers came; pure.

A viewer costs by what its camera sends, so no number of viewers is right for all. A thread that is busy all the time
sends everybody's pictures late. Some seconds count: many who join at once keep it busy for a moment, and that costs
nobody a picture.
"""

from __future__ import annotations

from collections import deque

WINDOW = 50  # looks: five seconds of an egress that has time
LATE = 0.5  # seconds that timers are late, as a mean: the machine has no time for us, though we use little of it
MOST_LATE = 2.0  # seconds that one of them counts: a process that was stopped once has time again
AGAIN = 0.1  # share by which it has to fall before there is room again, or viewers would come and go with each keyframe


class Burden:
    """``used`` are seconds of a core that the thread has used so far; ``now`` is in monotonic seconds."""

    def __init__(self, used: float, now: float) -> None:
        self._looks: deque[tuple[float, float, float]] = deque([(used, now, 0.0)], maxlen=WINDOW + 1)
        self._over = False

    def look(self, used: float, now: float, *, late: float, most: float) -> None:
        """Take in how things are, ``late`` seconds after that was to be done. ``most``: share of a core; 0 is any."""
        self._looks.append((used, now, min(late, MOST_LATE)))
        self._over = bool(most) and len(self._looks) > WINDOW and self._exceeds(most - AGAIN * self._over)

    @property
    def share(self) -> float:
        """Share of a core that it used in the last seconds."""
        (first, since, _), (last, until, _) = self._looks[0], self._looks[-1]
        return (last - first) / (until - since) if until > since else 0.0

    @property
    def seconds(self) -> float:
        """How long these last seconds are."""
        return self._looks[-1][1] - self._looks[0][1]

    @property
    def late(self) -> float:
        """Seconds that timers were late in the last seconds, as a mean."""
        return sum(late for _, _, late in self._looks) / len(self._looks)

    @property
    def over(self) -> bool:
        """Whether one more viewer would be at the cost of those that there are."""
        return self._over

    def _exceeds(self, most: float) -> bool:
        return self.share >= most or self.late >= LATE
