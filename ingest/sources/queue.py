"""Access units on their way from the thread that demuxes to the one that sends each when its time has come."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import NamedTuple

from ingest.sources.pace import Pacer

MAX_QUEUE = 4_096  # access units: picture and sound of a segment of 20 s …
MAX_QUEUE_BYTES = 24 << 20  # … and bytes of them


class Unit(NamedTuple):
    """An access unit on its way. Times are nanoseconds of the source."""

    section: int
    data: bytes
    decode_ns: int
    present_ns: int


class Queue:
    """Units between the two threads; ``put`` waits for room, ``get`` for the time of the unit that is decoded first.

    Containers have sound and picture in turns, of half a second each in MPEG-TS, and neither is to wait for the other.
    """

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._units: list[tuple[int, int, Unit]] = []  # a heap: decoding time, order of arrival
        self._count = itertools.count()
        self._size = 0
        self._changed = threading.Condition()
        self._error: BaseException | None = None

    def put(self, unit: Unit) -> None:
        """Add a unit, when there is room for it."""
        with self._changed:
            while len(self._units) >= MAX_QUEUE or (self._units and self._size + len(unit.data) > MAX_QUEUE_BYTES):
                self._changed.wait()
            heapq.heappush(self._units, (unit.decode_ns, next(self._count), unit))
            self._size += len(unit.data)
            self._changed.notify_all()

    def end(self, error: BaseException) -> None:
        """End the queue for that reason: nothing comes any more."""
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def get(self) -> Unit:
        """The next unit. Raises the reason why there is none."""
        with self._changed:
            while True:
                if self._units:
                    wait = self._pacer.wait(self._units[0][0], time.monotonic())
                    if wait <= 0:
                        break
                    self._changed.wait(wait)
                elif self._error is not None:
                    raise self._error
                else:
                    self._changed.wait()
            unit = heapq.heappop(self._units)[2]
            self._size -= len(unit.data)
            self._changed.notify_all()
            return unit
