"""A WHEP viewer that nobody here wrote, pion's WebRTC in Go: built once beside the virtual environment."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("pion_viewer")
PATIENCE = 180.0  # seconds that fetching and building may take


class MissingError(Exception):
    """The program cannot be built here; says why in a sentence."""


def viewer() -> Path:
    """The program. Raises ``MissingError``."""
    if shutil.which("go") is None:
        raise MissingError("go is missing: apt install golang")
    place = Path(sys.prefix) / "pion-viewer"
    place.mkdir(exist_ok=True)
    program = place / "viewer"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        newest = max(each.stat().st_mtime for each in SOURCE.iterdir())
        if not program.exists() or program.stat().st_mtime < newest:
            _build(program)
    return program


def _build(program: Path) -> None:
    command = ["go", "build", "-o", str(program), "."]
    try:
        done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise MissingError(f"go has not built it in {PATIENCE:.0f} s") from None
    if done.returncode:
        raise MissingError(f"go cannot build it here: {done.stderr[-200:]}")
