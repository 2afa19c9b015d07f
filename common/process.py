"""The frame of every process of ours: the event loop, signals, and ending when its supervisor is gone.

A supervised process inherits the reading end of a pipe whose writing end only the supervisor holds. When the
supervisor dies, even by SIGKILL, the pipe ends; a thread that does nothing else sees it and stops the process. That
needs no cooperation of the event loop, and works on every POSIX system. By a second pipe the supervisor hears that the
loop works, see ``common.pulse``. A process without supervisor ends itself when its loop hangs (``common.own_watch``):
whoever keeps it running (Docker, systemd) starts it again. Not at a terminal, where a person sees that it hangs and may
be looking at it with a debugger.

SIGTERM means "end in good order": a worker that drains takes its time for that, and a second SIGTERM ends it at once.
So do SIGINT, by which a person asks, and the supervisor's death.

SIGHUP means "read your configuration again", as to most services. Only where it says that the process's terminal is
gone does it mean the end, as a person who closes a window expects.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import resource
import signal
import stat
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import psutil

from common.control import Load
from common.errors import AddressInUseError, CamshaftError, ConfigError, NotNowError
from common.heard import HUNG_LOOKS
from common.log import get_logger
from common.memory import free_bytes, let_code_go_aside
from common.own_watch import OwnWatch
from common.pulse import PULSE_FD, Pulse
from common.systemd import STOPPING, notify, watchdog

EXIT_OK, EXIT_FAILED, EXIT_CONFIG, EXIT_ADDRESS_IN_USE, EXIT_NOT_NOW = 0, 1, 2, 3, 4
SUPERVISOR_FD = "CAMSHAFT_SUPERVISOR_FD"  # environment variable: number of the inherited pipe
ORPHAN_GRACE = 3.0  # seconds that a process has for a clean end after its supervisor died
LOAD_INTERVAL = 0.5  # seconds: a share of CPU over less is noise
MEMORY_INTERVAL = 5.0  # seconds: to read it takes half of what a report does in an idle process
_SCHEDSTAT = Path("/proc/thread-self/schedstat")  # of whoever opens it: seconds with a core, without one, and slices
FILES = 16_384  # the kernel's table of them has 128 kB then; the largest defaults of limits are 10,000
BEGUN = 5.0  # seconds after which what only the start needed is let go
GC_THRESHOLDS = 2_000, 10, 50
"""Thresholds of the garbage collector's generations. By Python's own it walks through every object there is whenever
their number has grown by a quarter: with a thousand viewers that stopped all pictures for 130 ms, each time in a
rush of new ones. Reference counts free what ends here (of viewers a test holds that), so the oldest generation can
wait until a million objects more have come than gone."""


class Stop(asyncio.Event):
    """Set when the process is to end in good order; ``at_once`` is set when it is to take no time for that."""

    def __init__(self) -> None:
        super().__init__()
        self.at_once = asyncio.Event()

    def ask(self, *, at_once: bool = False) -> None:
        """Ask for the end, perhaps again."""
        if at_once or self.is_set():
            self.at_once.set()
        self.set()


def run(
    main: Callable[[Stop], Awaitable[None]],
    on_hang_up: Callable[[], None] | None = None,
    *,
    pulse: float | None = None,
    hung_looks: int = HUNG_LOOKS,
    lean: bool = True,
) -> int:
    """Run ``main`` on an event loop and return the process's exit code.

    ``main`` gets an event that SIGTERM, SIGINT or the supervisor's death sets, and has to return then. ``on_hang_up``
    is called on the loop when SIGHUP asks for the configuration to be read again, ``pulse`` are the seconds between
    two beats of its pulse where these are not the usual ones, ``hung_looks`` those after which it hangs
    (``common.heard``). ``lean`` lets code go that only the start of the process needed.

    An error of ours is shown as one sentence, others as their traceback. EXIT_CONFIG is for what starting again cannot
    mend, EXIT_ADDRESS_IN_USE and EXIT_NOT_NOW for what may pass by itself, though not at once.
    """
    pipe, beating = inherited_pipe(SUPERVISOR_FD), inherited_pipe(PULSE_FD)
    by_systemd = watchdog()
    own = OwnWatch(hung_looks) if beating is None and by_systemd is None and not _terminals() else None
    make_room_for_files(raise_file_limit())
    forgo_core_dumps()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            beats = partial(Pulse, beating, by_systemd, pulse, None if own is None else own.beat)
            with nullcontext() if own is None else own:
                runner.run(_until_stopped(main, pipe, beats, on_hang_up, lean=lean))
    except (CamshaftError, ExceptionGroup) as exc:
        cause = _first_of_ours(exc)
        if cause is None:
            raise
        print(f"camshaft: {cause}", file=sys.stderr)  # the operator's terminal, also before logs exist
        return exit_code(cause)
    return EXIT_OK


def supervised() -> bool:
    """Whether a supervisor has started this process; to be asked before ``run``."""
    return SUPERVISOR_FD in os.environ


def exit_code(error: CamshaftError) -> int:
    """The exit code that tells a supervisor whether starting again can help."""
    if isinstance(error, NotNowError):
        return EXIT_NOT_NOW
    if isinstance(error, ConfigError):
        return EXIT_CONFIG
    return EXIT_ADDRESS_IN_USE if isinstance(error, AddressInUseError) else EXIT_FAILED


class LoadMeter:
    """Measures this process's share of a core between two calls, and its resident memory."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._cpu, self._wall = time.process_time(), time.monotonic()
        self._memory_at = self._wall
        self._last = Load(0.0, self._process.memory_info().rss, free_bytes())

    def read(self) -> Load:
        """CPU share, at most half a second old, and memory, at most five."""
        cpu, wall = time.process_time(), time.monotonic()
        if wall - self._wall >= LOAD_INTERVAL:
            share = round((cpu - self._cpu) / (wall - self._wall), 4)
            self._cpu, self._wall = cpu, wall
            memory, free = self._last.memory, self._last.free
            if wall - self._memory_at >= MEMORY_INTERVAL:
                self._memory_at, memory, free = wall, self._process.memory_info().rss, free_bytes()
            self._last = Load(share, memory, free)
        return self._last


class CoreWaits:
    """How long the thread that made it, and no other, waited for a core: it could have run, and others had one.

    Linux counts a wait when it is over (Documentation/scheduler/sched-stats.rst, "/proc/<pid>/schedstat").
    """

    def __init__(self) -> None:
        self._file: int | None = None
        with contextlib.suppress(OSError):  # kept open: to open it for each look takes three times as long
            self._file = os.open(_SCHEDSTAT, os.O_RDONLY)
            weakref.finalize(self, os.close, self._file)

    @property
    def seconds(self) -> float:
        """Seconds so far; 0 where the system does not say."""
        try:
            return int(os.pread(self._file, 100, 0).split()[1]) / 1e9 if self._file is not None else 0.0
        except (OSError, ValueError, IndexError):
            return 0.0


def forgo_core_dumps() -> None:
    """Leave no copy of this process's memory, which holds passwords and keys, on a disk when it crashes.

    Whoever needs one allows it for a process that runs: ``prlimit --core=unlimited --pid PID``.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def raise_file_limit() -> int:
    """Allow this process as many open files as the system lets it have; returns how many those are.

    Debian's default of 1,024 is for programs that use ``select``; each viewer's connection and each camera is a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # macOS names a hard limit that it does not grant
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def make_room_for_files(most: int) -> None:
    """Have the kernel's table of this process's open files as large as it may get, ``FILES`` and ``most`` at the most.

    Linux doubles it as files are opened. Where the process has threads, that waits until every processor has been
    elsewhere (synchronize_rcu in ``expand_files``): 6 to 15 ms in which the event loop stands still, and hundreds on a
    busy machine, whenever a crowd of connections comes. So it is done before there are threads. A fork does it anew.
    """
    with Path(os.devnull).open("rb") as some, contextlib.suppress(OSError):
        os.close(fcntl.fcntl(some, fcntl.F_DUPFD_CLOEXEC, min(most, FILES) - 1))


@contextmanager
def memory_limit(mebibytes: int) -> Iterator[None]:
    """Let this process have at most that much memory of its own, in MiB, meanwhile; 0 is no limit of ours.

    What would take it past that fails with ``MemoryError``, or ends the process, and not the machine. A stricter limit
    that the system has set stays. Linux counts threads' stacks and what was mapped; macOS does not enforce it.
    """
    before = soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = mebibytes << 20
    stricter = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    if mebibytes:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, (min([wanted, *stricter]), hard))
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_DATA, before)


async def _until_stopped(
    main: Callable[[Stop], Awaitable[None]],
    pipe: int | None,
    pulse: Callable[[], Pulse],
    on_hang_up: Callable[[], None] | None,
    *,
    lean: bool,
) -> None:
    beating = pulse()  # first: by the time that we listen to signals we have been heard
    stop = Stop()
    loop = asyncio.get_running_loop()

    def end(*, at_once: bool = True) -> None:
        notify(STOPPING)
        stop.ask(at_once=at_once)

    loop.add_signal_handler(signal.SIGTERM, partial(end, at_once=False))
    loop.add_signal_handler(signal.SIGINT, end)
    if pipe is not None:  # by the supervisor, which alone speaks to terminals and to whoever uses nohup
        loop.add_signal_handler(signal.SIGHUP, _hung_up, [], end, on_hang_up)
    elif signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:  # under nohup it is ignored already
        loop.add_signal_handler(signal.SIGHUP, _hung_up, _terminals(), end, on_hang_up)
    if pipe is not None:
        threading.Thread(target=_watch_supervisor, args=(pipe,), name="supervisor-watch", daemon=True).start()
    gc.collect()
    gc.freeze()  # what was imported stays, and needs no walk
    gc.set_threshold(*GC_THRESHOLDS)
    if lean:
        loop.call_later(BEGUN, let_code_go_aside)
    try:
        await main(stop)
    finally:
        beating.stop()


def _terminals() -> list[int]:
    """Which of our standard streams are a terminal."""
    return [stream for stream in (0, 1, 2) if os.isatty(stream)]


def _hung_up(terminals: list[int], end: Callable[[], None], on_hang_up: Callable[[], None] | None) -> None:
    """SIGHUP has come; ``terminals`` are those of our streams that were one at the start."""
    if terminals and not any(map(os.isatty, terminals)):
        end()  # nobody can be told: there is no terminal any more
    elif on_hang_up is not None:
        on_hang_up()
    else:
        get_logger().info("SIGHUP ignored: this process has no settings that can change while it runs")


def inherited_pipe(variable: str) -> int | None:
    """The pipe that was inherited by this variable; ``None`` where there is none, or it is stale and names no pipe."""
    number = os.environ.pop(variable, "")
    try:
        pipe = int(number)
        return pipe if stat.S_ISFIFO(os.fstat(pipe).st_mode) else None
    except (ValueError, OverflowError, OSError):
        return None


def _watch_supervisor(pipe: int) -> None:
    os.read(pipe, 1)  # nobody ever writes: it returns at end of file
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(ORPHAN_GRACE)
    os._exit(EXIT_FAILED)


def _first_of_ours(error: BaseException) -> CamshaftError | None:
    """The error to show: only if every error in the group is one of ours does a sentence tell the whole story."""
    if isinstance(error, BaseExceptionGroup):
        causes = [_first_of_ours(inner) for inner in error.exceptions]
        return causes[0] if all(causes) else None
    return error if isinstance(error, CamshaftError) else None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # not on this platform: slower, otherwise the same
        return asyncio.new_event_loop
    return uvloop.new_event_loop
