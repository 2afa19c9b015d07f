"""Whether what is sent to a viewer arrives, and for how long a path that does not deliver is left alone; pure.

All viewers share one socket. What piles up in the kernel for one of them takes the socket's buffer from all others.
"""

from __future__ import annotations

UNCONFIRMED = 1.5  # seconds of media that may be on their way; browsers report on video every second
PATIENCE, LATER_PATIENCE = 2.0, 0.5  # seconds that it may be more; less once a path has been found to be stuck
FIRST_HOLD, LAST_HOLD = 4.0, 16.0  # seconds that a stuck path is left alone, doubled each time


class Delivery:
    """The judgement on one viewer's path. All times are monotonic seconds."""

    __slots__ = ("_hold", "_overdue_since", "_patience", "_until", "held")

    def __init__(self) -> None:
        self.held = False  # nothing is to be sent
        self._until = 0.0
        self._hold, self._patience = FIRST_HOLD, PATIENCE
        self._overdue_since: float | None = None

    def judge(self, behind: float, now: float) -> bool:
        """Whether to leave the path alone, if what has arrived is ``behind`` what was sent by so many seconds."""
        if behind <= UNCONFIRMED:
            self.held, self._overdue_since = False, None
            self._hold, self._patience = FIRST_HOLD, PATIENCE
        elif self.held:
            if now >= self._until:
                self.held, self._overdue_since, self._patience = False, now, LATER_PATIENCE
        elif self._overdue_since is None:
            self._overdue_since = now
        elif now - self._overdue_since > self._patience:
            self.held, self._until = True, now + self._hold
            self._hold = min(2 * self._hold, LAST_HOLD)
        return self.held
