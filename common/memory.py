"""How much memory is left, so that a process refuses new work before the kernel kills it.

The smaller of what the machine has available and what a container's limit leaves (cgroup version 2). Memory that only
caches files counts as left: the kernel takes it back by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from mmap import PAGESIZE
from pathlib import Path

import psutil

READ_INTERVAL = 0.5  # seconds for which an answer is good: a flood asks a thousand times a second
LARGE = 128 << 10  # bytes, with which glibc begins; what hashing a password takes is 150 times that
CALM = 5.0  # seconds without anybody new after which a rush is over: a wall of screens joins within that
LATE = 1.0  # seconds between two looks, of which there are several in that time
_M_MMAP_THRESHOLD = -3  # of mallopt(3)
_MADV_DONTNEED = 4  # of madvise(2)
_MAPS, _PAGEMAP = Path("/proc/self/maps"), Path("/proc/self/pagemap")
_MAPPED_FILE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r-[-x]p [0-9a-f]+ \S+ [1-9]\d* +/")
_FLAGS_AT = 7 if sys.byteorder == "little" else 0  # the uppermost byte of a page's entry in pagemap, which says of …
_OF_FILE = b"\x00\xa0\xa1"  # … one that it is not there, or is the file's; not, that it is our own copy, or swapped out
_CGROUP = Path("/sys/fs/cgroup")  # as a container sees its own


def free_bytes(cgroup: Path = _CGROUP) -> int:
    """Bytes that this process can still be given."""
    return min(psutil.virtual_memory().available, _left_in(cgroup))


def give_back() -> None:
    """Return what was freed to the system, where the C library can (glibc); otherwise do nothing.

    The allocator keeps freed pages below the highest one in use: a flood's memory would stay this process's for ever.
    Takes 0.03 ms if there is little to return, and 40 ms for 50 MB, without Python's lock.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def let_code_go() -> None:
    """Keep no page of the libraries' files as they are: what only loading them needed is most of it (Linux).

    What is needed again is there again at once, from where the kernel caches files. Pages that loading has written to
    stay: they are nowhere else.
    """
    with contextlib.suppress(AttributeError, OSError):
        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        with _MAPS.open() as maps, _PAGEMAP.open("rb", buffering=0) as pagemap:
            for start, end in _unwritten(maps, pagemap.fileno()):
                madvise(start, end - start, _MADV_DONTNEED)


def let_code_go_aside() -> None:
    """Let code go in a thread, which then ends. Where there is no memory for one, nothing is let go this time."""
    with contextlib.suppress(RuntimeError):
        threading.Thread(target=let_code_go, name="let-code-go", daemon=True).start()


def _unwritten(maps: Iterable[str], pagemap: int) -> Iterator[tuple[int, int]]:
    """Where files are mapped of which no page was written to, nor may be (proc(5), /proc/pid/maps and pagemap)."""
    for line in maps:
        if (match := _MAPPED_FILE.match(line)) is None:
            continue
        start, end = int(match[1], 16), int(match[2], 16)
        entries = os.pread(pagemap, (end - start) // PAGESIZE * 8, start // PAGESIZE * 8)
        flags = entries[_FLAGS_AT::8]
        if len(flags) == (end - start) // PAGESIZE and not flags.translate(None, _OF_FILE):
            yield start, end


def map_large_blocks() -> None:
    """Have the C library (glibc) map each block of ``LARGE`` or more by itself, so that it goes back when it is freed.

    Otherwise it learns from the first ones to keep them for the next, in each thread, and never gives those back.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE)


async def give_back_aside() -> None:
    """Give memory back, in another thread. Where there is no memory for a thread, nothing is given back this time."""
    with contextlib.suppress(RuntimeError):
        await asyncio.to_thread(give_back)


class Rush:
    """Says once after each rush that it is over: what was allocated in it lies about, and is better given back.

    One that comes late to look was given no time by the machine, and what came meanwhile waited: a rush, too. Times are
    monotonic seconds.
    """

    def __init__(self, calm: float = CALM, late: float = LATE) -> None:
        self._calm = calm
        self._late = late
        self._last = float("inf")
        self._looked_at = float("inf")

    def note(self, now: float) -> None:
        """Note that something came that takes memory for a moment."""
        self._last = now

    def over(self, now: float) -> bool:
        """Whether nothing has come for a while, if that was not said yet; to be asked some times a second."""
        if now - self._looked_at > self._late:
            self._last = now
        self._looked_at = now
        over = now - self._last >= self._calm
        if over:
            self._last = float("inf")
        return over


class GivingBack:
    """Gives memory back once nothing has come for ``calm`` seconds, in a process that looks at nothing meanwhile."""

    def __init__(self, calm: float = CALM) -> None:
        self._calm = calm
        self._timer: asyncio.TimerHandle | None = None

    def note(self) -> None:
        """Note that something has ended that took memory for a moment."""
        self.close()
        self._timer = asyncio.get_running_loop().call_later(self._calm, self._give_back)

    def close(self) -> None:
        """Give back nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _give_back(self) -> None:
        with contextlib.suppress(RuntimeError):  # where there is no memory for a thread
            asyncio.get_running_loop().run_in_executor(None, give_back)


class Shortage:
    """Whether less than ``least`` bytes are left. Times are monotonic seconds."""

    def __init__(self, least: int, cgroup: Path = _CGROUP) -> None:
        self._least = least
        self._cgroup = cgroup
        self._read_at = float("-inf")
        self._short = False

    def limit(self, least: int) -> None:
        """Have another least, in bytes."""
        self._least, self._read_at = least, float("-inf")

    def now(self, now: float) -> bool:
        """Look, at most every ``READ_INTERVAL``."""
        if now - self._read_at >= READ_INTERVAL:
            self._read_at, self._short = now, free_bytes(self._cgroup) < self._least
        return self._short


def _left_in(cgroup: Path) -> int:
    """The bytes that the limit leaves; more than any machine has where there is none ("max", or no such file)."""
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        fields = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        return limit - used + int(fields.get("inactive_file", 0))
    except (OSError, ValueError):
        return 1 << 62
