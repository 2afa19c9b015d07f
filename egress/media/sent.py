"""Everything a feed remembers of what it has sent. Some of that is entered late (``egress.media.books``)."""

from __future__ import annotations

from collections.abc import Sequence

from common.media import Kind
from common.packed import Packed
from common.worker.incoming import NO_BOOKS, Books
from egress.media.history import Histories, History, Unit
from egress.media.meter import Meter
from egress.media.timeline import Timeline


class Sent:
    """One track's history, clock and meter: ``books`` enter what has left before anybody looks at them."""

    def __init__(self, kind: Kind, histories: Histories | None, origin: int) -> None:
        self.kind = kind
        self.books: Books = NO_BOOKS
        self._history = History(histories)
        self._timeline = Timeline(90_000, origin)
        self._meter = Meter()
        self._pushed_at: float | None = None

    @property
    def history(self) -> History:
        """The packets that were sent."""
        self.books.settle()
        return self._history

    @property
    def timeline(self) -> Timeline:
        """The clock of what was sent."""
        self.books.settle()
        return self._timeline

    @timeline.setter
    def timeline(self, timeline: Timeline) -> None:
        self.books.end(self.kind)
        self._timeline = timeline

    @property
    def meter(self) -> Meter:
        """Measures what was sent."""
        self.books.settle()
        return self._meter

    @property
    def pushed_at(self) -> float | None:
        """Monotonic time of the newest batch; ``None`` before the first."""
        newest = self.books.newest(self.kind)
        return self._pushed_at if newest is None else newest

    @pushed_at.setter
    def pushed_at(self, moment: float | None) -> None:
        self.books.settle()
        self._pushed_at = moment

    def remember(self, frame: bytes, found: Sequence[int], marker: int, probe: int, now: float) -> None:
        """Remember an ordinary batch, read from a frame of the bus as ``found`` says, that left at ``now``."""
        self._pushed_at = now
        extended = self._timeline.advance(found[_TIMESTAMP], found[_CAPTURE])
        unit = self._unit(frame, found, marker, probe)
        self._meter.add(unit.size, extended / self._timeline.clock_rate)
        self._history.append(unit, now, keyframe=False)

    def _unit(self, frame: bytes, found: Sequence[int], marker: int, probe: int) -> Unit:
        """The packets of the newest batch, read from its frame as ``found`` says."""
        packets, size, last, *places = found[_PACKETS:]
        payloads = Packed(frame, packets, size, last, *places)
        return Unit(payloads, self._timeline.timestamp & 0xFFFFFFFF, marker, probe, (packets - 1) * size + last)


_TIMESTAMP, _CAPTURE, _PACKETS = 2, 3, 7  # in what is found of a batch
