"""How much of one camera is read at a time, and when nothing is: a camera must not stop those beside it.

A turn is what one read of one socket brings. It is bounded in bytes, in smaller ones where they take long; what is left
waits until the others had theirs. A camera that takes more than its ``Budget`` is not read for a while, then given up.
One that nobody watches is read less often, several pictures at once.

``spend`` is a part of every read. It touches this one object alone, and the budget gets what adds up now and then: to
charge that for each read took 3 µs, because what is that seldom used is in no cache of the processor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import cycle
from time import thread_time, thread_time_ns

from common.cameras import CameraState
from common.errors import CameraError
from ingest.budget import Budget
from ingest.rtsp.parser import MAX_ROOM, Parser
from ingest.rtsp.udp import UdpPort

TURN_NS = 4_000_000  # of the processor for one camera before others; one that takes more is read in smaller pieces …
MIN_ROOM = 16 << 10  # … of so many bytes at least
REST = 0.1  # seconds in which a camera that nobody watches is read once: it wakes the process a third as often …
MOMENTS = 5  # … in one of so many moments, so that few others have to wait for all that came meanwhile
MOST_WHILE_RESTING = 32 << 10  # bytes that a read may bring: more would fill what the kernel keeps for a connection
LOOK_NS = 5_000_000  # that a camera was served since the last look; what takes less is too little for any limit
WATCHED = 2  # ticks after a long turn in which the processor's time is measured: a busy machine, too, makes turns long


_moments = cycle([REST * number / MOMENTS for number in range(MOMENTS)])


class Turns:
    """The turns of one connection. ``ports`` are its UDP ports, as they are by then.

    ``go_on`` is called where reading is to be resumed, before it is: more may have been read than one turn takes.
    ``give_up`` gets the error of a camera that stays over its budget.
    """

    __slots__ = (
        "_batches",
        "_began_ns",
        "_budget",
        "_give_up",
        "_go_on",
        "_look_bytes",
        "_loop",
        "_packets",
        "_parser",
        "_passed_ns",
        "_ports",
        "_rest_at",
        "_resting",
        "_resumption",
        "_size",
        "_transport",
        "slowed",
        "watched",
    )

    def __init__(
        self,
        budget: Budget,
        parser: Parser,
        ports: Sequence[tuple[UdpPort, UdpPort]],
        go_on: Callable[[], None],
        give_up: Callable[[CameraError], None],
    ) -> None:
        self.slowed = 0  # times that the camera was not read for a while, because it sent too much
        self.watched = 0  # ticks for which the processor's time is measured
        self._size = self._packets = self._batches = self._passed_ns = 0  # what the budget was not told yet
        self._look_bytes = budget.look_bytes
        self._budget, self._parser, self._ports = budget, parser, ports
        self._go_on, self._give_up = go_on, give_up
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._resumption: asyncio.TimerHandle | None = None  # while the camera is not read
        self._began_ns: int | None = None  # the processor's time at the last turn that was watched
        self._resting = False  # it is not read because nobody watches
        self._rest_at = next(_moments)

    def begin(self, transport: asyncio.Transport) -> None:
        """Watch over the connection that is there, and is read."""
        self._transport = transport

    def end(self) -> None:
        """Read nothing any more but the answer to a goodbye."""
        if self._resumption is not None:
            self._resumption.cancel()
            if self._resting:
                self._resume()

    def watch(self) -> None:
        """Begin a turn; to be called while ``watched``."""
        self._began_ns = thread_time_ns()

    def spend(self, size: int, packets: int, batches: int, passed_ns: int) -> None:
        """Count what serving the camera took: so much came, and took so long by the clock."""
        self._size += size
        self._packets += packets
        self._batches += batches
        self._passed_ns += passed_ns
        if passed_ns > TURN_NS or self._size > self._look_bytes:
            if passed_ns > TURN_NS:
                self._passed_ns += self._took_long(passed_ns) - passed_ns
            self._slow_down(self._loop.time())

    def pause(self, wait: float) -> None:
        """Do not read for ``wait`` seconds; 0 lets the others have their turn before there is more of this camera."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._resumption is not None:
            if not wait:
                return
            self._resumption.cancel()
            self._resting = False
        transport.pause_reading()
        if wait:
            for port in (port for pair in self._ports for port in pair):
                port.pause()
        self._resumption = self._loop.call_later(wait, self._resume)

    def rest(self) -> None:
        """Read what else comes a moment later, all at once: nobody watches, and the last picture is whole."""
        if self._resumption is None:
            self.pause(REST - (self._loop.time() - self._rest_at) % REST)
            self._resting = True

    def wake(self) -> None:
        """Read at once what has come meanwhile, as somebody watches now."""
        if self._resting and self._resumption is not None:
            self._resumption.cancel()
            self._resume()

    def tick(self, now: float) -> None:
        """Look at what was taken, and let pieces grow again; to be called a few times a second."""
        if self._passed_ns > LOOK_NS and (self._resting or not self._paused):
            self._slow_down(now)
        self.watched = max(self.watched - 1, 0)
        if not self.watched:
            self._began_ns = None
        self._parser.room = min(2 * self._parser.room, MAX_ROOM)

    def _took_long(self, passed_ns: int) -> int:
        """Serving the camera took so much time. Returns what of it was the processor's, as far as that is known.

        It is measured for a while from now on; a camera that takes that long by it is read in smaller pieces.
        """
        self.watched = WATCHED
        if self._began_ns is None:
            return passed_ns
        taken_ns = min(thread_time_ns() - self._began_ns, passed_ns)
        if taken_ns > TURN_NS:
            self._parser.room = max(self._parser.room // 2, MIN_ROOM)
        return taken_ns

    def _slow_down(self, now: float) -> None:
        """Do not read a camera for a while that takes more than its share, and give it up in the end."""
        self._budget.spend(self._size, self._packets, self._batches, self._passed_ns)
        self._size = self._packets = self._batches = self._passed_ns = 0
        if wait := self._budget.wait(now, thread_time()):
            self.slowed += 1
            self.pause(wait)
            if complaint := self._budget.complaint(now):
                self._give_up(CameraError(CameraState.OVER_LIMIT, complaint))

    @property
    def _paused(self) -> bool:
        return self._resumption is not None

    def _resume(self) -> None:
        self._resumption = None
        self._resting = False
        if self._transport is None or self._transport.is_closing():
            return
        self._go_on()
        if self._paused:
            return
        self._transport.resume_reading()
        for port in (port for pair in self._ports for port in pair):
            port.resume()
