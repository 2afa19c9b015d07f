"""Frames of a camera, with timestamps and sender reports, and what a track's clock makes of them."""

from __future__ import annotations

from ingest.rtp.clock import CameraClock, TrackClock
from ingest.rtp.rtcp import SenderReport

RATE = 90_000
FRAME, FRAME_NS = 3_600, 40_000_000
NOW = 1_700_000_000 * 10**9
MS = 1_000_000


def ntp(unix_ns: int) -> int:
    """A sender report's 64 bits."""
    seconds, rest = divmod(unix_ns + 2_208_988_800 * 10**9, 10**9)
    return (seconds & 0xFFFFFFFF) << 32 | (rest << 32) // 10**9 + 1


class Camera:
    """Frames at 25 a second, and what our clock makes of them."""

    def __init__(self, start: int = 1_000, clock: TrackClock | None = None, rate: int = RATE) -> None:
        self.clock = clock or TrackClock(rate, CameraClock())
        self.rate = rate
        self.start = start
        self.number = -1
        self.late_ns = 0
        self.clock_ns = 0  # what the camera's NTP clock is ahead of ours

    @property
    def raw(self) -> int:
        return self.start + self.number * FRAME_NS * self.rate // 10**9 & 0xFFFFFFFF

    @property
    def captured_ns(self) -> int:
        return NOW + self.number * FRAME_NS

    @property
    def arrival_ns(self) -> int:
        return self.captured_ns + self.late_ns

    def frame(self, raw: int | None = None) -> int:
        """The next frame comes; its extended timestamp."""
        self.number += 1
        self.timestamp = self.clock.stamp(self.raw if raw is None else raw & 0xFFFFFFFF, self.arrival_ns)
        return self.timestamp

    def capture(self) -> int:
        """The time of the last frame's capture, as the clock says, since the beginning."""
        return self.clock.capture_ns(self.timestamp, self.arrival_ns) - NOW

    def report(self, ntp_ns: int | None = None, raw: int | None = None) -> None:
        """A sender report that belongs to the last frame comes."""
        time_ns = self.captured_ns + self.clock_ns if ntp_ns is None else ntp_ns
        self.clock.reported(SenderReport(1, ntp(time_ns), self.raw if raw is None else raw), self.arrival_ns)
