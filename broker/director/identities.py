"""Which worker a report is of: nodes have names that people give, and each process of one an incarnation of its own.

What a report means where its node's name is known:

================================================  ==========================================================
its incarnation is                                then
================================================  ==========================================================
the one that is known                             the worker lives; one that was dead joins anew
the successor that the known one has, or told of  the worker goes on in another process: nothing is over
another one                                       the known one is dead, whatever it had; a new worker joins
the one before the known one, which is alive      two processes use one name: the newer one keeps it
the one before the known one, which is dead       likewise, and the older one joins anew
================================================  ==========================================================

A report may come in parts. Each shows that the worker lives; what it has is taken from whole reports alone, and what
a report says it cannot tell stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from broker.director.commands import NodeNameTwice
from broker.director.events import EndReason
from broker.director.state import State, Worker
from common.bucket import TokenBuckets
from common.control import Report
from common.onlooker import Condition
from common.reports import Parts, completed

WARN_INTERVAL = 60.0  # seconds between warnings of one kind …
MAX_WARNED = 1_000  # … about each of so many nodes


class Identities:
    """The director's part for who has reported.

    ``bury`` is told of a worker that another one has replaced, ``succeeded`` of one that goes on in another process, or
    in its own although it had named another.
    """

    def __init__(
        self, state: State, bury: Callable[[Worker, EndReason], None], succeeded: Callable[[Worker], object] = bool
    ) -> None:
        self._state, self._succeeded = state, succeeded
        self._bury = bury
        self._parts = Parts()
        self._warnings = TokenBuckets(1, 1 / WARN_INTERVAL, MAX_WARNED)  # by node whose name is used twice

    def whole(self, part: Report) -> Report | None:
        """The report that ``part`` makes whole, or is; ``None`` while parts of it are missing."""
        worker = self._state.workers.get(part.node)
        known = worker is not None and worker.report.incarnation == part.incarnation
        report = self._parts.take(part)
        if self._parts.dropped:
            self._state.counters["report_parts_lost"] = self._parts.dropped
        if report is None:
            if worker is not None and known and worker.alive:
                worker.seen = self._state.now
            return None
        if report.partial and worker is not None and known:
            return completed(report, _still_had(worker))
        return report

    def reported(self, report: Report) -> tuple[Worker, bool] | None:
        """The worker that has sent a whole report, and whether it has joined by that.

        ``None`` if its node's name is another's.
        """
        worker, state = self._state.workers.get(report.node), self._state
        joined = worker is None or not worker.alive
        inherited = worker is not None and worker.alive and worker.inherited_by(report)
        awaited = inherited or (worker is not None and worker.is_taken_over)
        if worker is None:
            worker = state.workers[report.node] = Worker(report, state.now)
        elif inherited:
            worker.predecessor = worker.report.incarnation
        elif worker.report.incarnation != report.incarnation:
            if worker.predecessor == report.incarnation:  # it was replaced, not restarted: both live
                self._name_used_twice(worker.report, report)
                if worker.alive:
                    return None
            self._bury(worker, EndReason.WORKER_RESTARTED)
            joined, predecessor = True, worker.report.incarnation
            worker = state.workers[report.node] = Worker(report, state.now, predecessor=predecessor)
        worker.report, worker.seen, worker.alive, worker.give_up_at = report, state.now, True, None
        worker.condition = Condition.UNKNOWN  # nobody has to ask
        worker.heir = ""
        if awaited:
            self._succeeded(worker)
        return worker, joined

    def forget(self, worker: Worker) -> None:
        """Drop the parts of a report that a dead worker has begun."""
        self._parts.forget(worker.node)

    def settle(self) -> None:
        """Forget what nodes have begun that are not listed any more."""
        self._parts.keep(self._state.workers)

    def _name_used_twice(self, *reports: Report) -> None:
        self._state.counters["node_name_used_twice"] += 1
        one, other = reports
        if self._warnings.take(one.node, self._state.now):
            where = f"{one.host}, process {one.pid}", f"{other.host}, process {other.pid}"
            self._state.command(NodeNameTwice(one.node, where))


def _still_had(worker: Worker) -> Report:
    """The worker's last report less what is over: otherwise one that can never tell everything would grow for ever."""
    return replace(
        worker.report,
        served=tuple(stream for stream in worker.report.served if stream.camera in worker.cameras),
        viewers=tuple(viewer for viewer in worker.report.viewers if viewer.session in worker.sessions),
    )
