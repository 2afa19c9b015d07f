"""A process that is starved: others have the core that it keeps to, and it gets next to nothing of it.

The kernel shares a core among sessions first (sched(7), "The autogroup feature"), and each process of ``serve`` has a
session of its own. So the others have theirs, too, and the starved one's is made the least of all.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

HOGS = 8  # 15 parts of 8 * 1,024 + 15: a turn of some three milliseconds in two seconds
LEAST, USUAL = "19", "0"  # niceness
SPINS = ("sh", "-c", "while :; do :; done")


@contextmanager
def starved(pid: int, hogs: int = HOGS) -> Iterator[None]:
    """Keep all threads of the process to one core, on which ``hogs`` others spin."""
    before, core = os.sched_getaffinity(pid), {min(os.sched_getaffinity(pid))}
    with ExitStack() as stack:
        stack.callback(_keep_to, pid, before)
        stack.callback(_rank, pid, USUAL)
        _rank(pid, LEAST)
        _keep_to(pid, core)
        for _ in range(hogs):
            hog = stack.enter_context(subprocess.Popen(SPINS, start_new_session=True))
            stack.callback(hog.kill)
            os.sched_setaffinity(hog.pid, core)
        yield


def _keep_to(pid: int, cores: set[int]) -> None:
    with suppress(FileNotFoundError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cores)


def _rank(pid: int, niceness: str) -> None:
    with suppress(OSError):  # it has ended, or this kernel shares a core among processes alone
        Path(f"/proc/{pid}/autogroup").write_text(niceness)
