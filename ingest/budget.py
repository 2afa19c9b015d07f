"""What one camera may take of its process: bytes, packets, batches, a processor's time; no I/O, time is an argument.

A camera that takes more is read more slowly, so that it takes no more than this in the end. One that stays over it is
given up: what it sends then is no live picture any more, and what comes over UDP is lost.

Each of the four is a bucket that empties at its rate and may be filled by ``BURST`` seconds of it at once. Time of a
processor is known only for the whole process; the time that passed while the camera was served is the other bound.
"""

from __future__ import annotations

from dataclasses import dataclass

BURST = 1.0  # seconds of each rate that may come at once: a camera that stood still has much to send
MAX_PACKETS = 50_000  # a second; a camera at 200 Mbit/s sends 18,000
MAX_BATCHES = 2_000  # a second: each costs a message on the bus, and every viewer a call; a camera has some 150
MAX_BUSY = 0.25  # part of one processor; a 4K camera takes 0.02 here
PATIENCE = 10.0  # seconds over budget until a camera is given up
FORGIVEN = 1.0  # seconds without being slowed after which that begins anew
LEAST_WAIT = 0.02  # seconds that a camera is not read, at least

_NS = 1e-9


@dataclass(slots=True)
class _Bucket:
    rate: float  # a second
    complaint: str  # what a camera does that stays over it
    level: float = 0.0

    @property
    def wait(self) -> float:
        """Seconds until it is not too full any more."""
        return max(self.level - self.rate * BURST, 0.0) / self.rate


class Budget:
    """One camera's; ``bitrate`` is what it may send for long, in Mbit/s."""

    def __init__(self, bitrate: int, now: float, cpu: float) -> None:
        rates = (
            (bitrate * 1e6 / 8, f"it sends more than the {bitrate} Mbit/s that limits.camera_bitrate allows"),
            (MAX_PACKETS, f"it sends more than {MAX_PACKETS} packets a second"),
            (MAX_BATCHES, f"it sends more than {MAX_BATCHES} pictures or pieces of sound a second"),
            (MAX_BUSY, f"what it sends takes more than {MAX_BUSY:.0%} of a processor to read"),
        )
        self._buckets = [_Bucket(*each) for each in rates]
        self._bytes, self._packets, self._batches, self._busy = self._buckets
        self._most_bytes = self._bytes.rate * BURST  # looked at for every read
        self._passed_ns = 0  # while the camera was served, since the last settlement
        self._settled_at, self._cpu = now, cpu
        self._wait = 0.0  # seconds, as last asked
        self._over_since: float | None = None
        self._slow_until = 0.0

    def spend(self, size: int, packets: int, batches: int, passed_ns: int) -> bool:
        """The camera was served. Whether it may have taken too much: then ``wait`` knows."""
        self._bytes.level += size
        self._packets.level += packets
        self._batches.level += batches
        self._passed_ns += passed_ns
        return (
            self._bytes.level > self._most_bytes
            or self._packets.level > MAX_PACKETS * BURST
            or self._batches.level > MAX_BATCHES * BURST
            or self._busy.level + self._passed_ns * _NS > MAX_BUSY * BURST
        )

    def wait(self, now: float, cpu: float) -> float:
        """Seconds for which not to read; 0 to go on. ``cpu`` is what the process has taken so far, in seconds."""
        self._busy.level += max(min(self._passed_ns * _NS, cpu - self._cpu), 0.0)
        passed = max(now - self._settled_at, 0.0)
        self._passed_ns, self._settled_at, self._cpu = 0, now, cpu
        for bucket in self._buckets:
            bucket.level = max(bucket.level - bucket.rate * passed, 0.0)
        self._wait = max(bucket.wait for bucket in self._buckets)
        if self._wait:
            self._wait = max(self._wait, LEAST_WAIT)
            if self._over_since is None or now - self._slow_until > FORGIVEN:
                self._over_since = now
            self._slow_until = now + self._wait
        return self._wait

    def complaint(self, now: float) -> str:
        """Why the camera that was just told to ``wait`` is to be given up; empty as long as it is not."""
        if not self._wait or self._over_since is None or now - self._over_since < PATIENCE:
            return ""
        return max(self._buckets, key=lambda bucket: bucket.wait).complaint
