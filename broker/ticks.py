"""Ticks of the broker's clock, as events of the director's: time passes, or has passed without us; pure.

Four a second see what is due in time. While nothing happens, which is most of the time where few people watch, one a
second is enough: workers tell what is new at once, and otherwise report once a second. Such a tick comes just after
their reports, so what follows from these waits no longer than else. Where reports come at other times, as from another
machine, the clock does not slow down.
"""

from __future__ import annotations

from collections.abc import Iterator

from broker.director.events import StoodStill, Tick
from common.control import REPORT_INTERVAL, NodeName

INTERVAL = 0.25  # seconds
CALM_AFTER = 5.0  # seconds without news
AFTER_REPORTS = 0.02  # seconds after a moment at which workers report: by then the broker has read them
EARLY = 0.2  # seconds before its time at which a report was not waited for: it tells what is new
STALLED_AFTER = 0.75  # seconds that a tick comes late: the machine, or somebody with a debugger, held this process


class Ticks:
    """``now`` is in monotonic seconds. ``due`` is when the next tick is to be, or was; whoever plans it sets that."""

    def __init__(self, now: float) -> None:
        self.due = now
        self._last = self._news_at = now
        self._reported: dict[NodeName, float] = {}
        self._stalled = False  # at the last tick

    def events(self, now: float) -> Iterator[StoodStill | Tick]:
        """The events of a tick. After the first stall reports that show who is alive are still to be read."""
        passed, self._last = now - self._last, now
        before, self._stalled = self._stalled, now - self.due > STALLED_AFTER
        if self._stalled:
            yield StoodStill(passed)
        if not self._stalled or before:
            yield Tick()

    def pace(self, now: float) -> tuple[float, float]:
        """Seconds from tick to tick from now on, and how many after a moment (``common.moments``) each is to be."""
        if now - self._news_at < CALM_AFTER or self._stalled:
            return INTERVAL, 0.0
        return REPORT_INTERVAL, AFTER_REPORTS

    def news(self, now: float) -> bool:
        """Note that something happens. Whether the next tick is to be planned anew, as it would come late."""
        self._news_at = now
        return self.due - now > INTERVAL

    def reported(self, node: NodeName, now: float) -> bool:
        """Note a worker's report. Whether that is news: of one that is new, before its time, or after this second's
        tick."""
        before, self._reported[node] = self._reported.get(node), now
        return before is None or now - before < REPORT_INTERVAL - EARLY or self.due - now > INTERVAL

    def keep(self, nodes: set[NodeName]) -> None:
        """Forget all workers but these."""
        for node in self._reported.keys() - nodes:
            del self._reported[node]
