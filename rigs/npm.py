"""Packages of npm that tests need, installed once beside the virtual environment."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PATIENCE = 60.0  # seconds that npm may take: frameworks are a hundred megabytes
_OPTIONS = ("--silent", "--fetch-retries=0", "--no-audit", "--no-fund", "--ignore-scripts")


class MissingError(Exception):
    """The packages cannot be had here; says why in a sentence."""


def installed(name: str, packages: Sequence[str]) -> Path:
    """The ``node_modules`` with exactly these packages, each with its version. ``name`` is that of their directory.

    Raises ``MissingError``.
    """
    place = Path(sys.prefix) / name
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run beside each other, and two of npm's spoil each other's work
        return _installed(place, packages)


def _installed(place: Path, packages: Sequence[str]) -> Path:
    whole, wanted = place / "whole", " ".join(packages)
    if whole.exists() and whole.read_text("utf-8") == wanted:
        return place / "node_modules"
    if shutil.which("npm") is None:
        raise MissingError("npm is missing: apt install npm")
    command = ["npm", "install", *_OPTIONS, "--prefix", str(place), *packages]
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise MissingError(f"npm has not installed {wanted} in {PATIENCE:.0f} s") from None
    if done.returncode:
        raise MissingError(f"npm cannot install {wanted} here: {done.stderr[-200:]}")
    whole.write_text(wanted, "utf-8")
    return place / "node_modules"
