"""Whether what is sent to a viewer arrives, and for how long a path that does not deliver is left alone; pure.

All viewers share one socket. What piles up in the kernel for one of them takes the socket's buffer from all others. A
path is judged at each receiver report, however rarely these come, and by their absence once they have come: but not
by the absence of those that may have come while our socket was full of what others sent.
"""

from __future__ import annotations

UNCONFIRMED = 1.5  # seconds of media that may be on their way
BAD_REPORTS = 2  # in a row that find more, until a path is taken to be stuck: one may fall into a burst
LEAST_WAIT, MOST_WAIT = 1.0, 7.5  # seconds for a report: browsers', and what RFC 3550 6.2 comes to
WAITS = 3  # that nothing is heard for, until a path is taken to be stuck; 1 if it was before
FIRST_HOLD, LAST_HOLD = 4.0, 16.0  # seconds that it is then left alone, doubled each time


class StuckJudge:
    """The judgement on one viewer's path. All times are monotonic seconds."""

    __slots__ = ("_awaited_since", "_bad", "_hold", "_until", "_wait", "held")

    def __init__(self) -> None:
        self.held = False  # nothing is to be sent
        self._until = 0.0
        self._hold = FIRST_HOLD
        self._bad = 0  # reports in a row
        self._awaited_since: float | None = None  # when the next report is missed from; None: there was none yet
        self._wait = 0.0  # the longest for a report; 0: there has been one at most

    def reported(self, behind: float, now: float, waited: float = 0.0) -> None:
        """Take a report: what had arrived is ``behind`` what was sent by so many seconds of media.

        It has ``waited`` for us so many seconds, in which we may have sent more.
        """
        if self._awaited_since is not None:
            self._wait = min(max(LEAST_WAIT, self._wait, now - self._awaited_since), MOST_WAIT)
        self._awaited_since = now
        if behind - waited > UNCONFIRMED:
            self._bad += 1
        else:
            self.held, self._bad, self._hold = False, 0, FIRST_HOLD

    def begin_anew(self) -> None:
        """Forget reports: they were about something else than is sent from now on."""
        self._bad, self._awaited_since = 0, None

    def moved(self) -> None:
        """Forget everything: what is sent from now on goes another way."""
        self.held, self._hold = False, FIRST_HOLD
        self.begin_anew()

    def deaf_until(self, now: float) -> None:
        """Expect no report from before now: datagrams to us were dropped, and it may have been one of them."""
        if self._awaited_since is not None:
            self._awaited_since = now

    def judge(self, behind: float, now: float) -> bool:
        """Whether to leave the path alone, where what is known to have arrived is now so far ``behind``."""
        if self._awaited_since is None:  # a viewer that sends no reports is not judged
            return False
        if self.held:
            if now >= self._until:  # another try: the next bad report ends it
                self.held, self._bad, self._awaited_since = False, BAD_REPORTS - 1, now
        elif behind <= UNCONFIRMED:  # no report is missed; the camera may have paused
            self._awaited_since = now
        elif self._bad >= BAD_REPORTS or now - self._awaited_since > self._patience:
            self.held, self._until = True, now + self._hold
            self._hold = min(2 * self._hold, LAST_HOLD)
        return self.held

    @property
    def _patience(self) -> float:
        """Seconds to wait for a report."""
        return (WAITS if self._hold == FIRST_HOLD else 1) * (self._wait or MOST_WAIT)
