"""The cost of processes over a window: CPU by role, memory, and what the kernel spends beside them.

CPU times are the kernel's own sums over all threads, dead ones included. A receiving socket on the same machine is
filled in the sender's system time; what the kernel defers goes to its ``ksoftirqd`` threads, which are counted as a
role of their own so that no server can hide work there.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from cryptography.hazmat.backends.openssl.backend import backend

from egress import native

KERNEL_ROLE = "kernel threads"


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds and resident bytes of a role."""

    user: float = 0.0
    system: float = 0.0
    memory: int = 0  # at the end of the window
    processes: int = 0

    @property
    def cpu(self) -> float:
        """User and system together."""
        return self.user + self.system

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.user + other.user,
            self.system + other.system,
            self.memory + other.memory,
            self.processes + other.processes,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """A window of time."""

    seconds: float
    roles: Mapping[str, Usage]
    busy: float  # CPU seconds of the whole machine, everything that was not idle

    def of(self, roles: Iterable[str]) -> Usage:
        """The sum over some roles."""
        return sum((self.roles[role] for role in roles if role in self.roles), Usage())


class Meter:
    """Measures from its making to each ``read``. A process that is gone by then counts up to the start alone."""

    def __init__(self, pids: Mapping[str, Sequence[int]]) -> None:
        self._pids = {**pids, KERNEL_ROLE: _softirq_threads()}
        self._start = time.monotonic()
        self._before = self._snapshot()
        self._busy = _busy()

    def read(self) -> Measured:
        """The cost since the start."""
        roles = {}
        for role, now in self._snapshot().items():
            before = self._before[role]
            user, system = max(0.0, now.user - before.user), max(0.0, now.system - before.system)
            roles[role] = Usage(round(user, 3), round(system, 3), now.memory, now.processes)
        return Measured(time.monotonic() - self._start, roles, round(_busy() - self._busy, 3))

    def _snapshot(self) -> dict[str, Usage]:
        return {role: sum(map(_usage, pids), Usage()) for role, pids in self._pids.items()}


def memory(pids: Iterable[int]) -> int:
    """Resident bytes of these processes; none of those that are gone."""
    return sum(_usage(pid).memory for pid in pids)


def proportional(pids: Iterable[int]) -> int:
    """Bytes of memory that these processes take together: a page that several share counts once (Linux: PSS)."""
    return sum(_proportional(pid) for pid in pids)


def machine() -> dict[str, str]:
    """Facts about the machine that the numbers were measured on."""
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else ""
    return {
        "cpu": f"{model or platform.processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "library": native.LIBRARY or f"{backend.openssl_version_text()} of Python's cryptography",
    }


def _usage(pid: int) -> Usage:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            rounded = times.user + times.system  # down to 0.01 s each: a twentieth of what a light load takes
            finer = _cpu_time(pid) / rounded if rounded else 1.0
            return Usage(times.user * finer, times.system * finer, process.memory_info().rss, 1)
    except (psutil.Error, OSError):
        return Usage()


def _cpu_time(pid: int) -> float:
    """Seconds of CPU that all threads of a process had, also those that have ended (Linux: clock_getcpuclockid(3))."""
    return time.clock_gettime(~pid << 3 | 2)


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it is gone
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


def _softirq_threads() -> list[int]:
    return [process.pid for process in psutil.process_iter(["name"]) if process.info["name"].startswith("ksoftirqd/")]


def _busy() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
