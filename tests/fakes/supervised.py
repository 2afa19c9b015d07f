"""``serve`` in a process of its own, and its programs, which are those of ``tests/fakes/program.py``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
BOUND = 60.0  # seconds: more than anything here takes on a busy machine


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Cluster:
    """A supervisor in a process of its own, and what its programs wrote down."""

    def __init__(self, directory: Path, programs: dict[str, str]) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(ROOT / "tests/fakes/serve.py"),
                str(directory),
                *(f"{name}={behaviour}" for name, behaviour in programs.items()),
            ],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def pids(self, name: str) -> list[int]:
        """One line for every start of a program."""
        try:
            return [int(line) for line in (self.directory / name).read_text().split()]
        except FileNotFoundError:
            return []

    def started(self, name: str, times: int = 1) -> int:
        """Wait until a program was started so many times; the newest one's process id."""
        wait_until(lambda: len(self.pids(name)) >= times, f"{name} was not started {times} times")
        return self.pids(name)[times - 1]

    def become_ready(self) -> None:
        (self.directory / "ready").touch()
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def end(self) -> tuple[int, str, str]:
        """Wait for the end: exit code, standard output, standard error."""
        out, err = self.process.communicate(timeout=BOUND)
        return self.process.returncode, out, err

    def everybody(self) -> list[int]:
        return [
            pid
            for file in self.directory.iterdir()
            if file.name not in ("ready", "changed")
            for pid in self.pids(file.name)
        ]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    caught = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def logged(err: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.splitlines() if line.startswith("{")]
