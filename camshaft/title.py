"""A process's arguments and environment as others see them: a forked one has those of the process it comes from.

Linux shows what lies in a process's own memory, between addresses that it names (proc_pid_stat(5)). What is written
there is seen; what does not fit is cut. Elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

_STAT = Path("/proc/self/stat")
_ARGUMENTS, _ENVIRONMENT = 44, 46  # of the numbers behind the state: where each starts; the next one is where it ends


def become(arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Have these arguments and this environment, and leave nothing of the old ones to be seen."""
    os.environ.clear()  # by now nothing points to where the old one stands
    try:
        numbers = [int(word) for word in _STAT.read_text().rpartition(")")[2].split()[1:]]
    except OSError:  # not Linux
        numbers = []
    if numbers:
        for at, text in ((_ARGUMENTS, "\0".join(arguments)), (_ENVIRONMENT, "")):
            _write(numbers[at], numbers[at + 1], text)
    os.environ.update(environ)


def _write(start: int, end: int, text: str) -> None:
    size = end - start
    if size > 0:
        ctypes.memmove(start, os.fsencode(text)[: size - 1].ljust(size, b"\0"), size)
