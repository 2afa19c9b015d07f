"""Sessions that are over, kept in mind for as long as an egress may still report them.

An egress that reports one is told again to hang up, and nobody takes it for a session of an earlier broker.
"""

from __future__ import annotations

from broker.director.state import State
from common.sessions import SessionName

ENDED_KEPT = 60.0  # seconds for which an ended session is kept in mind …
MAX_ENDED = 50_000  # … unless there are more: a worker may report any number that nobody knows


class EndedSessions:
    """All of them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._until: dict[SessionName, float] = {}  # in the order in which they ended

    def __contains__(self, id: SessionName) -> bool:
        return id in self._until

    def __len__(self) -> int:
        return len(self._until)

    def add(self, id: SessionName) -> None:
        """Keep in mind that a session is over, whatever its egress still reports."""
        self._until[id] = self._state.now + ENDED_KEPT
        if len(self._until) > MAX_ENDED:
            del self._until[next(iter(self._until))]

    def forget(self) -> None:
        """Forget those that ended long ago."""
        for id in [id for id, until in self._until.items() if until <= self._state.now]:
            del self._until[id]
