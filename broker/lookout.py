"""Looks after workers that are not heard: tries their connections, and sees those that are of this machine.

A worker of this machine that gets no processor has nobody to answer heartbeats, and loses its connection. Whether it
does the kernel knows (``common.onlooker``), and the director is told before it judges. Where we get none ourselves all
of those that may live are taken to be in the same case: what they have said is still to be read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from broker.director.events import Event, Probed, Witnessed
from broker.director.state import Worker
from broker.director.vigil import OVERDUE
from common.bucket import TokenBuckets
from common.control import NodeName
from common.log import get_logger
from common.onlooker import Condition, Onlooker, mark

LATE = 0.25  # seconds after a look was due: it is we who stood still
AT_ONCE = 0.02  # seconds for which a look holds: a hundred offers may find out together that a worker is gone
WARN_INTERVAL = 60.0  # seconds between warnings of one kind …
MAX_WARNED = 1_000  # … about each of so many nodes

log = get_logger()


class Lookout:
    """``ping`` says whether a worker's connection takes a message. What is found is events for the director.

    ``due`` is when the next look of the clock's is to be, or was, if it is late.
    """

    def __init__(
        self,
        workers: Callable[[], Iterable[Worker]],
        ping: Callable[[NodeName], bool],
        clock: Callable[[], float],
    ) -> None:
        self._workers, self._ping, self._clock = workers, ping, clock
        self._ours = Onlooker(os.getpid(), own=True)
        self._seen: dict[tuple[NodeName, str], Onlooker | None] = {}  # of those that are not heard, by incarnation
        self._missing: frozenset[NodeName] = frozenset()
        self._began = float("-inf")  # the look before
        self._warnings = TokenBuckets(1, 1 / WARN_INTERVAL, MAX_WARNED)

    @property
    def misses(self) -> bool:
        """Whether one lives, as far as is known, whose connection was missing when all were tried last."""
        return any(worker.node in self._missing for worker in self._living())

    def probe(self, due: float) -> Iterator[Event]:
        """Try every worker's connection."""
        self._missing = frozenset(worker.node for worker in self._living() if not self._ping(worker.node))
        yield from self._witness(self._missing, due)
        yield Probed(self._missing)

    def look(self, due: float) -> Iterator[Event]:
        """See how those are that are not heard, if there are any."""
        if self._clock() - self._began >= AT_ONCE:
            yield from self._witness(frozenset(), due)

    def _living(self) -> list[Worker]:
        return [worker for worker in self._workers() if worker.alive]

    def _witness(self, missing: frozenset[NodeName], due: float) -> Iterator[Event]:
        late = (now := self._clock()) - due > LATE
        self._began = now
        gone = {each.node: each.node in missing or each.give_up_at is not None for each in self._living()}
        unheard = [each for each in self._living() if gone[each.node] or now - each.seen >= OVERDUE]
        known = {(each.node, each.report.incarnation): each for each in unheard}
        self._seen = {key: self._seen.get(key) or _onlooker(worker) for key, worker in known.items()}
        if not known:
            return
        late |= self._ours.look(now, whole=True) is Condition.WAITS
        found: dict[NodeName, Condition] = {}
        for (node, _), onlooker in self._seen.items():
            condition = Condition.UNKNOWN if onlooker is None else onlooker.look(now, whole=gone[node])
            if condition is Condition.WAITS and self._warnings.take(node, now):
                log.warning(
                    "worker is silent because it gets no processor time: the machine is overloaded", worker=node
                )
            late_too = late and condition in (Condition.UNKNOWN, Condition.FREE)
            found[node] = Condition.WAITS if late_too else condition
        yield Witnessed(found)


def _onlooker(worker: Worker) -> Onlooker | None:
    """One that looks at the worker's process; ``None`` if it is not here."""
    pid, told = worker.report.pid, worker.report.mark
    return Onlooker(pid) if told and mark(pid) == told else None
