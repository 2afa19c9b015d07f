"""A process that has imported the product, and becomes ``camshaft serve`` as often as a test wants a cluster.

A second of CPU goes into importing what a cluster is made of, and nothing of it is what most tests are about. It is the
product's own nursery (``camshaft.nursery``) that forks here, so whoever begins so is the child of who asked. It has
the directory, the environment, the network namespace and the number of descriptors of that, as a program would.
"""

from __future__ import annotations

import atexit
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from camshaft.nursery import CONNECTION, Nursery, NurseryGoneError
from rigs.process import ROOT

DIRECTORY, DESCRIPTORS, OUTPUT, NETWORK = (
    f"CRADLE_{name}" for name in ("DIRECTORY", "DESCRIPTORS", "OUTPUT", "NETWORK")
)
READY_WITHIN = 60.0  # seconds to import everything
_TITLE = "-" * 200  # room for what others see as its arguments: more than any of a cluster's processes has
_NAMESPACE = Path("/proc/thread-self/ns/net")


class Begun:
    """A process that was begun so, with what tests of clusters take of ``subprocess.Popen``."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None
        self._lock = threading.Lock()  # who waits in a thread, and who looks meanwhile

    def poll(self) -> int | None:
        """The exit code, negative for a signal; ``None`` while it runs."""
        with self._lock:
            if self._code is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self._code = os.waitstatus_to_exitcode(status)
            return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; the exit code. Raises ``subprocess.TimeoutExpired`` after so many seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        handle = os.pidfd_open(self.pid) if self._code is None else -1
        try:
            while (code := self.poll()) is None:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    raise subprocess.TimeoutExpired("camshaft serve", timeout or 0.0)
                select.select([handle], [], [], left)
            return code
        finally:
            if handle >= 0:
                os.close(handle)

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Cradle:
    """The process; whoever makes one waits until it is ready. Raises ``OSError``."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environ = {**os.environ, "PYTHONPATH": str(ROOT), CONNECTION: str(theirs.fileno())}
            theirs.set_inheritable(True)
            command = [sys.executable, "-m", "rigs.cradle_program", _TITLE]
            no_input = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
            pid = os.posix_spawn(sys.executable, command, environ, file_actions=[no_input])
        self._nursery, self._world = Nursery(pid, ours), _NAMESPACE.readlink()
        atexit.register(self._nursery.close)
        ours.settimeout(READY_WITHIN)
        if not ours.recv(64):
            raise ConnectionResetError("the cradle ended before it was ready")

    def begin(self, arguments: Sequence[str], directory: Path, environ: Mapping[str, str], output: int) -> Begun:
        """Begin ``camshaft`` with these arguments. Raises ``OSError``, and ``NurseryGoneError``."""
        limits = ":".join(map(str, resource.getrlimit(resource.RLIMIT_NOFILE)))
        environ = {**environ, DIRECTORY: str(directory), DESCRIPTORS: limits}
        descriptors = {OUTPUT: output}
        network = os.open(_NAMESPACE, os.O_RDONLY)
        try:
            if _NAMESPACE.readlink() != self._world:
                descriptors[NETWORK] = network
            child = self._nursery.start(arguments, environ, descriptors)
        finally:
            os.close(network)
        os.close(child._handle)  # noqa: SLF001 - we wait for it otherwise
        return Begun(child.pid)


_ours: list[Cradle] = []


def begin(arguments: Sequence[str], directory: Path, environ: Mapping[str, str], output: int) -> Begun:
    """Begin ``camshaft`` from the cradle of this process, which is made for the first one. Raises ``OSError``."""
    while True:
        if not _ours:
            _ours.append(Cradle())
        try:
            return _ours[-1].begin(arguments, directory, environ, output)
        except NurseryGoneError:  # as after a fork of who made it, or by the kernel's choice
            _ours.clear()
