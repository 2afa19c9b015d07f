"""Lines of the log for whoever follows it on this machine: ``camshaft logs -f``.

A follower listens at a Unix socket in a directory beside the bus, which its owner alone can enter, and which is there
while somebody follows: a broker of an earlier release takes no bus with a file that it does not know. Each process
looks there when it has a line to write, once a second at most, connects, and sends it to all; who does not read misses
lines, and nobody waits. Nothing is kept: what was written before stands where standard error goes.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLLOWERS = "logs"  # directory within the bus's
SUFFIX = ".sock"
MAX_FOLLOWERS = 16  # that are sent to
MAX_PROCESSES = 256  # that a follower listens to
LOOK_INTERVAL = 1.0  # seconds
PENDING = 256 << 10  # bytes that wait for a follower, beyond what the kernel holds; a line may have some tens of kB
READ = 64 << 10  # bytes


class Taps(logging.Handler):
    """Sends lines to those who follow. ``clock`` gives monotonic seconds."""

    def __init__(self, bus: Path, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._directory = bus / FOLLOWERS
        self._clock = clock
        self._next_look = 0.0
        self._followers: dict[str, _Follower] = {}  # by the name of its socket

    def close(self) -> None:
        """Send nothing more."""
        for follower in self._followers.values():
            follower.socket.close()
        self._followers.clear()
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line to whoever follows."""
        if (now := self._clock()) >= self._next_look:
            self._next_look = now + LOOK_INTERVAL
            self._look()
        if self._followers:
            line = self.format(record).encode(errors="replace") + b"\n"
            for name in [name for name, follower in self._followers.items() if not follower.send(line)]:
                self._followers.pop(name).socket.close()

    def _look(self) -> None:
        try:
            found = sorted(entry.name for entry in os.scandir(self._directory) if entry.name.endswith(SUFFIX))
        except OSError:  # there is no bus
            return
        for name in found[:MAX_FOLLOWERS]:
            if name not in self._followers and (connected := _connected(self._directory / name)) is not None:
                self._followers[name] = _Follower(connected)


class _Follower:
    """One that a process sends to, without ever waiting."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self._pending = b""  # the rest of what it has begun to get

    def send(self, line: bytes) -> bool:
        """Whether it is there yet. A line for which there is no room is left out."""
        if len(self._pending) + len(line) <= PENDING:
            self._pending += line
        try:
            sent = self.socket.send(self._pending)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._pending = self._pending[sent:]
        return True


def _connected(path: Path) -> socket.socket | None:
    """A connection to the follower there; what is left of one that was killed is removed."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        made.connect(str(path))
    except ConnectionRefusedError:
        with suppress(OSError):
            path.unlink()
    except OSError:  # it has many to accept, or is none
        pass
    else:
        return made
    made.close()
    return None


@contextmanager
def followed(bus: Path) -> Iterator[Iterator[str]]:
    """Each line from now on, as JSON, of every process whose bus is there. Raises ``OSError``."""
    directory, owner = bus / FOLLOWERS, bus.stat()
    directory.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:  # who may follow another user's
        os.chown(directory, owner.st_uid, owner.st_gid)
    path = directory / f"{os.getpid()}{SUFFIX}"
    begun = path.with_suffix(".new")
    begun.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, selectors.DefaultSelector() as selector:
        listener.bind(str(begun))
        try:
            begun.chmod(0o666)  # root may follow another user's; the directory keeps all others out
            listener.listen(MAX_PROCESSES)
            begun.rename(path)  # only now: one that does not listen is taken for what is left of a follower
            selector.register(listener, selectors.EVENT_READ)
            yield _lines(listener, selector)
        finally:
            for each in (begun, path):
                each.unlink(missing_ok=True)
            with suppress(OSError):  # others follow
                directory.rmdir()
            for key in list(selector.get_map().values()):
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()


def _lines(listener: socket.socket, selector: selectors.BaseSelector) -> Iterator[str]:
    begun: dict[socket.socket, bytes] = {}  # of each process, the line whose end has not come
    while True:
        for key, _ in selector.select():
            came = key.fileobj
            assert isinstance(came, socket.socket)
            if came is listener:
                process, _ = listener.accept()
                begun[process] = b""
                selector.register(process, selectors.EVENT_READ)
                continue
            data = came.recv(READ)
            *lines, begun[came] = (begun[came] + data).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            if not data:
                selector.unregister(came)
                came.close()
                del begun[came]
