"""How fast a viewer may be sent what does not come live: groups of pictures, and large keyframes on a thin path; pure.

On a local network everything goes at once: pacing would only add delay. On a thin path a burst overruns a router's
queue, so there a viewer gets packets as fast as the path carries them, or, while that is unknown, at twice the
camera's rate as WebRTC senders do. A path is thin if it was measured to be, and before that if its round trip is long;
and in any case for a while after its receiver reported loss.
"""

from __future__ import annotations

import math

from egress.path.capacity import Capacity

LOCAL_ROUND_TRIP = 0.02  # seconds: Wi-Fi and wired local networks stay below, DSL and mobile networks above
THIN_CAPACITY = 5_000_000  # bytes/s (40 Mb/s): a keyframe of 200 kB takes 40 ms
LEAST_FACTOR = 1.25  # times the camera's rate at which to catch up at least, or it would never end
LOSS = 0.01  # share of packets lost in a report that makes a path lossy
LOSSY_FOR = 30.0  # seconds that it then stays lossy
LOCAL_RATE = 12_500_000  # bytes/s (100 Mb/s): a group of pictures has to fit through a browser's socket buffer
THIN_FACTOR = 2.0  # times the camera's rate
MIN_RATE = 500_000  # bytes/s (4 Mb/s), for cameras that send little, and until a camera's rate is known
BURST = 16_000  # bytes that may go at once on a thin path: what a shallow queue takes (13 ms at 10 Mb/s)
LOCAL_BURST = 64_000  # bytes that may go at once on a local one
WINDOW = 4.0  # seconds over which a camera's rate is taken: two groups of pictures, as a rule
UNKNOWN_ROUND_TRIP = 0.1  # seconds
LEAST_PLAYOUT_DELAY, MOST_PLAYOUT_DELAY = 0.15, 0.5  # seconds, where a receiver is told one
PLAYOUT_STEP = 0.05  # seconds


def thin_rate(camera_rate: float) -> float:
    """Bytes/s to send on a thin path."""
    return max(THIN_FACTOR * camera_rate, MIN_RATE)


class Meter:
    """Measures what a camera sends: its rate, and the bursts that are more than a thin path takes at once.

    Time is the media's, so that pictures which come at once from a cache count as what they were.
    """

    __slots__ = ("_at", "_known", "_largest", "_since", "_size", "burst", "rate")

    def __init__(self) -> None:
        self.rate = 0.0  # bytes/s
        self.burst = 0.0  # bytes in a bucket that leaks at the rate of a thin path …
        self._largest = [0.0, 0.0]  # … and the most that were in it, in the window before and in this one
        self._known = False  # whether a whole window has been measured
        self._size = 0  # bytes in this window
        self._since: float | None = None
        self._at = 0.0

    def add(self, size: int, now: float) -> None:
        """``size`` bytes belong to the moment ``now``, in seconds of media time."""
        if self._since is None or not 0 <= now - self._at < WINDOW:
            self._since = self._at = now
        self.burst = max(0.0, self.burst - (now - self._at) * thin_rate(self.rate)) + size
        self._largest[1] = max(self._largest[1], self.burst)
        self._size += size
        self._at = now
        passed = now - self._since
        if passed >= WINDOW:
            current = self._size / passed
            self.rate = (self.rate + current) / 2 if self._known else current
            self._known = True
            self._size, self._since = 0, now
            self._largest = [self._largest[1], 0.0]
        elif not self._known:
            self.rate = self._size / max(passed, 1.0)

    @property
    def largest(self) -> float:
        """The largest burst of late, in bytes: a keyframe's size, as a rule."""
        return max(self._largest)


class Pace:
    """The token bucket of one viewer, and what is known of its path. All times are monotonic seconds."""

    __slots__ = ("_at", "_lossy_until", "_round_trip", "_tokens", "capacity")

    def __init__(self) -> None:
        self.capacity = Capacity()
        self._round_trip = float("inf")  # the least that was seen, as queues only add to it
        self._lossy_until = float("-inf")
        self._tokens = 0.0
        self._at: float | None = None

    def measured(self, round_trip: float) -> None:
        """A round trip time in seconds, of the handshake or a receiver report."""
        self._round_trip = min(self._round_trip, round_trip)

    def lost(self, share: float, now: float) -> None:
        """The share of packets that a receiver report says were lost since the one before."""
        if share >= LOSS:
            self._lossy_until = now + LOSSY_FOR

    def thin(self, now: float) -> bool:
        """Whether bursts are to be avoided."""
        if now < self._lossy_until:
            return True
        estimate = self.capacity.estimate
        return self._round_trip > LOCAL_ROUND_TRIP if estimate is None else estimate < THIN_CAPACITY

    def rate(self, camera_rate: float, now: float) -> float:
        """Bytes/s at which to catch up with a camera that sends ``camera_rate`` bytes/s."""
        if not self.thin(now):
            return LOCAL_RATE
        estimate = self.capacity.estimate
        if estimate is None:
            return thin_rate(camera_rate)
        return min(max(estimate, LEAST_FACTOR * camera_rate), LOCAL_RATE)

    def playout_delay(self, meter: Meter, now: float) -> float:
        """Seconds for which the receiver is to keep pictures, so that losses are repaired in time; 0: as it likes.

        A receiver learns from the arrivals of pictures how long to keep them, but leaves out those that something was
        sent again of. On a lossy path that is every keyframe, the very pictures that take long.
        """
        if now >= self._lossy_until:
            return 0.0
        round_trip = min(self._round_trip, UNKNOWN_ROUND_TRIP)
        needed = meter.largest / self.rate(meter.rate, now) + 1.5 * round_trip
        steps = math.ceil(round(min(max(LEAST_PLAYOUT_DELAY, needed), MOST_PLAYOUT_DELAY) / PLAYOUT_STEP, 3))
        return steps * PLAYOUT_STEP

    def budget(self, camera_rate: float, now: float) -> int:
        """Bytes that may be sent now."""
        rate = self.rate(camera_rate, now)
        burst = BURST if self.thin(now) else LOCAL_BURST
        self._tokens = burst if self._at is None else min(burst, self._tokens + rate * (now - self._at))
        self._at = now
        return int(self._tokens)

    def spend(self, size: int) -> None:
        """``size`` bytes were sent."""
        self._tokens -= size
