"""``serve``: starts the processes of a plan, starts again what dies, and ends all of them together.

Rules:

* Children run in sessions of their own: Ctrl-C reaches the supervisor alone, which then ends them in good order.
* Each child holds the reading end of one pipe whose writing end is here (``common.process``): when the supervisor is
  gone, for whatever reason, so are they.
* Each child holds the writing end of a pipe of its own, by which it gives its pulse. One that is silent is killed and
  started again (``common.heard``).
* What they import is in memory once, where the system can do that (``camshaft.nursery``).
* Their standard error is ours; a line of log names its node.
* The configuration is watched here alone. That it has changed is passed on by SIGHUP, to those that take it while they
  run (``camshaft.children``).
* An egress may have a successor beside it, which takes all that it has when it ends, and its name
  (``egress.succession``). One is started where the egress asks for it, because it was told to end, and for a roll.
* To systemd we speak for all of them.
* What is in reserve begins when it is needed, and ends when it is not (``camshaft.reserves``).
* SIGUSR2 has all of them replaced, one after the other, by what is installed now (``camshaft.rolling``), the nursery
  first.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from camshaft.children import Children
from camshaft.nursery import Nursery
from camshaft.plan import Program
from camshaft.reserves import reserves_of, tend
from camshaft.restarts import HOPELESS, Restarts
from camshaft.rolling import roll
from camshaft.starter import Starter
from camshaft.successions import Successions
from common import process, systemd
from common.config import DrainConfig
from common.demand import DEMAND_FD
from common.live import within
from common.log import get_logger
from common.pulse import PULSE_FD

STOP_GRACE = 3.5  # seconds for a clean end, before SIGKILL; the whole must be over in 5
SECOND_SIGNAL = 0.1  # seconds from the first SIGTERM
READY_INTERVAL = 0.1  # seconds between questions whether the cluster is ready
NOT_READY_AFTER = 15.0  # seconds after which the log says why it is not

SECOND_CLUSTER = (
    "a second cluster on this machine needs --http-listen, --broker-address, --media-port and --store-path of its own, "
    "or CAMSHAFT_HTTP_LISTEN and so on"
)

Ready = Callable[[], Awaitable[tuple[bool, str]]]


class Supervisor:
    """Runs ``programs`` until it is told to stop, or until one of them cannot start.

    ``ready`` is asked until the cluster is ready, and ``announce`` is called then, once. A program's arguments are
    appended to ``command``, unless there is a ``nursery``, which forks it; ``nursery_command`` starts another when that
    is gone. ``inherited`` are further descriptors for all, by the variables that name them. ``drain`` is how many
    seconds a process may take to hand over what it has.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        ready: Ready,
        announce: Callable[[], None],
        command: Sequence[str],
        inherited: Mapping[str, int] = MappingProxyType({}),
        nursery: Nursery | None = None,
        nursery_command: Sequence[str] = (),
        drain: float = DrainConfig().timeout,
    ) -> None:
        self._programs = programs
        self._drain = drain
        self._ready = ready
        self._announce = announce
        self._starter = Starter(command, inherited, nursery, nursery_command)
        self._restarts = {program.name: Restarts() for program in programs}
        self._children = Children(lambda name: self._restarts[name].pulsed(time.monotonic()))
        self._renewed: set[str] = set()  # of what is to be started again at once when it ends
        self._leaving: set[str] = set()  # of what is not to be started again
        self._keepers: dict[str, asyncio.Task[None]] = {}  # by program
        self._group: asyncio.TaskGroup | None = None
        self._successions = Successions(programs, self._children, self._start_heir)
        self.stand_by, self.stands_by = self._successions.stand_by, self._successions.stands_by
        self.kill, self.process = self._children.kill, self._children.process
        self._pipe = -1
        self._rolling: asyncio.Task[None] | None = None
        self._is_ready = False
        self._stop = asyncio.Event()
        self._exit_code = process.EXIT_OK
        self._log = get_logger()

    async def run(self, stop: asyncio.Event) -> int:
        """Run until ``stop``; returns the exit code. Uses the main thread's signals: a second Ctrl-C ends at once."""
        self._stop = stop
        self._take_signals()
        reading, writing = os.pipe()  # neither is inherited, unless named
        self._successions.open()
        try:
            async with asyncio.TaskGroup() as group:
                self._group, self._pipe = group, reading
                for program in self._programs:
                    if not program.reserve:
                        self._keepers[program.name] = group.create_task(self._keep(program, reading))
                tended = (self._wait_until_ready(), self._children.watch(), self._starter.keep_nursery())
                others = [group.create_task(each) for each in (*tended, self._tend_reserves())]
                await stop.wait()
                systemd.notify(systemd.STOPPING)
                for task in (*others, *([self._rolling] if self._rolling is not None else [])):
                    task.cancel()
                await self._end_all([*self._keepers.values(), *self._successions.heirs])
        finally:
            os.close(reading)
            os.close(writing)
            self._successions.close()
            self._starter.leave_nursery()
        return self._exit_code

    def reload(self, changed: Collection[str]) -> None:
        """Have the programs that take one of the keys ``changed`` read the configuration again, and the broker anyway:
        it knows of each camera on which line it stands."""
        taking = [each for each in self._programs if any(within(key, each.live) for key in ("cameras", *changed))]
        self._children.reload(self._successions.with_heirs(program.name for program in taking))

    # See ``camshaft.rolling.Fleet``.

    def begin(self, program: Program) -> None:
        """Run a program that is not of the plan."""
        assert self._group is not None, "it runs"
        self._restarts[program.name] = Restarts(proven=True)
        self._keepers[program.name] = self._group.create_task(self._keep(program, self._pipe))

    def renew(self, name: str) -> None:
        """Tell it to end in good order, and start it again when it has."""
        if name in self._children.names:
            self._renewed.add(name)
            self._children.terminate(name)

    def leave(self, name: str) -> None:
        """Tell it to end in good order, and start it no more."""
        self._leaving.add(name)
        self._children.terminate(name)

    def failures(self, name: str) -> int:
        """How often in a row it has ended since it was well last."""
        return self._restarts[name].ends_in_a_row

    def _start_heir(self, program: Program, name: str) -> asyncio.Task[int] | None:
        if self._group is None or self._stop.is_set() or program.name in self._leaving:
            return None
        self._restarts[name] = Restarts(proven=True)
        return self._group.create_task(self._run_once(program, self._pipe, name))

    async def _tend_reserves(self) -> None:
        those, heard = reserves_of(self._programs), self._children
        await tend(
            those, self.begin, self.leave, lambda: (_kept(self._keepers), heard.demands), self._rolls, heard.told
        )

    def _rolls(self) -> bool:
        return self._rolling is not None and not self._rolling.done()

    def _upgrade(self) -> None:
        """SIGUSR2 has come."""
        if self._stop.is_set() or self._rolls() or not self._is_ready or self._group is None:
            self._log.warning("SIGUSR2 ignored: an upgrade is already running, or the cluster is not ready")
            return
        self._rolling = self._group.create_task(self._roll())

    async def _roll(self) -> None:
        self._log.info("upgrade begins: replacing every process, workers first and the broker last")
        self._starter.renew_nursery()  # what that has imported is what was installed before
        await self._starter.nursery_followed()
        staying = [each for each in self._programs if each.name in _kept(self._keepers) - self._leaving]
        done = await roll(staying, self, drain=self._drain)
        self._starter.settle(anew=done)  # else what dies at night starts as it was, and not as what cannot begin
        if done:
            self._log.info("upgrade is done")

    async def _keep(self, program: Program, pipe: int) -> None:
        restarts = self._restarts[program.name]
        while not self._stop.is_set() and program.name not in self._leaving:
            restarts.started(time.monotonic())
            if (code := await self._successions.succeed(program.name)) is None:
                code = await self._run_once(program, pipe)
            if self._stop.is_set() or program.name in self._leaving:
                break
            if program.name in self._renewed or self.stands_by(program.name) is not None:  # whatever it died of
                self._renewed.discard(program.name)
                continue
            pause = restarts.ended(code, time.monotonic())
            if pause is None:
                self._give_up(program, code)
                return
            self._log.warning("process ended, starting it again", program=program.name, end=_told(code), pause=pause)
            await _wait_for(self._stop, pause)
        self._leaving.discard(program.name)

    async def _run_once(self, program: Program, pipe: int, name: str = "") -> int:
        """Start the program, perhaps by another name; wait for its end, return its exit code, negative for a signal."""
        try:
            (hearing, beating), (asked, telling) = os.pipe(), os.pipe()
            try:
                passed = {process.SUPERVISOR_FD: pipe, PULSE_FD: beating}
                if program.tells:
                    passed[DEMAND_FD] = telling
                child = await self._starter.start(self._successions.placed(program), passed)
            except BaseException:
                for end in (hearing, asked):
                    os.close(end)
                raise
            finally:
                for end in (beating, telling):
                    os.close(end)
        except OSError as exc:  # no memory, too many processes or files: that passes
            self._log.error("process cannot be started", program=program.name, reason=exc.strerror)
            return process.EXIT_FAILED
        self._log.debug("process started", program=program.name, pid=child.pid)
        if self._stop.is_set():  # it came just now, and this child was not there to be told
            child.terminate()
        pipes, looks = (hearing, asked), program.hung_looks
        return await self._children.ended(name or program.name, child, *pipes, hung_looks=looks, cpu=program.cpu)

    def _give_up(self, program: Program, code: int) -> None:
        if code in HOPELESS:
            why = "see its own message above"
        else:
            why = f"it ended {self._restarts[program.name].ends_in_a_row} times in a row, last {_told(code)}"
        _tell(f"{program.name} cannot start ({why}); everything else is stopped.")
        if code == process.EXIT_ADDRESS_IN_USE:
            _tell(f"If that is another camshaft: {SECOND_CLUSTER}.")
        self._exit_code = code if code in HOPELESS else process.EXIT_FAILED
        self._stop.set()

    async def _wait_until_ready(self) -> None:
        warn_at = time.monotonic() + NOT_READY_AFTER
        while True:
            ready, answer = await self._ready()
            if ready:
                break
            if time.monotonic() >= warn_at:
                self._log.warning("not ready yet", reason=answer)
                warn_at = time.monotonic() + NOT_READY_AFTER
            await asyncio.sleep(READY_INTERVAL)
        for restarts in self._restarts.values():  # also of what is between two starts just now
            restarts.proven = True
        self._is_ready = True
        systemd.notify(systemd.READY)
        self._announce()

    async def _end_all(self, keepers: Sequence[asyncio.Task[Any]]) -> None:
        # Twice, which says that they are not to take time for it: nobody is left who could take over what they have.
        self._children.signal_all(signal.SIGTERM)
        await asyncio.wait(keepers, timeout=SECOND_SIGNAL)
        self._children.signal_all(signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=STOP_GRACE - SECOND_SIGNAL)
        if late:
            self._log.warning("processes did not end in time; killing them", programs=sorted(self._children.names))
            self._children.signal_all(signal.SIGKILL)

    def _take_signals(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupted)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, self._upgrade)

    def _interrupted(self) -> None:
        if self._stop.is_set():
            self._children.signal_all(signal.SIGKILL)
        self._stop.set()


async def _wait_for(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def _kept(keepers: Mapping[str, asyncio.Task[None]]) -> set[str]:
    """The programs that run, or will in a moment."""
    return {name for name, keeper in keepers.items() if not keeper.done()}


def _told(code: int) -> str:
    """An exit code as people say it."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


def _tell(sentence: str) -> None:
    print(f"camshaft: {sentence}", file=sys.stderr, flush=True)
