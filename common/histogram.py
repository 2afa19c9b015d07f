"""How long things take, as numbers in fixed buckets: what a worker measures, and a report has room for; pure.

The bounds are the same in every process, so that what several workers measured can be added up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from enum import StrEnum

from common.control import MAX_INTEGER, Measured


class Measure(StrEnum):
    """The times that are measured. In seconds, all of them."""

    DELAY = "delay"  # from the camera's packet at ingest until the last viewer has been sent it
    ANSWER = "answer"  # from a viewer's offer at the front door to its answer
    CONNECT = "connect"  # from a viewer's answer until media can flow to it
    FIRST_PICTURE = "first_picture"  # from a viewer's answer until it has been sent a whole picture


_JOINING = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BOUNDS: dict[str, tuple[float, ...]] = {
    Measure.DELAY: (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
    Measure.ANSWER: (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    Measure.CONNECT: _JOINING,
    Measure.FIRST_PICTURE: _JOINING,
}
"""The upper bound of each bucket but the last, which takes the rest."""


class Histogram:
    """Everything that was measured since the process began."""

    __slots__ = ("_bounds", "_counts", "_measure", "_total")

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._bounds = BOUNDS[measure]
        self._counts = [0] * (len(self._bounds) + 1)
        self._total = 0.0

    def add(self, seconds: float) -> None:
        """Add one measured time. The clocks of two machines may make it negative: that counts as 0."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += seconds

    @property
    def measured(self) -> Measured:
        """All of it, for a report."""
        return Measured(self._measure, tuple(self._counts), self._total)


def cumulative(measured: Measured) -> Iterator[tuple[str, int]]:
    """The upper bound of each bucket, as text, and how many were not above it; the last is ``+Inf``.

    Nothing where the bounds are not known: another version measured it, or what no version measures.
    """
    bounds = BOUNDS.get(measured.measure, ())
    if not bounds or len(measured.counts) != len(bounds) + 1:
        return
    count = 0
    for bound, more in zip((*map(str, bounds), "+Inf"), measured.counts, strict=True):
        count = min(count + max(0, more), MAX_INTEGER)
        yield bound, count
