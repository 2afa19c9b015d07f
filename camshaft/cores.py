"""The cores this process may use, and which of them its children do.

They are fewer than the machine has, in a container or under ``taskset``.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of cgroup version 2, as a container sees its own: "QUOTA PERIOD"


def cores(quota: Path = _QUOTA) -> int:
    """At least one. A quota of one and a half cores counts as two."""
    allowed = len(cpus()) or os.cpu_count() or 1
    try:
        most, period = quota.read_text().split()
        return max(1, min(allowed, math.ceil(int(most) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # no quota: "max 100000"
        return allowed


def cpus() -> list[int]:
    """Numbers of the cores that this process may run on; empty where the system does not say (not Linux)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def keep_to(pid: int, cpu: int) -> None:
    """Let a process that has just begun, and so its threads to come, run on one core alone."""
    with suppress(OSError):  # it has ended, or the core was taken from us: it runs anywhere then
        os.sched_setaffinity(pid, {cpu})


def let_go(pid: int) -> None:
    """Let a process that was kept to a core, and all of its threads, run where we do."""
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cpus())
