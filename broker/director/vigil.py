"""Which workers are given up, and after how many looks.

* A worker whose connection is gone is given up when it is gone at a second look as well, ``SECOND_LOOK`` later: who
  lives connects again within a tenth of a second. A machine that died loses its connection by ZeroMQ's heartbeats
  (``common.bus``), after a second of silence.
* A worker whose connection stands and that says nothing for ``DEAD_AFTER`` is dead: it hangs. If the kernel says that
  its process was stopped, or is dead, ``OVERDUE`` is enough.
* Where more than ``MANY`` of them are missing in one go it may be we who are cut off or too busy. They are looked at
  again ``OVERDUE``, or where they are silent ``DOUBT``, later, and then believed to be gone.
* A worker of this machine that gets no processor is neither (``Witnessed``): as long as it waits, and for ``TURN``
  after that, it is not judged. After ``BORNE`` its viewers are better off elsewhere, if there is a worker of its role
  that is heard; if there is none, nothing would be better.
* One that has given everything to its successor is silent, and has no connection, until that reports.
* While this process stood still nobody can have been heard: that time counts for no worker's silence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from broker.director.state import State, Worker
from common.control import DEAD_AFTER, REPORT_INTERVAL, NodeName
from common.onlooker import Condition

SECOND_LOOK = 0.15  # seconds for which a connection has to be gone: ZeroMQ connects again after 50 to 100 ms
OVERDUE = REPORT_INTERVAL + 0.2  # seconds of silence after which a worker's connection is tried
MANY = 1 / 3  # of the workers
DOUBT = 1.0  # seconds more for all where that many are silent: one report of each
TURN = 0.5  # seconds from its last wait for a processor: it may have to wait again for each step of connecting
BORNE = 5.0  # seconds of silence: more than viewers take to move, and than a machine is overloaded for most often
_IS_THERE = frozenset({Condition.WAITS, Condition.FREE})
_OF_NO_USE = frozenset({Condition.DEAD, Condition.STOPPED})


class Vigil:
    """The director's part for who lives."""

    def __init__(self, state: State) -> None:
        self._state = state

    def overdue(self, worker: Worker) -> bool:
        """Whether its next report should have come."""
        return self._state.now - worker.seen >= OVERDUE

    def unreached(self, worker: Worker) -> bool:
        """A message did not reach it. Whether it is given up for that; where many are overdue, ``probed`` says when."""
        if worker.heir or not self.overdue(worker) or worker.condition in _IS_THERE:
            return False  # one that is known to be there may be about to connect again
        return not self._many([each for each in self._living if self.overdue(each)])

    def probed(self, missing: Collection[NodeName]) -> list[Worker]:
        """Every connection was tried, and these are ``missing``. Returns the workers to be given up."""
        now = self._state.now
        gone = [worker for worker in self._living if worker.node in missing and not worker.heir]
        many = self._many(gone)
        lost = []
        for worker in self._living:
            if worker.node not in missing or worker.heir:
                worker.give_up_at = None
            elif worker.give_up_at is None:
                worker.give_up_at = now + (OVERDUE if many else SECOND_LOOK)
                worker.doubted = many
            elif many and not worker.doubted:  # the first of those that went together
                worker.give_up_at, worker.doubted = now + OVERDUE, True
            elif now >= worker.give_up_at and not self._bears(worker):
                lost.append(worker)
        return lost

    def silent(self) -> list[Worker]:
        """Workers that have said nothing for too long, whatever their connections are."""
        overdue = [worker for worker in self._living if self.overdue(worker)]
        doubt = DOUBT if self._many(overdue) else 0.0
        late = [worker for worker in overdue if self._state.now - worker.seen >= self._patience(worker) + doubt]
        return [worker for worker in late if not self._bears(worker)]

    def _patience(self, worker: Worker) -> float:
        """Seconds of silence after which it is given up; one that its heir is about to follow has all of them."""
        return OVERDUE if worker.condition in _OF_NO_USE and not worker.heir else DEAD_AFTER

    def witnessed(self, conditions: Mapping[NodeName, Condition]) -> None:
        """Take in how workers are that are not heard, and were looked at."""
        for worker in self._living:
            worker.condition = conditions.get(worker.node, Condition.UNKNOWN)
            if worker.condition is Condition.WAITS:
                worker.waits_until = self._state.now + TURN
            elif worker.condition in _OF_NO_USE:
                worker.waits_until = float("-inf")

    def stood_still(self, seconds: float) -> None:
        """Take off the seconds in which this process itself did nothing."""
        for worker in self._living:
            worker.seen = min(worker.seen + seconds, self._state.now)
            worker.give_up_at = None

    def _bears(self, worker: Worker) -> bool:
        """Whether it is known to have waited for a processor, and nobody would be better off without it."""
        now = self._state.now
        if now >= worker.waits_until:
            return False
        return now - worker.seen < BORNE or not any(self._is_well(each, worker) for each in self._living)

    def _is_well(self, other: Worker, than: Worker) -> bool:
        heard = other.give_up_at is None and not self.overdue(other)
        return other is not than and other.takes(than.report.role) and heard

    @property
    def _living(self) -> list[Worker]:
        return [worker for worker in self._state.workers.values() if worker.alive]

    def _many(self, workers: Collection[Worker]) -> bool:
        return len(workers) > max(1, int(MANY * len(self._living)))
