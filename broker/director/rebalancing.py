"""Rebalancing: viewers move to egresses with fewer viewers, once somebody asks for it (``EvenOut``).

A session cannot move, but its player can make a new one before it leaves the old one, as it does when a worker drains
(``broker.director.drains``). A new egress gets new viewers by itself; the others stay where they are unless somebody
asks. A few viewers are asked at a time, and each only once: those of the busiest egress, while a new session would not
go back to it. A player that does not follow, such as a plain one, stays where it is.
"""

from __future__ import annotations

from broker.director.commands import RenewSession
from broker.director.egresses import CLEARLY_BUSIER
from broker.director.state import State
from common.cameras import split_stream
from common.control import Role
from common.sessions import SessionName

AT_ONCE = 5  # viewers asked at each look, four times a second: an egress answers some hundred a second
COMES_WITHIN = 6.0  # seconds within which a viewer that was asked has moved, or never will
LASTS = 120.0  # seconds after which rebalancing ends, whatever it achieved


class Rebalancing:
    """The director's part that evens out viewers among egresses."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._until = float("-inf")
        self._asked: dict[SessionName, float] = {}  # and when

    def begin(self) -> None:
        """Start to even out the viewers."""
        self._until = self._state.now + LASTS
        self._asked.clear()

    def settle(self) -> None:
        """Ask the next few players to move."""
        now = self._state.now
        if now >= self._until:
            return
        egresses = sorted((w for w in self._state.workers.values() if w.takes(Role.EGRESS)), key=lambda w: w.busy)
        takers = [worker for worker in egresses if not worker.report.full]
        if not takers or egresses[-1].busy <= takers[0].busy + CLEARLY_BUSIER:
            self._until = float("-inf")
            return
        mean = sum(len(worker.sessions) for worker in egresses) / len(egresses)
        fullest = egresses[-1]
        going = sum(now - self._asked.get(id, float("-inf")) < COMES_WITHIN for id in fullest.sessions)
        waiting = [self._state.sessions[id] for id in sorted(fullest.sessions) if id not in self._asked]
        waiting = [session for session in waiting if not session.pending]
        for session in waiting[: max(0, min(AT_ONCE, int(len(fullest.sessions) - going - mean)))]:
            self._asked[session.id] = now
            self._state.command(RenewSession(session.id, split_stream(session.camera)[0]))
