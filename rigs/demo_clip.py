"""The simulated camera's clip, for all that is started here: to encode it takes ten seconds of CPU.

A camera that ends before it has encoded a minute of pictures keeps none of it, and the next one begins anew.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

from rigs.process import ROOT

CACHE = ROOT / ".pytest_cache" / "d" / "cache"
"""Stands for the user's own cache (``XDG_CACHE_HOME``)."""

_ENCODE = """
import threading
from camshaft.demo_camera.clip import Clip
from camshaft.demo_camera.settings import Settings
if Clip.load(Settings()) is None:
    clip = Clip.empty(Settings())
    clip.encode(0, threading.Event(), lambda: None)
    clip.save()
    assert Clip.load(Settings()) is not None
"""


def cache_for(arguments: Collection[str]) -> Path:
    """The cache for a command; where it starts the camera by itself, with the clip of that."""
    return encoded() if {"demo", "--demo-if-none"} & set(arguments) else CACHE


@cache
def encoded() -> Path:
    """The cache, with that clip in it. Blocks until somebody has encoded it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environ = {**os.environ, "XDG_CACHE_HOME": str(CACHE)}
        subprocess.run([sys.executable, "-c", _ENCODE], cwd=ROOT, env=environ, check=True)
    return CACHE
