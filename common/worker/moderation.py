"""How long a process that gets very many small things waits before it looks for more; pure.

Each picture that wakes a process finds it asleep and its caches cold, and so does each in the four threads between an
ingest and an egress: with a hundred cameras that is most of what a picture costs. So where many come a process takes
what has come within a millisecond together, as network cards do with packets (interrupt moderation), and all threads
behind it get it together, too. A picture is half a millisecond older for it. With few cameras nothing waits.
"""

from __future__ import annotations

TURN = 0.001  # seconds from one turn to the next, at least, where many come
MANY = 1_000.0  # a second: more than one comes in a turn's time
WINDOW = 0.1  # seconds over which they are counted


class Moderation:
    """One process's. ``wait`` is asked at the end of each turn of its event loop that had something to do."""

    def __init__(self) -> None:
        self._began = 0.0  # of the window
        self._count = 0  # things in the window
        self._many = False
        self._last = 0.0  # when the last wait was over

    def wait(self, count: int, now: float) -> float:
        """Seconds until the next turn may begin; ``count`` things were handled in the one that ends now."""
        self._count += count
        passed = now - self._began
        if passed >= WINDOW:
            self._many = self._count > MANY * passed
            self._began, self._count = now, 0
        if not self._many:
            return 0.0
        wait = min(max(self._last + TURN - now, 0.0), TURN)
        self._last = now + wait
        return wait
