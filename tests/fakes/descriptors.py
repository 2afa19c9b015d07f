"""The descriptors that this process has open, as tests count them before and after."""

from __future__ import annotations

import gc
from pathlib import Path


def descriptors() -> int:
    """How many are open. What earlier tests left in circles is closed first, and so not in between."""
    gc.collect()
    return len([*Path("/proc/self/fd").iterdir()])
