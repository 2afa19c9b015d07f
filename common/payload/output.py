"""The way out of every payload format: payloads are collected, cut into batches, numbered and stamped; no I/O.

A batch is one access unit, or the part of one that arrived within ``GATHER_NS``. A whole unit costs each viewer one
system call; sent in the parts that sockets happen to deliver, it would cost several. This delays no picture, because
the end of a unit never waits. Sequence numbers are assigned when a batch is cut, so whatever is discarded before that
leaves no gap.
"""

from __future__ import annotations

from typing import Protocol

from common.media import MAX_PAYLOAD, Batch, Flags, Kind, begin_of_batch

VIDEO_RATE = 90_000  # Hz, of every picture that travels
STILL = 8  # units with one timestamp in a row, which no encoder's B-frames are
GATHER_NS = 4_000_000  # how long the beginning of an access unit waits for the rest, on a busy machine or a slow link


class CaptureClock(Protocol):
    """Tells when the camera captured the media with a given timestamp."""

    def capture_ns(self, timestamp: int, arrival_ns: int) -> int:
        """Unix time in nanoseconds, never after ``arrival_ns``."""


class Output:
    """Batches of one track, whose timestamps count at ``rate`` (Hz).

    The payload formats' hot path appends to ``payloads`` directly.
    """

    def __init__(self, kind: Kind, codec: str, clock: CaptureClock, epoch: int, rate: int = VIDEO_RATE) -> None:
        self.payloads: list[bytes] = []  # of the batch that is not cut yet
        self.arrival_ns = 0  # of the batch that is not cut yet; its first packet's
        self.flags = 0
        self.epoch = epoch
        self._kind, self._codec = kind.value, codec
        self._clock, self._rate = clock, rate
        self._batches: list[Batch] = []
        self._sequence = 0
        self._timestamp = -1
        self._capture_ns = 0
        self._still = -1, 0, 0  # timestamp that was not later than the one before, arrival of its unit, units in a row

    def begin(self, timestamp: int, arrival_ns: int, flags: int = 0) -> None:
        """Start an access unit. Its timestamp is moved if it would not be later than the previous one."""
        self.cut()
        if timestamp <= self._timestamp:  # receivers take packets of one timestamp for one picture
            timestamp = self._later(timestamp, arrival_ns)
        self._timestamp = timestamp
        self._capture_ns = self._clock.capture_ns(timestamp, arrival_ns)
        self.arrival_ns = arrival_ns
        self.flags = flags

    def cut(self, flags: int = 0) -> None:
        """Make a batch of the payloads so far, if there are any."""
        payloads = self.payloads
        if not payloads:
            return
        self._batches.append(
            Batch(
                self._kind,
                self._codec,
                self.epoch,
                self._sequence,
                self._timestamp,
                self._capture_ns,
                self.arrival_ns,
                self.flags | flags,
                payloads,
            )
        )
        self._sequence += len(payloads)
        self.payloads = []
        self.flags = 0

    def send(self, payload: bytes, timestamp: int, arrival_ns: int) -> None:
        """Send one packet that is an access unit by itself: audio."""
        self.send_unit([payload], timestamp, arrival_ns)

    def send_unit(self, payloads: list[bytes], timestamp: int, arrival_ns: int, flags: int = 0) -> None:
        """Send a whole access unit: ``begin``, all of its payloads and ``cut`` in one call instead of three."""
        if self.payloads:
            self.cut()
        if timestamp <= self._timestamp:
            timestamp = self._later(timestamp, arrival_ns)
        self._timestamp = timestamp
        self._capture_ns = capture_ns = self._clock.capture_ns(timestamp, arrival_ns)
        self.arrival_ns = arrival_ns
        self.flags = 0
        if payloads:
            kind, codec, epoch, sequence = self._kind, self._codec, self.epoch, self._sequence
            flags |= _UNIT_END
            batch = (kind, codec, epoch, sequence, timestamp, capture_ns, arrival_ns, flags, payloads)
            self._batches.append(Batch._make(batch))
            self._sequence = sequence + len(payloads)

    def due(self, timestamp: int) -> tuple[int, bytes] | None:
        """The number of the next whole unit, and how its encoded batch begins, if it goes out as what comes after
        ``timestamp``; ``None`` if not."""
        if self.payloads or self._batches or self._timestamp > timestamp:
            return None
        return self._sequence, begin_of_batch(self._kind, self._codec, self.epoch)

    def _later(self, timestamp: int, arrival_ns: int) -> int:
        """The timestamp to give out for one that is not later than the last. One that stands still is no clock: then
        what comes has the time at which it comes."""
        last, last_ns, repeats = self._still
        repeats = repeats + 1 if timestamp == last else 0
        self._still = timestamp, arrival_ns, repeats
        passed = (arrival_ns - last_ns) * self._rate // 10**9 if repeats >= STILL else 1
        return self._timestamp + max(passed, 1)

    def discard(self) -> None:
        """Forget the payloads that are in no batch yet."""
        self.payloads = []
        self.flags = 0

    def renew(self, epoch: int) -> None:
        """Start a new epoch; what is in no batch yet is discarded."""
        self.discard()
        self.epoch = epoch
        self._sequence = 0

    @property
    def deadline_ns(self) -> int | None:
        """When ``take`` has to be called, in Unix time."""
        return self.arrival_ns + GATHER_NS if self.payloads else None

    def take(self, now_ns: int) -> list[Batch]:
        """Return everything since the last call, except the start of a unit that has waited less than ``GATHER_NS``."""
        if self.payloads and now_ns >= self.arrival_ns + GATHER_NS:
            self.cut()
        batches = self._batches
        if batches:
            self._batches = []
        return batches


def pieces(data: bytes, size: int = MAX_PAYLOAD) -> list[bytes]:
    """Cut ``data`` into pieces of ``size`` bytes, the last one smaller: segmentation offload needs equal sizes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


_UNIT_END = int(Flags.UNIT_END)
