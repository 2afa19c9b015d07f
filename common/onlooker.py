"""How another process of this machine is, as the kernel tells: dead, stopped, waiting for a processor, or free.

Who is not heard may be dead, stand still, hang, or get no processor because others have all of them. Only the last of
these goes on by itself, and to give it up makes it worse for everybody: what begins anew in its place waits as well.

* A thread waits that could run, and hardly did since the last look: its waits fill ``MOSTLY`` of the time, or it is
  runnable and had less than ``HARDLY`` of it. The kernel counts a wait when it is over
  (Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat").
* One that spins has its share of a processor, whatever others take, and is not taken for one that waits: not beside a
  few others, and beside many not for longer than until its loop has had ``ENOUGH`` in all.
* A process is known by its ``mark``: where the marks differ, as in another container, its number is another process's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from common.neighbourhood import neighbourhood

PROC = Path("/proc")
MOSTLY = 0.5  # of the time between two looks
HARDLY = 0.2  # of it: one that spins beside four others has that
ENOUGH = 1.0  # seconds of a processor since the first look: a loop that turns would have been heard
_NUMBERS = Path("/proc/self/ns/pid")  # namespaces(7): a container has process numbers of its own
_ENDS = frozenset("ZXx")  # proc_pid_stat(5): the states of who has ended …
_STANDS = frozenset("Tt")  # … and of who was stopped
_EXITING = 0x4  # PF_EXITING of its flags
_KILLED = 1 << 8  # SIGKILL among its signals: it needs a processor to die, too
_STATE, _FLAGS, _STARTED, _SIGNALS = 0, 6, 19, 28  # of proc_pid_stat(5), counted from the third


class Condition(Enum):
    """How a process is."""

    UNKNOWN = auto()  # nobody tells: it is another machine's or container's, or the system has no such files
    DEAD = auto()  # or about to be
    STOPPED = auto()
    WAITS = auto()  # it could run, and others have the processors
    FREE = auto()  # it runs or rests, as it likes


@dataclass(frozen=True, slots=True)
class Seen:
    """A thread at one look, at ``at`` by any clock in seconds. Times are in nanoseconds since the thread began."""

    at: float
    runnable: bool
    ran: int
    waited: int  # by waits that are over
    turns: int  # how often it was given a processor


def waits(before: Seen | None, now: Seen, *, own: bool = False) -> bool:
    """Whether a thread waits for a processor. That one of our ``own`` is runnable, which looks, says nothing."""
    if before is None:
        return now.runnable and not own
    between = 1e9 * (now.at - before.at)
    if now.waited - before.waited >= MOSTLY * between and now.ran - before.ran < HARDLY * between:
        return True
    still = before.runnable and now.turns == before.turns
    return now.runnable and now.ran - before.ran < HARDLY * between and (still or not own)


def mark(pid: int) -> str:
    """A word that says which process has this number here, ever; empty if none has, or the system does not tell."""
    try:
        return f"{neighbourhood()}/{_NUMBERS.stat().st_ino}/{_stat(PROC / str(pid))[_STARTED]}"
    except (OSError, IndexError):
        return ""


class Onlooker:
    """Looks at the process ``pid`` again and again while it is not heard. Times are monotonic seconds.

    ``own`` is for the process that it is part of.
    """

    def __init__(self, pid: int, *, own: bool = False, proc: Path = PROC) -> None:
        self._place, self._own = proc / str(pid), own
        self._main, self._began = str(pid), ""  # when, which no other process of its number has
        self._seen: dict[str, Seen] = {}  # by thread
        self._ran: int | None = None  # by its main thread before the first look

    def look(self, now: float, *, whole: bool = False) -> Condition:
        """How it is. As it waits is taken who has its main thread wait, or with ``whole`` any of its threads.

        Who is not there was never there, or is dead: the caller knows.
        """
        try:
            stat = _stat(self._place)
            state, flags, signals, began = stat[_STATE], int(stat[_FLAGS]), int(stat[_SIGNALS]), stat[_STARTED]
        except (FileNotFoundError, ProcessLookupError):
            return Condition.DEAD
        except (OSError, ValueError, IndexError):
            return Condition.UNKNOWN
        self._began = self._began or began
        if state in _ENDS or flags & _EXITING or signals & _KILLED or began != self._began:
            return Condition.DEAD
        if state in _STANDS:
            return Condition.STOPPED
        try:
            threads = os.listdir(self._place / "task") if whole else [self._main]  # noqa: PTH208 - names are all it is
            found = [self._waits(thread, now, whole=whole) for thread in threads]
        except (OSError, ValueError, IndexError):
            return Condition.UNKNOWN
        if whole:  # those that have ended are gone for good
            self._seen = {thread: self._seen[thread] for thread in threads if thread in self._seen}
        return Condition.WAITS if any(found) else Condition.FREE

    def _waits(self, thread: str, now: float, *, whole: bool) -> bool:
        place = self._place / "task" / thread
        try:
            ran, waited, turns = map(int, (place / "schedstat").read_text("ascii").split())
            runnable = _stat(place)[_STATE] == "R"
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if thread == self._main:
                raise
            return False
        if thread == self._main:
            self._ran = ran if self._ran is None else self._ran
            if not whole and ran - self._ran >= 1e9 * ENOUGH:
                return False
        before = self._seen.get(thread)
        seen = self._seen[thread] = Seen(now, runnable, ran, waited, turns)
        return waits(before, seen, own=self._own)


def _stat(place: Path) -> list[str]:
    """The fields from the third on: the second is a name, in which there may be anything."""
    return (place / "stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
