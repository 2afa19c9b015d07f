"""When a program that ended is started again, and when not; no I/O.

Rules:

* What is proven and had been well for ``WELL_AFTER`` is started again at once: whatever ends it, and however often, is
  no reason to keep viewers in the dark.
* Else there is a pause before, which doubles with each such end in a row. It is for a program that cannot even begin.
* What has never worked may be beyond help. Until a program is *proven* (the cluster has been ready, or it has been
  steady), an exit code that says so, or ``MAX_FALSE_STARTS`` ends in a row, are final. Afterwards nothing is.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.process import EXIT_ADDRESS_IN_USE, EXIT_CONFIG, EXIT_NOT_NOW

FIRST_PAUSE = 0.2  # seconds
LONGEST_PAUSE = 5.0  # seconds
WELL_AFTER = 2.0  # seconds from a program's first pulse: it has begun, found its broker, and does its work
STEADY_AFTER = 30.0  # seconds from its start, however long that took
MAX_FALSE_STARTS = 8  # 16 s of pauses in all

HOPELESS = {EXIT_CONFIG, EXIT_ADDRESS_IN_USE, EXIT_NOT_NOW}
"""Exit codes by which a program says that starting it again cannot help."""


@dataclass(slots=True)
class Restarts:
    """One program's history. ``now`` is monotonic, in seconds."""

    proven: bool = False
    ends_in_a_row: int = 0
    _started: float = 0.0
    _well_since: float | None = None

    def started(self, now: float) -> None:
        """Note that the program runs."""
        self._started, self._well_since = now, None

    def pulsed(self, now: float) -> None:
        """Note that the program has shown that it works."""
        if self._well_since is None:
            self._well_since = now

    def ended(self, code: int, now: float) -> float | None:
        """The program ended with exit code ``code``: seconds until it is started again, ``None`` for never."""
        steady = now - self._started >= STEADY_AFTER
        well = self.proven and self._well_since is not None and now - self._well_since >= WELL_AFTER
        self.proven |= steady
        if steady or well:
            self.ends_in_a_row = 0
            return 0.0
        self.ends_in_a_row += 1
        if not self.proven and (code in HOPELESS or self.ends_in_a_row >= MAX_FALSE_STARTS):
            return None
        # The exponent is bounded: a program may end for weeks.
        return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(self.ends_in_a_row - 1, 16)))
