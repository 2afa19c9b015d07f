"""Processes of ``serve`` while they run: their pulses are heard, what hangs is killed, and signals reach them.

Pulses are heard when the supervisor looks, all of them together: each by itself would wake it as often as there are
processes. How much there is to do is told seldom, and heard at once: somebody waits for the process that begins by it.

A process that is to read its configuration again is told so by SIGHUP, and not before it has shown that it listens to
signals: until then SIGHUP would end it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Callable, Collection
from contextlib import suppress

from camshaft.cores import keep_to, let_go
from camshaft.nursery import Child
from common.demand import Demand
from common.heard import HUNG_LOOKS, LOOK_INTERVAL, Heard
from common.log import get_logger
from common.moments import moment
from common.onlooker import Condition, Onlooker

BEATEN = 0.005  # seconds after a moment at which all that beat at it have done so
PULSE_BYTES = 4_096  # read at once: a second's byte, or an hour's after we were stopped


class Children:
    """The processes that run, by the names of their programs. ``on_beat`` is called with each whose pulse was heard."""

    def __init__(self, on_beat: Callable[[str], None]) -> None:
        self._on_beat = on_beat
        self._running: dict[str, Process | Child] = {}
        self._pulses: dict[str, Heard] = {}  # of what is running
        self._onlookers: dict[int, Onlooker] = {}  # at those of which a beat is missing, by the process's number
        self._kept: set[int] = set()  # those that keep to a core
        self._hearing: dict[str, int] = {}  # our ends of their pipes
        self._asked: dict[str, int] = {}  # … and of those by which some tell how much they have to do
        self.demands: dict[str, Demand] = {}  # what these have told
        self.told = asyncio.Event()  # one of them has told another than before
        self._to_tell: set[str] = set()  # of what is to read its configuration again
        self._names: dict[int, str] = {}  # by our end of its pulse
        self._news = asyncio.Event()  # another runs
        self._log = get_logger()

    @property
    def names(self) -> Collection[str]:
        """The programs that run."""
        return self._running.keys()

    def process(self, name: str) -> int | None:
        """The number of its process, if it runs and listens to signals."""
        running = self._running.get(name)
        return running.pid if running is not None and self._pulses[name].listens else None

    async def begun(self, name: str) -> None:
        """Wait until it runs."""
        while name not in self._running:
            self._news.clear()
            await self._news.wait()

    async def ended(
        self,
        name: str,
        child: Process | Child,
        hearing: int,
        asked: int | None = None,
        *,
        hung_looks: int = HUNG_LOOKS,
        cpu: int | None = None,
    ) -> int:
        """Wait for the end of a process that has just begun; its exit code.

        ``hearing`` is our end of its pulse, ``asked`` our end of the pipe for its demand, if it tells that.
        ``hung_looks`` is the silence after which it is killed, ``cpu`` the core that it keeps to, if it is to.
        """
        if cpu is not None:
            keep_to(child.pid, cpu)
            self._kept.add(child.pid)
        self._running[name], self._pulses[name], self._hearing[name] = child, Heard(hung_looks), hearing
        self._names[hearing] = name
        self._news.set()
        pipes = [pipe for pipe in (hearing, asked) if pipe is not None]
        for pipe in pipes:
            os.set_blocking(pipe, False)
        if asked is not None:
            self._asked[name] = asked
            asyncio.get_running_loop().add_reader(asked, self._hear_demand, asked)
        try:
            return await child.wait()
        finally:
            name = self._names.pop(hearing)  # it may have another by now
            del self._running[name], self._pulses[name], self._hearing[name]
            if asked is not None:
                self._asked.pop(name, None)
                asyncio.get_running_loop().remove_reader(asked)
            self.demands.pop(name, None)
            self._onlookers.pop(child.pid, None)
            self._kept.discard(child.pid)
            for pipe in pipes:
                os.close(pipe)

    def rename(self, name: str, other: str) -> None:
        """Call what runs by ``name`` by the ``other`` one, which nothing else has."""
        assert other not in self._running, "the previous one has ended"
        self._running[other], self._pulses[other] = self._running.pop(name), self._pulses.pop(name)
        self._hearing[other] = self._hearing.pop(name)
        if name in self._asked:
            self._asked[other] = self._asked.pop(name)
        if name in self.demands:
            self.demands[other] = self.demands.pop(name)
        if name in self._to_tell:
            self._to_tell.discard(name)
            self._to_tell.add(other)
        self._news.set()
        self._names = {hearing: other if each == name else each for hearing, each in self._names.items()}

    def terminate(self, name: str) -> None:
        """Tell it to end in good order, if it runs."""
        self._signal(name, signal.SIGTERM)

    def kill(self, name: str) -> None:
        """End it at once, if it runs."""
        self._signal(name, signal.SIGKILL)

    def signal_all(self, number: signal.Signals) -> None:
        """Send all of them a signal."""
        for name in list(self._running):
            self._signal(name, number)

    def reload(self, names: Collection[str]) -> None:
        """Have these read the configuration again, now or as soon as they listen."""
        self._to_tell.update(names)
        for name in tuple(self._to_tell & self._pulses.keys()):
            self._tell_to_reload(name)

    async def watch(self) -> None:
        """Kill what hangs, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            await asyncio.sleep(moment(now, LOOK_INTERVAL) + BEATEN - now)
            now = loop.time()
            self.hear()
            for name, pulse in self._pulses.items():
                if pulse.look(waits=pulse.doubtful and self._waits(name, now)):
                    silent = round((pulse.silent_looks + pulse.waited_looks) * LOOK_INTERVAL)
                    self._log.error("process hangs; killing it", program=name, silent_for=silent)
                    self.kill(name)

    def hear(self) -> None:
        """Take in what came of their pulses."""
        for name, hearing in self._hearing.items():
            if beats := len(_read(hearing)):
                self._pulses[name].beat(beats)
                self._onlookers.pop(self._running[name].pid, None)
                self._on_beat(name)
                self._tell_to_reload(name)

    def _waits(self, name: str, now: float) -> bool:
        """Whether its loop waits for a processor. One that does so at two looks and keeps to a core is let go: others
        have that core."""
        pid = self._running[name].pid
        again = pid in self._onlookers
        onlooker = self._onlookers.setdefault(pid, Onlooker(pid))
        if onlooker.look(now) is not Condition.WAITS:
            return False
        if again and pid in self._kept:
            self._kept.discard(pid)
            let_go(pid)
            self._log.info("process gets no time on its own core, and may now run on any", program=name)
        return True

    def _hear_demand(self, pipe: int) -> None:
        """One of them tells something, which is rare, or has closed its end."""
        told = _read(pipe)
        if not told:
            asyncio.get_running_loop().remove_reader(pipe)
            return
        name = next(name for name, asked in self._asked.items() if asked == pipe)
        with suppress(ValueError):  # it says what we do not know
            self.demands[name] = Demand.heard(told)
            self.told.set()

    def _tell_to_reload(self, name: str) -> None:
        if name in self._to_tell and self._pulses[name].listens:
            self._to_tell.discard(name)
            self._signal(name, signal.SIGHUP)

    def _signal(self, name: str, number: signal.Signals) -> None:
        if name in self._running:
            with suppress(ProcessLookupError):  # it has ended already, and its keeper is about to see it
                self._running[name].send_signal(number)


def _read(pipe: int) -> bytes:
    """The bytes that came; none, too, where the process has ended or closed what it inherited."""
    try:
        return os.read(pipe, PULSE_BYTES)
    except BlockingIOError:
        return b""
