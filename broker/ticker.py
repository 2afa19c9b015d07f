"""The timer of the broker's clock: how often it ticks ``broker.ticks`` says, by what the director is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator

from broker.director.events import Event, FromWorker, StoodStill, Tick
from broker.ticks import Ticks
from common.control import NodeName, Report
from common.moments import moment


class Ticker:
    """Calls ``tick`` from ``start`` to ``stop``. ``clock`` gives monotonic seconds."""

    def __init__(self, tick: Callable[[], None], clock: Callable[[], float]) -> None:
        self._tick, self._clock = tick, clock
        self._ticks = Ticks(clock())
        self._timer: asyncio.TimerHandle | None = None

    @property
    def due(self) -> float:
        """When the next tick is to be, or was, if it is late."""
        return self._ticks.due

    def start(self) -> None:
        """Tick now, and from now on."""
        try:
            self._tick()
        finally:
            self._plan()

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def events(self, nodes: Collection[NodeName]) -> Iterator[StoodStill | Tick]:
        """The events of a tick, of which ``nodes`` are the workers."""
        self._ticks.keep(set(nodes))
        return self._ticks.events(self._clock())

    def told(self, event: Event, *, consequences: bool) -> None:
        """Note what the director was told, and whether anything followed from it."""
        match event:
            case FromWorker(node, Report()):
                news = self._ticks.reported(node, self._clock())
            case _:
                news = not isinstance(event, Tick)
        late = (news or consequences) and self._ticks.news(self._clock())
        if late and self._timer is not None:
            self._timer.cancel()
            self._plan()

    def _plan(self) -> None:
        now = self._clock()
        interval, after = self._ticks.pace(now)
        self._ticks.due = moment(now - after, interval) + after
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self._ticks.due - now), self.start)
