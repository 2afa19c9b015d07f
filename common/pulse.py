"""The pulse of a process: signs of life that its event loop gives, so that a loop that is blocked gives none.

The supervisor hears it by a pipe that the process inherits (``PULSE_FD``), one byte a second: no bus, no broker and no
HTTP are needed for it. A process that systemd started with ``WatchdogSec`` tells systemd (``common.systemd``), and one
to which nobody listens does it itself (``common.own_watch``).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from common.moments import at_moment
from common.systemd import WATCHDOG, notify

PULSE_FD = "CAMSHAFT_PULSE_FD"  # environment variable: number of the inherited pipe's writing end
PULSE_INTERVAL = 1.0  # seconds
RELAY_PULSE_INTERVAL = 0.5  # … of the relay


class Pulse:
    """Beats from now until stopped; belongs to the running loop.

    ``pipe`` leads to the supervisor; ``watchdog`` is what systemd allows between two beats, in seconds; ``on_beat`` is
    called at each. With none of them there is no pulse. ``interval`` are the seconds from beat to beat.
    """

    def __init__(
        self,
        pipe: int | None,
        watchdog: float | None = None,
        interval: float | None = None,
        on_beat: Callable[[], None] | None = None,
    ) -> None:
        interval = PULSE_INTERVAL if interval is None else interval
        self._pipe, self._on_beat = pipe, on_beat
        self._tells_systemd = watchdog is not None
        # Half of what is allowed, as sd_watchdog_enabled(3) advises.
        self._interval = interval if watchdog is None else min(interval, watchdog / 2)
        self._timer: asyncio.TimerHandle | None = None
        if pipe is not None:
            os.set_blocking(pipe, False)
            os.set_inheritable(pipe, False)
        if pipe is not None or self._tells_systemd or on_beat is not None:
            self._beat()

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._timer = at_moment(self._interval, self._beat)
        if self._pipe is not None:
            # Full: the supervisor stands still, and finds more than it needs. Closed: it is gone, and we are about to.
            with suppress(OSError):
                os.write(self._pipe, b".")
        if self._tells_systemd:
            notify(WATCHDOG)
        if self._on_beat is not None:
            self._on_beat()
