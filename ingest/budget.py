"""One camera's share of its process: bytes, packets, batches, a processor's time; no I/O, time is an argument.

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
MAX_BUSY = 0.5  # part of one processor; 60 Mbit/s take 0.04 here, and a small board is five times slower
PATIENCE = 10.0  # seconds over budget until a camera is given up
FORGIVEN = 1.0  # seconds without being slowed after which that begins anew
LEAST_WAIT = 0.02  # seconds that a camera is not read, at least
LEAST_BURST = 4 << 20  # bytes that may come at once however low the bitrate: a keyframe at most, after a quiet scene
LOOK_BYTES = 256 << 10  # after so many bytes ``wait`` is to be asked, or earlier where the bitrate is low …
LOOKS = 20  # … namely so many times a second at that rate

_NS = 1e-9


@dataclass(slots=True)
class _Bucket:
    rate: float  # a second
    complaint: str  # what a camera does that stays over it
    most: float  # that may be in it
    level: float = 0.0

    @property
    def wait(self) -> float:
        """Seconds until it is not too full any more."""
        return max(self.level - self.most, 0.0) / self.rate


class Budget:
    """The budget of one camera; ``bitrate`` is what it may send for long, in Mbit/s; ``busy`` is of one processor."""

    def __init__(self, bitrate: int, now: float, cpu: float, *, busy: float = MAX_BUSY) -> None:
        rate = bitrate * 1e6 / 8
        self._bytes = _Bucket(
            rate,
            f"the camera sends more than the {bitrate} Mbit/s that limits.camera_bitrate allows",
            max(rate * BURST, LEAST_BURST),
        )
        self._packets, self._batches, self._busy = (
            _Bucket(rate, complaint, rate * BURST)
            for rate, complaint in (
                (MAX_PACKETS, f"the camera sends more than {MAX_PACKETS} packets a second"),
                (MAX_BATCHES, f"the camera sends more than {MAX_BATCHES} pictures or pieces of sound a second"),
                (busy, f"what the camera sends takes more than {busy:.0%} of a processor to read"),
            )
        )
        self._buckets = (self._bytes, self._packets, self._batches, self._busy)
        self.look_bytes = int(min(LOOK_BYTES, rate / LOOKS))
        """Bytes after which ``wait`` is to be asked; besides that it is a few times a second."""
        self._passed_ns = 0  # while the camera was served, since ``wait`` was asked
        self._looked_at, self._cpu = now, cpu
        self._wait = 0.0  # seconds, as last asked
        self._over_since: float | None = None
        self._slow_until = 0.0

    def spend(self, size: int, packets: int, batches: int, passed_ns: int) -> None:
        """Count what serving the camera took."""
        self._bytes.level += size
        self._packets.level += packets
        self._batches.level += batches
        self._passed_ns += passed_ns

    def wait(self, now: float, cpu: float) -> float:
        """Seconds for which not to read; 0 to go on. ``cpu`` is what the process has taken so far, in seconds."""
        passed = max(now - self._looked_at, 0.0)
        self._busy.level += max(min(self._passed_ns * _NS, cpu - self._cpu), 0.0)
        self._passed_ns = 0
        self._looked_at, self._cpu = now, cpu
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
