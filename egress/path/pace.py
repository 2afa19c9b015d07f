"""How much one viewer may be sent now of what does not come live, so that no burst overruns its path; pure."""

from __future__ import annotations

from common.bucket import TokenBucket
from egress.path.quality import PathQuality

BURST = 16_000  # bytes that may go at once on a thin path: what a shallow queue takes (13 ms at 10 Mb/s)
LOCAL_BURST = 64_000  # bytes that may go at once on a local one


class Pace:
    """A bucket of bytes that fills as fast as the path of that ``quality`` carries them."""

    __slots__ = ("_bucket", "quality")

    def __init__(self, quality: PathQuality) -> None:
        self.quality = quality
        self._bucket = TokenBucket(LOCAL_BURST, 0.0)

    def budget(self, camera_rate: float, now: float) -> int:
        """Bytes that may be sent now, in monotonic seconds, of a camera that sends ``camera_rate`` bytes/s."""
        self._bucket.rate = self.quality.rate(camera_rate, now)
        self._bucket.burst = BURST if self.quality.thin(now) else LOCAL_BURST
        return int(self._bucket.fill(now))

    def hold(self, size: int, now: float) -> None:
        """``size`` bytes are still on their way: send nothing until they can have arrived."""
        self._bucket.spend(self._bucket.fill(now) + size)

    def release(self) -> None:
        """Owe nothing any more: all of it has arrived."""
        self._bucket.spend(min(0.0, self._bucket.left))

    def spend(self, size: int) -> None:
        """``size`` bytes were sent."""
        self._bucket.spend(size)
