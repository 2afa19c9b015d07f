"""A Python process whose wall clock is wrong, while all intervals are right, as on a machine that nobody set."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SITE = """
import time

def _wrong(clock, ahead):
    return lambda: clock() + ahead

time.time = _wrong(time.time, {seconds})
time.time_ns = _wrong(time.time_ns, {seconds} * 10**9)
"""


def wrong_clock(directory: Path, seconds: int) -> dict[str, str]:
    """The environment of a process of ours whose clock is so many ``seconds`` ahead; needs the ``directory``."""
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(_SITE.format(seconds=seconds))  # which Python imports before all else
    return {"PYTHONPATH": os.pathsep.join(map(str, (directory, ROOT)))}
