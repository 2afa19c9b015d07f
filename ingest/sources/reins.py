"""Holds a demuxer's process to its share of a processor from outside, where it cannot do so itself.

It stands still by itself between two access units, and between two reads that are ours (``ingest.sources.share``). But
one call of FFmpeg reads RTMP or UDP until it has an access unit, and a source may send without end what makes none. So
ingest looks at the process's clock, and stops the process for as long as it has taken too much.

It looks at its memory as well: see ``household``.

Should ingest itself be killed, the kernel ends the process, also one that stands still (``demuxer``).
"""

from __future__ import annotations

import asyncio
import time
from asyncio.subprocess import Process
from contextlib import suppress
from os import sysconf
from pathlib import Path
from signal import SIGCONT, SIGSTOP

from common.moments import at_moment
from ingest.sources.household import Bounds

LOOK_INTERVAL = 0.25  # seconds
MAX_BUSY = 0.3  # of one processor: a little more than it allows itself
WEIGH_INTERVAL = 1.0  # seconds between looks at its memory
PAGE = sysconf("SC_PAGESIZE")  # bytes
BURST = 1.0  # seconds of it at once: to look at what there is takes some, on a small board


class Taken:
    """The time that a process has taken beyond its share. Times are seconds: of the loop, and of processors."""

    def __init__(self, now: float, taken: float) -> None:
        self._now, self._taken = now, taken
        self._beyond = 0.0

    def too_much(self, now: float, taken: float) -> bool:
        """Whether the process is to stand still now, having ``taken`` so much in all."""
        beyond = self._beyond + taken - self._taken - MAX_BUSY * (now - self._now)
        self._now, self._taken, self._beyond = now, taken, max(beyond, 0.0)
        return self._beyond > BURST


class Reins:
    """The reins of one process; held from ``take_up`` on, until they are let go.

    ``greedy`` is set when it was killed as all of its household had too much, and it most.
    """

    def __init__(self, process: Process, bounds: Bounds) -> None:
        self.stopped = 0  # times
        self.greedy = False
        self._process = process
        self._household, self._most = bounds.household, bounds.together << 20
        self._weigh_at = float("-inf")
        self._taken: Taken | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._standing = False

    def take_up(self) -> None:
        """Begin: what the process has taken until now was for its start."""
        self._look()

    def let_go(self) -> None:
        """Let the process run, and look no more; twice is fine."""
        if self._timer is not None:
            self._timer.cancel()
        self._household.left(self._process.pid)
        self._stand(False)

    def _look(self) -> None:
        self._timer = at_moment(LOOK_INTERVAL, self._look)
        now, taken = asyncio.get_running_loop().time(), processor_time(self._process.pid)
        if self._taken is None:
            self._taken = Taken(now, taken)
        self._stand(self._taken.too_much(now, taken))
        if now >= self._weigh_at:
            self._weigh_at = now + WEIGH_INTERVAL
            if self._household.uses(self._process.pid, own_memory(self._process.pid), self._most):
                self.greedy = True
                with suppress(ProcessLookupError):
                    self._process.kill()

    def _stand(self, standing: bool) -> None:
        if standing != self._standing:
            self._standing = standing
            self.stopped += standing
            with suppress(ProcessLookupError):
                self._process.send_signal(SIGSTOP if standing else SIGCONT)


def processor_time(pid: int) -> float:
    """Seconds of processors that a process has taken; 0 if it is gone."""
    try:
        return time.clock_gettime(_clock_of(pid))
    except OSError:
        return 0.0


def own_memory(pid: int) -> int:
    """Bytes of memory that a process has for itself alone; 0 if it is gone, or where the system does not say."""
    try:
        _, resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[:3]
    except OSError:
        return 0
    return (int(resident) - int(shared)) * PAGE


def _clock_of(pid: int) -> int:
    """The number of a process's clock, as clock_getcpuclockid(3) makes it on Linux (CPUCLOCK_SCHED)."""
    return ~pid << 3 | 2
