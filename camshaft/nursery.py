"""Starts the processes of ``serve`` as forks of one that has imported what they need, which is then in memory once.

Rules:

* The nursery is forked from the supervisor while that has no thread, no event loop and no socket, and gets none: it
  waits for one request at a time, and forks. Sockets, threads and event loops are made in the processes themselves.
* A process is forked twice. What is between ends at once, so the kernel gives the orphan to the supervisor, which asks
  for that meanwhile (PR_SET_CHILD_SUBREAPER). Its parent is who waits for it and signals it, as if it had started it.
* A process has what it would have as a program of its own: its arguments, its environment, no input, a session, and of
  descriptors only those that it is given.
* A process begins when the supervisor has taken it over. One that it never heard of, because the nursery died or was
  too slow, ends instead: another was started in its place.
* Where all this cannot be, or while the nursery is gone, processes are started as programs. One that died, or that has
  imported what was installed before, is followed by another: a program of its own (``camshaft.anew``), as the
  supervisor has threads and sockets by then.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import gc
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import msgpack

from camshaft import title
from common.memory import let_code_go
from common.process import EXIT_FAILED
from common.settings import ENV_PREFIX

MAX_REQUEST = 256 << 10  # bytes of arguments and environment; the kernel's own bound for a message is less
MAX_DESCRIPTORS = 16
TIMEOUT = 2.0  # seconds for a fork, which takes milliseconds: the supervisor waits meanwhile, and so does who needs it
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
CONNECTION = "CAMSHAFT_NURSERY_FD"  # environment variable: number of the socket that one which is a program inherits

_FORGET = "_clear_internal_caches" if sys.version_info >= (3, 13) else "_clear_type_cache"
_REPLY = struct.Struct("=i")  # a process id, or an errno's negative
_ERRORS = "surrogateescape"  # as Python has bytes of arguments and of the environment that are no UTF-8

Main = Callable[[Sequence[str]], object]
"""Does what a command line says, and ends by ``SystemExit``."""


class NurseryGoneError(Exception):
    """The nursery is not there any more."""


class Child:
    """A process that we are the parent of, as asyncio's ``Process`` is one that asyncio has started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle = os.pidfd_open(pid)

    async def wait(self) -> int:
        """Wait for its end, once; the exit code, negative for a signal."""
        await _readable(self._handle)
        _, status = os.waitpid(self.pid, 0)  # noqa: ASYNC222 - it has ended
        os.close(self._handle)
        return os.waitstatus_to_exitcode(status)

    def send_signal(self, number: int) -> None:
        """Raises ``ProcessLookupError`` if it has ended."""
        signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The supervisor's end; ``opened`` makes one."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self._pid = pid
        self._connection = connection

    @classmethod
    def opened(cls, modules: Sequence[str], main: Main) -> Nursery | None:
        """Import ``modules`` and fork; ``None`` where the system lacks what is needed. No thread may be there yet."""
        if not _possible():
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _prepare(modules)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        pid = os.fork()
        if not pid:
            ours.close()
            _tend(theirs, main)
        theirs.close()
        ours.settimeout(TIMEOUT)
        return cls(pid, ours)

    @classmethod
    async def anew(cls, command: Sequence[str], within: float) -> Nursery:
        """One that is a program: ``command`` runs ``be``. Raises ``OSError`` if it is not ready within some seconds."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environ = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
            environ[CONNECTION] = str(theirs.fileno())
            theirs.set_inheritable(True)
            pid = os.posix_spawn(command[0], [*command], environ, setsid=True)  # noqa: ASYNC221 - it does not wait
        found = cls(pid, ours)
        try:
            ours.setblocking(False)
            async with asyncio.timeout(within):
                ready = await loop.sock_recv(ours, _REPLY.size)
            _REPLY.unpack(ready)
            ours.settimeout(TIMEOUT)
        except struct.error:
            found.close()
            raise ConnectionResetError(errno.ECONNRESET, "it ended before it was ready") from None
        except BaseException:
            found.close()
            raise
        return found

    async def gone(self) -> None:
        """Wait for its end."""
        try:
            handle = os.pidfd_open(self._pid)
        except ProcessLookupError:
            return
        try:
            await _readable(handle)
        finally:
            os.close(handle)

    def start(self, arguments: Sequence[str], environ: Mapping[str, str], descriptors: Mapping[str, int]) -> Child:
        """Start a process. ``descriptors`` are what it inherits, by the variables that name them to it.

        Raises ``OSError`` for what passes, and ``NurseryGoneError``.
        """
        request = msgpack.packb((arguments, environ, list(descriptors)), unicode_errors=_ERRORS)
        gate, opening = os.pipe()
        try:
            try:
                with _adopting():
                    socket.send_fds(self._connection, [request], [gate, *descriptors.values()])
                    reply = self._connection.recv(_REPLY.size)
                (pid,) = _REPLY.unpack(reply)
            except (OSError, struct.error) as exc:
                raise NurseryGoneError from exc
            if pid < 0:
                raise OSError(-pid, os.strerror(-pid))
            child = Child(pid)
            os.write(opening, b"\0")
            return child
        finally:
            os.close(gate)
            os.close(opening)

    def close(self) -> None:
        """End it. What it has started goes on."""
        self._connection.close()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def be(modules: Sequence[str], main: Main) -> NoReturn:
    """Be the nursery that ``Nursery.anew`` has started, until the supervisor is gone."""
    connection = socket.socket(fileno=int(os.environ[CONNECTION]))
    connection.set_inheritable(False)
    _prepare(modules)
    connection.send(_REPLY.pack(os.getpid()))
    _tend(connection, main)


async def _readable(handle: int) -> None:
    """Wait until a descriptor is: that of a process, until it has ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)


def _prepare(modules: Sequence[str]) -> None:
    """Be ready to fork what shares these modules."""
    _import(modules)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who started us may ignore it; then nobody could wait for a child
    gc.collect()
    _forget_lookups()
    gc.freeze()  # no walk of the collector copies the pages of what was imported
    let_code_go()


def _forget_lookups() -> None:
    """Let go of the names that attributes were looked up by: a fork would do so for each that it looks up, and copy the
    pages in which those names are counted."""
    forget: Callable[[], None] = getattr(sys, _FORGET)
    forget()


def _possible() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))  # Linux 5.3, and allowed here
    except (AttributeError, OSError):
        return False
    return True


def _import(modules: Sequence[str]) -> None:
    """Import them, and nothing of one's name that lies where the operator happens to stand."""
    here = Path.cwd()
    if not sys.flags.safe_path and sys.path[:1] == [str(here)] and here != Path(__file__).parents[1]:
        del sys.path[0]
    for module in modules:
        with suppress(ImportError):  # what cannot do without it will say so
            import_module(module)


@contextmanager
def _adopting() -> Iterator[None]:
    """Orphans become our children meanwhile."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _tend(connection: socket.socket, main: Main) -> NoReturn:
    """Be the nursery until the supervisor is gone."""
    with suppress(PermissionError):  # it has one of its own already
        os.setsid()
    title.become(["camshaft", "nursery"], {})
    while True:
        try:
            request, descriptors, _, _ = socket.recv_fds(connection, MAX_REQUEST, MAX_DESCRIPTORS)
        except OSError:
            request, descriptors = b"", []
        if not request:
            os._exit(0)
        pid = _fork_twice()
        if not pid:
            _grow_up(request, descriptors, main)
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(OSError):  # it is gone, as the next request will tell
            connection.send(_REPLY.pack(pid))


def _fork_twice() -> int:
    """0 in the new process; in this one its id, or the negative of the errno."""
    reading, writing = os.pipe()
    try:
        between = os.fork()
    except OSError as exc:
        os.close(reading)
        os.close(writing)
        return -(exc.errno or 1)
    if not between:
        try:
            pid = os.fork()
        except OSError as exc:
            pid = -(exc.errno or 1)
        if not pid:
            return 0
        os.write(writing, _REPLY.pack(pid))
        os._exit(0)
    os.close(writing)
    reply = os.read(reading, _REPLY.size)
    os.close(reading)
    os.waitpid(between, 0)
    return int(_REPLY.unpack(reply)[0]) if reply else -errno.EAGAIN  # it was killed


def _grow_up(request: bytes, descriptors: Sequence[int], main: Main) -> NoReturn:
    """Be the process that was asked for."""
    gate, *descriptors = descriptors
    if not os.read(gate, 1):
        os._exit(EXIT_FAILED)
    arguments, environ, names = msgpack.unpackb(request, unicode_errors=_ERRORS)
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    kept = {0, 1, 2, *descriptors}
    for descriptor in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if descriptor not in kept:
            with suppress(OSError):  # the one by which they were listed
                os.close(descriptor)
    inherited = {name: str(descriptor) for name, descriptor in zip(names, descriptors, strict=True)}
    title.become(["camshaft", *arguments], environ | inherited)
    sys.argv[1:] = arguments
    code = EXIT_FAILED
    try:
        main(arguments)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else EXIT_FAILED if end.code else 0
    finally:  # nothing of whom it comes from is to be left: no handler, no file's buffer, no frame
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
