"""The RTP clock of a feed; pure."""

from __future__ import annotations

from common.media import Batch


class Timeline:
    """Maps the timestamps of successive epochs onto one RTP clock that never jumps.

    An epoch (the camera reconnected, or another worker took it over) begins with the time of its capture, counted from
    ``origin``: so what was captured at one time has nearly one timestamp in all timelines of an origin and clock rate.
    Within an epoch the timestamps are the camera's and an offset.
    """

    def __init__(self, clock_rate: int, origin: int) -> None:
        self.clock_rate = clock_rate
        self._origin = origin
        self.capture_ns = 0  # Unix time of the newest batch's capture …
        self.timestamp = origin  # … and its extended timestamp as sent
        self._epoch: int | None = None
        self._offset = 0

    def map(self, batch: Batch) -> int:
        """The 32-bit RTP timestamp to send for ``batch``."""
        if batch.epoch != self._epoch:
            begins = self._origin + batch.capture_ns * self.clock_rate // 1_000_000_000
            if self._epoch is not None:
                # At least 10 ms on: two frames with one timestamp would be one frame to a receiver.
                begins = max(begins, self.timestamp + self.clock_rate // 100)
            self._offset = begins - batch.timestamp
            self._epoch = batch.epoch
        self.timestamp = batch.timestamp + self._offset
        self.capture_ns = batch.capture_ns
        return self.timestamp & 0xFFFFFFFF

    def offset(self, epoch: int) -> int | None:
        """The difference of the extended timestamp as sent and the batch's, if ``epoch`` is the one that there is."""
        return self._offset if epoch == self._epoch else None

    def advance(self, timestamp: int, capture_ns: int) -> int:
        """Note a batch's, of the epoch that there is. Returns its extended timestamp as sent."""
        self.timestamp, self.capture_ns = timestamp + self._offset, capture_ns
        return self.timestamp

    def at(self, unix_ns: int) -> int:
        """The 32-bit RTP timestamp of a moment, for sender reports (RFC 3550 6.4.1)."""
        passed = (unix_ns - self.capture_ns) * self.clock_rate // 1_000_000_000
        return (self.timestamp + passed) & 0xFFFFFFFF
