"""Workers that end in good order: who was told to, and which viewers' players are asked to come again elsewhere.

* A worker is told to drain until its reports say that it does. One that drains is given nothing new (``Worker.takes``);
  what it has is moved by the parts of the director whose it is: cameras, conversions, and here viewers.
* A viewer's session cannot move, but its player can make a new one before it leaves the old one. Each is asked for that
  while another egress takes viewers, and again for as long as it is still there: its signalling may have been away.
* They are asked bit by bit, all within ``WITHIN``, so that the others are not overrun by as many joins at once.
"""

from __future__ import annotations

from math import ceil

from broker.director.commands import RenewSession
from broker.director.state import Session, State, Worker
from common.cameras import CameraName, split_stream
from common.control import Drain, NodeName, Role

WITHIN = 4.0  # seconds until the last one was asked: half of what a worker has by default (``drain.timeout``)
AT_LEAST = 4  # that are asked at once: each is 5 ms of work where it goes, beside the pictures of those who are there
ASK_AGAIN = 4.0  # seconds after which one that is still there is asked again


class Drains:
    """The director's part for what ends in good order."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._ordered: dict[NodeName, str] = {}  # those that were told, and their incarnation
        self._asked: dict[NodeName, float] = {}  # egresses that drain: when players were asked last

    def order(self, node: NodeName) -> None:
        """Have a worker end, as an operator wants it."""
        worker = self._state.workers[node]
        self._ordered[node] = worker.report.incarnation
        self._see_to(worker)

    def reported(self, worker: Worker) -> None:
        """See to a worker that has reported: it may not have heard that it is to end."""
        if self._ordered.get(worker.node) == worker.report.incarnation:
            self._see_to(worker)

    def settle(self) -> None:
        """Ask the players that are next."""
        for node in [node for node in self._ordered if node not in self._state.workers]:
            del self._ordered[node]
        draining = {
            worker.node: worker
            for worker in self._state.workers.values()
            if worker.alive and worker.report.role is Role.EGRESS and worker.report.draining
        }
        self._asked = {node: at for node, at in self._asked.items() if node in draining}
        if not any(worker.takes(Role.EGRESS) and not worker.report.full for worker in self._state.workers.values()):
            return  # there is nobody to go to
        for worker in draining.values():
            self._ask(worker)

    def _ask(self, worker: Worker) -> None:
        now = self._state.now
        waiting = [self._state.sessions[id] for id in sorted(worker.sessions)]
        waiting = [session for session in waiting if not session.pending and now >= session.renew_at]
        passed = now - self._asked.get(worker.node, now - WITHIN / 16)
        self._asked[worker.node] = now
        share = ceil(len(worker.sessions) * passed / WITHIN * 2)  # of those that are left, so all of them in time
        for session in waiting[: max(AT_LEAST, share)]:
            session.renew_at = now + ASK_AGAIN
            self._state.command(RenewSession(session.id, _home(session)))

    def _see_to(self, worker: Worker) -> None:
        if worker.alive and not worker.report.draining:
            self._state.send(worker.node, Drain())


def _home(session: Session) -> CameraName:
    camera, _ = split_stream(session.camera)
    return camera
