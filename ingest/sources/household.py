"""The memory that the demuxers of an ingest may use together: each may have a peak, not all at once. No I/O.

What such a process takes by itself is not counted, so that hundreds of harmless sources are within any bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from common.config_limits import LimitsConfig, SourcesConfig

ORDINARY = 100 << 20  # bytes of its own that a process has which plays: 35 to 60 MB


class Household:
    """The memory of each process beyond ``ORDINARY``."""

    def __init__(self) -> None:
        self._beyond: dict[int, int] = {}  # bytes, by the process's id

    def uses(self, pid: int, size: int, most: int) -> bool:
        """Note that a process has ``size`` bytes. Whether it has to end: all are over ``most``, and it has most."""
        self._beyond[pid] = max(size - ORDINARY, 0)
        return sum(self._beyond.values()) > most and max(self._beyond, key=self._beyond.__getitem__) == pid

    def left(self, pid: int) -> None:
        """Forget a process; twice is fine."""
        self._beyond.pop(pid, None)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds to what one process takes, and with it all of its household."""

    bitrate: int = LimitsConfig().camera_bitrate  # Mbit/s that its source may send for long
    memory: int = SourcesConfig().memory  # MiB
    together: int = SourcesConfig().memory_together  # MiB, beyond what is ordinary
    household: Household = field(default_factory=Household)
