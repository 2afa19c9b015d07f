"""The configuration file as it was when it had no mistake, from a supervisor to the processes that it starts again.

A file with a mistake changes nothing, also when a process dies meanwhile: it begins with what all others go by. The
text holds passwords, so it is in memory without a name (as Linux has it), and gone with the supervisor.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

KEPT_FD = "CAMSHAFT_KEPT_FD"  # environment variable: number of the inherited descriptor


class Kept:
    """The supervisor's end. ``inherited`` are the variables and descriptors that its processes are to get."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("camshaft-config") if hasattr(os, "memfd_create") else None

    @property
    def inherited(self) -> dict[str, int]:
        """By variable; none where the system has no such memory."""
        return {} if self._fd is None else {KEPT_FD: self._fd}

    def keep(self, text: str) -> None:
        """Have processes that are started from now on fall back on this."""
        if self._fd is not None:
            data = text.encode()
            os.pwrite(self._fd, data, 0)
            os.ftruncate(self._fd, len(data))

    def close(self) -> None:
        """Let go of it."""
        if self._fd is not None:
            os.close(self._fd)


def kept_text() -> str | None:
    """The text that our supervisor keeps; ``None`` if it keeps none, or there is no supervisor."""
    with suppress(ValueError, OSError, OverflowError):  # a stale variable, or one that holds anything
        fd = int(os.environ.get(KEPT_FD, ""))
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode) and found.st_size:
            return os.pread(fd, found.st_size, 0).decode()
    return None
