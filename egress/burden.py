"""Whether this process has time for another viewer: how busy its thread was lately, and how late its timers came; pure.

A viewer costs by what its camera sends, so no number of viewers is right for all. A thread that is busy all the time
sends everybody's pictures late. Some seconds count: many who join at once keep it busy for a moment, and that costs
nobody a picture.

On a machine that others use as well a thread waits for a core each time that it has something to do. What counts is
whether it had any time left, so what it waited is taken out: one that wants a whole core and gets half of one is busy
all the time, and one that has little to do, and does it a few milliseconds later, is not.
"""

from __future__ import annotations

from collections import deque

WINDOW = 50  # looks: five seconds, or twenty-five while a few watch who have settled (``egress.sweeps``)
LATE = 0.5  # seconds that timers are late, as a mean: the machine has no time for us, though we use little of it
MOST_LATE = 2.0  # seconds that one of them counts: a process that was stopped once has time again
SKIPPED = 3  # times in these seconds that all viewers of a stream missed pictures: that is no moment's rush
AGAIN = 0.1  # share by which it has to fall before there is room again, or viewers would come and go with each keyframe


class Burden:
    """``used`` are seconds of a core that the thread has used so far, ``waited`` those for which it could have used one
    and got none; ``now`` is in monotonic seconds."""

    def __init__(self, used: float, waited: float, now: float) -> None:
        self._looks: deque[tuple[float, float, float, float]] = deque([(used, waited, now, 0.0)], maxlen=WINDOW + 1)
        self._skips: deque[int] = deque([0], maxlen=WINDOW + 1)
        self._over = False

    def look(self, used: float, waited: float, now: float, *, late: float, most: float, skips: int = 0) -> None:
        """Take in how things are, ``late`` seconds after that was to be done. ``most``: share of a core; 0 is any.

        ``skips`` is how often it has had to skip pictures so far, as it was too slow for all viewers of a stream.
        """
        self._looks.append((used, waited, now, min(late, MOST_LATE)))
        self._skips.append(skips)
        self._over = bool(most) and len(self._looks) > WINDOW and self._exceeds(most - AGAIN * self._over)

    @property
    def share(self) -> float:
        """Share of the last seconds that it was busy, of those in which it did not wait for a core."""
        (first, waited, since, _), (last, waits, until, _) = self._looks[0], self._looks[-1]
        given = max(last - first, until - since - (waits - waited))  # the kernel counts a wait when it is over
        return (last - first) / given if given > 0.0 else 0.0

    @property
    def seconds(self) -> float:
        """How long these last seconds are."""
        return self._looks[-1][2] - self._looks[0][2]

    @property
    def late(self) -> float:
        """Seconds that timers were late in the last seconds, as a mean."""
        return sum(late for *_, late in self._looks) / len(self._looks)

    @property
    def skipped(self) -> int:
        """How often it skipped pictures in the last seconds."""
        return self._skips[-1] - self._skips[0]

    @property
    def over(self) -> bool:
        """Whether one more viewer would be at the cost of those that there are."""
        return self._over

    def _exceeds(self, most: float) -> bool:
        return self.share >= most or self.late >= LATE or self.skipped >= SKIPPED
