"""Which wire version is spoken, and who cannot be of this cluster (``common.wire``).

* All speak the highest version that every living worker and the broker speak: media goes from each to each. It goes
  down when an older one joins, and up when the last one of these is gone.
* A worker is told the version until its reports say that it speaks it; one that tells of none speaks the first.
* One with which there would be no such version is not taken: it, and the log, are told why at each of its reports.
"""

from __future__ import annotations

from broker.director.commands import WireChanged, WorkerUnfit
from broker.director.state import State
from common.bucket import TokenBuckets
from common.control import Report, Speak, Unfit
from common.wire import OURS, TELLS, Spoken, common_range, refusal

WARN_INTERVAL = 60.0  # seconds between lines about one node …
MAX_WARNED = 1_000  # … of so many


class Wires:
    """The director's part for wire versions. ``ours`` are the broker's own."""

    def __init__(self, state: State, ours: Spoken = OURS) -> None:
        self._state = state
        self._ours = ours
        self._version = ours.newest
        self._lines = TokenBuckets(1, 1 / WARN_INTERVAL, MAX_WARNED)

    @property
    def version(self) -> int:
        """The version that all speak."""
        return self._version

    def takes(self, report: Report) -> bool:
        """Whether the worker of a report can be of this cluster; if not, it is told so."""
        worker = self._state.workers.get(report.node)
        if worker is not None and worker.alive and worker.report.wire == report.wire:
            return True
        common = self._common(but=report.node)
        if common_range([report.wire], common) is not None:
            return True
        self._state.counters["wire_unfit"] += 1
        sentence = refusal(report.wire, report.version, common)
        if report.wire.newest >= TELLS:
            self._state.send(report.node, Unfit(sentence))
        if self._lines.take(report.node, self._state.now):
            self._state.command(WorkerUnfit(report.node, report.role, sentence))
        return False

    def settle(self) -> None:
        """Find the version again, and tell it to who does not speak it yet."""
        version = self._common().newest
        if version != self._version:
            self._version = version
            self._state.command(WireChanged(version))
            for worker in self._state.workers.values():
                self.tell(worker.report)

    def tell(self, report: Report) -> None:
        """Tell a worker that has reported the version, if it speaks another."""
        if report.speaks != self._version and report.wire.newest >= TELLS:
            self._state.send(report.node, Speak(self._version))

    def _common(self, but: str = "") -> Spoken:
        ranges = (w.report.wire for w in self._state.workers.values() if w.alive and w.node != but)
        return common_range(ranges, self._ours) or self._ours  # those that are here have one: no other was taken
