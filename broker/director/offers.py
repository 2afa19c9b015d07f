"""Viewers' offers that wait for the answer of an egress.

Each waits for ``OFFER_TIMEOUT``, which its session's ``deadline`` says. All of them together have so many characters at
most: what is in the broker's memory of strangers has a bound.
"""

from __future__ import annotations

from broker.director.state import Session
from common.sessions import SessionName

OFFER_TIMEOUT = 5.0  # seconds for an egress to answer: it takes milliseconds, or something is wrong
MAX_PENDING_CHARACTERS = 16 << 20  # of unanswered offers' SDP: a browser's have 8 million in a thousand (limits.offers)


class Offers:
    """All that wait."""

    def __init__(self) -> None:
        self._waiting: dict[SessionName, Session] = {}
        self._characters = 0

    def get(self, id: SessionName) -> Session | None:
        """The session of that name, if its offer waits."""
        return self._waiting.get(id)

    def have_room(self, sdp: str) -> bool:
        """Whether there is room for one more offer."""
        return self._characters + len(sdp) <= MAX_PENDING_CHARACTERS

    def add(self, session: Session) -> None:
        """Wait for the answer to a session's offer, which goes to an egress."""
        self._waiting[session.id] = session
        self._characters += len(session.offer or "")

    def settle(self, session: Session) -> None:
        """Wait no more for an answer to the session's offer, if it has one yet."""
        if self._waiting.pop(session.id, None) is not None:
            self._characters -= len(session.offer or "")

    def overdue(self, now: float) -> list[Session]:
        """The sessions whose egress did not answer in time."""
        return [session for session in self._waiting.values() if session.deadline <= now]
