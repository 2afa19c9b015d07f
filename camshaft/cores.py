"""The cores this process may use: fewer than the machine has, in a container or under ``taskset``."""

from __future__ import annotations

import math
import os
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
