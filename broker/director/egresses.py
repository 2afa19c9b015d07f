"""Which egress a viewer goes to: the least busy that may take it, and that its camera has not ended before; no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from broker.director.events import EndReason
from broker.director.state import Session, State, Worker
from broker.director.suspects import Shown, Suspects, more_than_one
from common.cameras import CameraName
from common.control import NodeName, Role
from common.onlooker import Condition

CLEARLY_BUSIER = 0.1
"""Share of a core by which an egress that has the stream may be busier than one that would have to subscribe to it.
A second subscription costs the cluster about 0.3 ms of CPU a second, so it takes some twenty viewers to be worth it."""

ENOUGH_TO_DO = 0.8
"""Share of a core from which an egress next to the front door is no better than others to viewers that are handed over:
those that it has need the rest. Elsewhere each of them costs the broker what it is sent, encrypted anew."""


def egress_for_viewer(
    workers: Iterable[Worker], camera: CameraName, refused_by: Collection[NodeName] = (), near: str = ""
) -> Worker | None:
    """The least busy egress, or the one that has the stream if it is not ``CLEARLY_BUSIER``; ``None`` if there is none.

    Three kinds are taken only where there are no others: one that waits for a processor; one that says it is full,
    which may be a second old; and, with ``near``, one of another neighbourhood, or that has ``ENOUGH_TO_DO``.
    """
    candidates = sorted((w for w in workers if w.takes(Role.EGRESS)), key=lambda w: (w.busy, w.node))
    candidates = [w for w in candidates if w.node not in refused_by]
    candidates = [w for w in candidates if w.condition is not Condition.WAITS] or candidates
    candidates = [w for w in candidates if not w.report.full] or candidates
    if near:
        neighbours = [w for w in candidates if w.report.neighbourhood == near and w.busy < ENOUGH_TO_DO]
        candidates = neighbours or candidates
    if not candidates:
        return None
    least = candidates[0]
    having = next((w for w in candidates if w.has_stream(camera)), least)
    return least if having.busy > least.busy + CLEARLY_BUSIER else having


class Egresses:
    """The choice of an egress for each viewer, and what cameras have done to those that had them."""

    def __init__(self, state: State, suspects: Suspects) -> None:
        self._state, self._suspects = state, suspects

    def choose(self, session: Session) -> Worker | None:
        """The egress for a session that has none, or that those of ``refused_by`` did not take; ``None``: none is left.

        One that is being taken over is the last resort, as its successor gets the offer.
        """
        near = self._state.neighbourhood if session.takes else ""  # else its media does not come by the front door
        known = self._state.workers.values()
        nodes = [worker.node for worker in known if worker.takes(Role.EGRESS)]
        suited = self._suspects.suited(session.camera, nodes, self._state.now)
        workers = [self._state.workers[node] for node in suited]
        found = egress_for_viewer(workers, session.camera, session.refused_by, near)
        if found is None and not self._suspects.suspended(session.camera):
            found = next((each for each in known if each.is_taken_over and each.node not in session.refused_by), None)
        return found

    def suspended(self, camera: CameraName) -> bool:
        """Whether no egress is given that camera now, because several that had it ended."""
        return self._suspects.suspended(camera)

    def given(self, session: Session, worker: Worker) -> None:
        """Watch whether an egress outlives a camera that is new to it."""
        if not worker.has_stream(session.camera):
            self._suspects.given(session.camera, worker.node, self._state.now)

    def declined(self, session: Session, worker: Worker | None) -> None:
        """Have another egress try a session's camera, if the one that does not take it has nobody else who watches."""
        if worker is not None and worker.watched[session.camera] <= 1:
            self._suspects.declined(session.camera, worker.node)

    def ended(self, worker: Worker, reason: EndReason) -> None:
        """Hold the end of an egress against the cameras of its answered sessions, unless it stopped in good order."""
        sessions = self._state.sessions
        if reason is not EndReason.WORKER_STOPPED and more_than_one(each.camera for each in sessions.values()):
            cameras = {sessions[id].camera for id in worker.sessions if not sessions[id].pending}
            self._suspects.died(worker.node, cameras, worker.seen, self._state.now)
        self._suspects.left(worker.node)

    def settle(self) -> None:
        """Acquit cameras whose egress lives on, and let those be tried again whose time has come."""
        seen = {worker.node: worker.seen for worker in self._state.workers.values()}
        self._suspects.settle(seen, self._state.now, self._shown)

    def _shown(self) -> set[Shown]:
        """The cameras of which an egress has sent something to somebody."""
        sessions = self._state.sessions.values()
        return {(each.camera, each.node) for each in sessions if each.report is not None and each.report.packets}
