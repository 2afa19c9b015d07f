"""The packets of one track as this process sends them: one history per track, shared by all its viewers.

Every packet gets an index that grows by one and never has gaps. A viewer's sequence number is this index minus the base
of its lane. The history answers NACKs, lets viewers that are behind catch up, and holds the group of pictures with
which new viewers start.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Sequence
from functools import partial
from itertools import repeat
from typing import NamedTuple
from weakref import WeakSet

from common.config_limits import LimitsConfig
from common.media import MAX_GOP_BYTES

KEEP_TIME = 2.0  # seconds for which packets are kept for NACK though older than the last keyframe …
KEEP_PACKETS = 2_048  # … and how many of them: some 4 s at 5 Mb/s
LOOK_TIME = 0.5  # seconds between looks at what is too old
KEEP_BYTES = MAX_GOP_BYTES + (4 << 20)  # with PACKET_BYTES for each: a group of pictures that ingest keeps has room
PACKET_BYTES = 200  # that a packet takes beside its payload, so that no number of tiny ones takes more memory


NOBODY, ALL, WATCHED = range(3)
"""The probes: who gets a transport-wide sequence number with a packet, of the viewers that accept one. All get it with
keyframes, those whose path is watched with other pictures, too."""


class Packet(NamedTuple):
    """One RTP packet, without the parts that differ between viewers."""

    payload: bytes
    timestamp: int  # 32 bits, as sent to every viewer
    marker: int  # 0x80 or 0, ready to be combined with the payload type
    probe: int = NOBODY  # or ALL, or WATCHED


_packet = partial(tuple.__new__, Packet)  # of its fields


class Unit(NamedTuple):
    """The packets of one batch: they differ in their payloads, and in the marker, which only the last one may have.

    This is what is kept. Packets are made of it for those who ask, which are few: eight objects less a picture.
    """

    payloads: Sequence[bytes]  # as they came: see ``common.media.Batch``
    timestamp: int
    marker: int  # of the last
    probe: int  # of all
    size: int  # bytes of all payloads

    @property
    def packets(self) -> list[Packet]:
        """All of them."""
        return self.span(0, len(self.payloads))

    def span(self, start: int, stop: int) -> list[Packet]:
        """The unit's packets from place ``start`` to before ``stop``."""
        payloads = self.payloads[start:stop]
        # Made by C alone: 0.1 µs each and not 0.4, as a viewer that joins gets five hundred.
        packets = [*map(_packet, zip(payloads, repeat(self.timestamp), repeat(0), repeat(self.probe)))]
        if packets and stop == len(self.payloads):
            packets[-1] = packets[-1]._replace(marker=self.marker)
        return packets

    def packet(self, at: int) -> Packet:
        """The one at that place."""
        payloads = self.payloads
        return Packet(payloads[at], self.timestamp, self.marker if at == len(payloads) - 1 else 0, self.probe)


Span = tuple[Unit, int, int]
"""Packets of a unit, from one place to before another; both are places that it has."""


class Histories:
    """All histories of a process. Together they hold ``most`` bytes; the largest gives way first."""

    def __init__(self, most: int = LimitsConfig().cache_bytes) -> None:
        self.counters: Counter[str] = Counter()
        self._most = most
        self._held = 0  # bytes at the last count, and what was added since
        self._all: WeakSet[History] = WeakSet()

    def add(self, history: History) -> None:
        """Count that one in, for as long as it lives."""
        self._all.add(history)

    def limit(self, most: int) -> None:
        """Hold so many bytes at most from now on."""
        self._most = most
        self._relieve()

    def charge(self, count: int) -> None:
        """Count ``count`` bytes more that one of the histories holds."""
        self._held += count
        if self._held > self._most:
            self._relieve()

    def _relieve(self) -> None:
        while (held := sum(history.size for history in self._all)) > self._most:
            max(self._all, key=lambda history: history.size).halve()
            self.counters["histories_cut"] += 1
        self._held = held


class History:
    """A window on the newest packets: at least the last group of pictures if it is within KEEP_BYTES."""

    def __init__(self, histories: Histories | None = None) -> None:
        self.end = 0  # index that the next packet will get
        self.keyframe: int | None = None  # index at which a decoder can start, while it is still here
        self.size = 0  # bytes held
        self._start = 0
        self._units: list[Unit] = []
        self._firsts: list[int] = []  # index of each one's first packet
        self._marks: deque[tuple[float, int]] = deque([(float("-inf"), 0)])  # times, and the ends then
        self._histories = histories or Histories()
        self._histories.add(self)

    @property
    def start(self) -> int:
        """Index of the oldest packet held."""
        return self._start

    def append(self, unit: Unit, now: float, *, keyframe: bool) -> int:
        """Add packets and return the index of the first. ``now`` never goes back."""
        first = self.end
        if keyframe:
            self.keyframe = first
        self._units.append(unit)
        self._firsts.append(first)
        packets = len(unit.payloads)
        self.end += packets
        size = unit.size + PACKET_BYTES * packets
        self.size += size
        if now - self._marks[-1][0] >= LOOK_TIME:
            self._look(now)
        elif self.end - self._start > 2 * KEEP_PACKETS or self.size > 2 * KEEP_BYTES:
            self._trim(KEEP_BYTES)
        self._histories.charge(size)
        return first

    def halve(self) -> None:
        """Give up the older half of what is held, whatever it is good for."""
        self._trim(self.size // 2)

    def get(self, index: int) -> Packet | None:
        """The packet with that index, if it is still here."""
        if not self._start <= index < self.end:
            return None
        at = bisect_right(self._firsts, index) - 1
        return self._units[at].packet(index - self._firsts[at])

    def slice(self, first: int, count: int) -> list[Packet]:
        """Up to ``count`` packets from ``first`` on; ``first`` must not be older than ``start``."""
        return [packet for unit, start, stop in self.spans(first, count) for packet in unit.span(start, stop)]

    def spans(self, first: int, count: int) -> list[Span]:
        """Up to ``count`` packets from ``first`` on, as places in their units; see ``slice``."""
        assert first >= self._start, "older than the history"
        stop = min(first + count, self.end)
        found = slice(max(0, bisect_right(self._firsts, first) - 1), bisect_left(self._firsts, stop))
        units = zip(self._units[found], self._firsts[found], strict=True)
        spans = [(unit, max(0, first - at), min(stop - at, len(unit.payloads))) for unit, at in units]
        return [span for span in spans if span[1] < span[2]]

    def _look(self, now: float) -> None:
        """Drop what is too old by now."""
        marks = self._marks
        while len(marks) > 1 and now - marks[1][0] >= KEEP_TIME:
            marks.popleft()
        marks.append((now, self.end))
        self._trim(KEEP_BYTES)

    def _trim(self, most: int) -> None:
        """Drop what is older than both the last keyframe and KEEP_TIME or KEEP_PACKETS; beyond ``most`` bytes drop in
        any case."""
        oldest_kept = max(self._marks[0][1], self.end - KEEP_PACKETS)
        if self.keyframe is not None:
            oldest_kept = min(oldest_kept, self.keyframe)
        drop = max(0, bisect_right(self._firsts, oldest_kept) - 1)  # whole units
        size = self.size - sum(map(_size, self._units[:drop]))
        while size > most:
            size -= _size(self._units[drop])
            drop += 1
        if drop:
            del self._units[:drop], self._firsts[:drop]
            self._start = self._firsts[0] if self._firsts else self.end
            self.size = size
        if self.keyframe is not None and self.keyframe < self._start:
            self.keyframe = None


def _size(unit: Unit) -> int:
    return unit.size + PACKET_BYTES * len(unit.payloads)
