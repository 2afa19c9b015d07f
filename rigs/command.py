"""A ``camshaft`` command as somebody types it, in processes of its own, on ports and in directories of its own.

For what the command line promises: what it prints, its exit code, its processes. Tests of what viewers see start the
product with ``rigs.cluster`` instead.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from rigs import demo_clip
from rigs.process import ROOT

BOUND = 40.0  # seconds: more than anything here takes on a busy machine


def wait_until(condition: Callable[[], Any], what: str, bound: float = BOUND) -> Any:
    """Wait for something that tells nobody: the first truthy value of ``condition``."""
    deadline = time.monotonic() + bound
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return value


class Command:
    """The command and everything it starts; a context manager that ends all of it."""

    def __init__(self, directory: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CAMSHAFT_")}
        own = {
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(demo_clip.cache_for(arguments)),
            "CAMSHAFT_HTTP_LISTEN": "127.0.0.1:0",
            "CAMSHAFT_MEDIA_PORT": "0",
            "CAMSHAFT_EGRESS_WORKERS": "1",
            "CAMSHAFT_LOG_FORMAT": "json",
            "CAMSHAFT_BROKER_ADDRESS": f"ipc://{directory}/bus",
        }
        self._errors = (directory / "stderr").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "camshaft", *arguments],
            cwd=directory,
            env=kept | own | dict(environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.page = ""

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            everybody = self.family()
            self.process.terminate()
            try:
                self.process.wait(BOUND)
            finally:
                for process in everybody:
                    if process.is_running():
                        process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()

    @property
    def stderr(self) -> str:
        """Everything on standard error so far."""
        return (self.directory / "stderr").read_text()

    def ready(self) -> Command:
        """Wait for the line that says so."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "http://" in line, f"not ready: {line!r}\n{self.stderr}"
        self.page = "http://" + line.split("http://")[1].split("/")[0]
        return self

    def family(self) -> list[psutil.Process]:
        """The supervisor and its processes, without the one that these are forked from."""
        parent = psutil.Process(self.process.pid)
        return [parent, *(child for child in parent.children(recursive=True) if not _forks_others(child))]

    def child(self, name: str) -> psutil.Process | None:
        """The process of a command (``broker``) or of a node (``egress-0``)."""
        for process in self.family()[1:]:
            try:
                if name in process.cmdline():
                    return process
            except psutil.Error:  # ended while we looked
                continue
        return None

    def get(self, path: str) -> Any:
        """The API's answer, ``None`` if there is none."""
        try:
            with urllib.request.urlopen(self.page + path, timeout=5) as response:
                return json.loads(response.read())
        except (OSError, ValueError):
            return None

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the supervisor, wait for its end, return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(BOUND)


def _forks_others(process: psutil.Process) -> bool:
    try:
        return "nursery" in process.cmdline()
    except psutil.Error:  # ended while we looked
        return False
