"""Lines of the log for whoever follows it on this machine: ``camshaft logs -f``.

A follower listens at a Unix socket in a directory beside the bus, which its owner alone can enter, and which is there
while somebody follows: a broker of an earlier release takes no bus with a file that it does not know. Each process
looks there when it has a line to write, once a second at most, connects, and sends it to all; who does not read misses
lines, and nobody waits. Nothing is kept: what was written before stands where standard error goes.
"""

from __future__ import annotations

import logging
import os
import pwd
import selectors
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

FOLLOWERS = "logs"  # directory within the bus's
SUFFIX = ".sock"
BEGUN = ".new"  # of a socket at which nobody listens yet
MAX_FOLLOWERS = 16  # that are sent to
MAX_PROCESSES = 256  # that a follower listens to; one more is hung up on, and tries again with its next line
LOOK_INTERVAL = 1.0  # seconds
PENDING = 256 << 10  # bytes that wait for a follower, beyond what the kernel holds; a line may have some tens of kB …
MAX_LINE = PENDING  # … and never more than could be sent: who sends more is none of ours, and is hung up on
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
            try:
                line = self.format(record).encode(errors="replace") + b"\n"
            except Exception:  # as in each handler of logging: a library's call whose arguments do not fit, say
                self.handleError(record)
                return
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


def forget_killed(bus: Path) -> None:
    """Remove what followers left that were killed. While one of them is there, the directory is."""
    directory = bus / FOLLOWERS
    with suppress(OSError):  # there is none, or somebody follows
        for path in list(directory.iterdir()):
            ours = path.suffix in (SUFFIX, BEGUN) and stat.S_ISSOCK(path.lstat().st_mode)
            if ours and (connected := _connected(path)) is not None:
                connected.close()
        directory.rmdir()


@contextmanager
def followed(bus: Path) -> Iterator[Iterator[str]]:
    """Each line from now on, as JSON, of every process whose bus is there. Raises ``OSError``.

    Root may follow another user's. Whoever owns the bus could lead it astray, so it is that user while it follows.
    """
    with _as_owner(bus), _listening(bus / FOLLOWERS) as lines:
        yield lines


@contextmanager
def _as_owner(bus: Path) -> Iterator[None]:
    """Have no more rights than the user who could change what is at this path. Raises ``OSError``."""
    user = _owner(bus)
    if os.geteuid() != 0 or user == 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    with ExitStack() as stack:
        stack.callback(os.setgroups, groups)
        os.setgroups([])
        stack.callback(os.setegid, group)
        os.setegid(_group(user))
        stack.callback(os.seteuid, 0)
        os.seteuid(user)
        yield


def _owner(bus: Path) -> int:
    """The user of whatever on the way there (a link, too) is the first that is not root's; else root."""
    path = bus.absolute()
    real = path.resolve(strict=True)
    way = [*reversed(path.parents), path, *reversed(real.parents), real]
    return next((user for each in way if (user := each.lstat().st_uid) != 0), 0)


def _group(user: int) -> int:
    """The user's own group; a directory that root made for the user may be of root's."""
    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return user


@contextmanager
def _listening(directory: Path) -> Iterator[Iterator[str]]:
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / f"{os.getpid()}{SUFFIX}"
    begun = path.with_suffix(BEGUN)
    begun.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener, selectors.DefaultSelector() as selector:
        listener.bind(str(begun))
        try:
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
                if len(begun) >= MAX_PROCESSES:
                    process.close()
                else:
                    begun[process] = b""
                    selector.register(process, selectors.EVENT_READ)
                continue
            data = came.recv(READ)
            *lines, begun[came] = (begun[came] + data).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            if not data or len(begun[came]) > MAX_LINE:
                selector.unregister(came)
                came.close()
                del begun[came]
