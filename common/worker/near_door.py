"""The door of a subscriber at which publishers of its machine come in (``common.near``).

Whoever connects must be of our user, and say the call's ticket first: it has heard the call on the bus. Others cost
little: they are let in slowly, say no more than a ticket, and not later than in ``TICKET_TIME``. Where there are no
abstract sockets, or workers have keys, which the bus checks and could revoke, nobody is called.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from functools import partial

from common.bus import DRAIN_TIME
from common.media import MAX_FRAME_BYTES
from common.near import Call
from common.worker.neighbours import MAX_NEIGHBOURS, RETRY_INTERVAL
from common.worker.pipe import Pipe, uid_of_peer

CERTAIN_AFTER = 2.5 * RETRY_INTERVAL  # seconds since a publisher told last that it has no connection
_REFILL = 0.001  # seconds in which a publisher that waited for room in the kernel has filled it again
_PAUSE = 1.0  # seconds, if no connection can be accepted, as descriptors ran out
_STRANGER_PAUSE = 0.005  # seconds after some of another user …
_AT_ONCE = 16  # … that are let in: as many as the kernel keeps take 40 ms, and who knocks again finds room
TICKET_TIME = 5.0  # seconds for a publisher to show the ticket, which is the first that it does


class NearDoor:
    """``call`` has the subscriber's name, and this door's name and ticket.

    ``opened`` is called with each publisher's connection, whose ``on_frame`` it sets; ``ended`` when that is over.
    """

    def __init__(
        self, node: str, counters: Counter[str], opened: Callable[[Pipe], object], ended: Callable[[Pipe], object]
    ) -> None:
        self.call = Call(node, secrets.token_hex(16), secrets.token_hex(16))
        self._counters = counters
        self._opened = opened
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._pipes: set[Pipe] = set()  # all that connected
        self._inside: set[Pipe] = set()  # of these, whoever has shown the ticket
        self._pause = 0.0
        self._pausing: asyncio.Handle | None = None  # until it is read again
        self._unread: deque[Pipe] = deque()  # while resting: of this time, where more may be …
        self._refills = False  # … and whether one brought so much that its publisher may have waited for room
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.bind(self.call.address)
        self._socket.listen()
        self._listen()

    @property
    def pipes(self) -> Collection[Pipe]:
        """Connections of publishers."""
        return self._inside

    def say(self, *messages: bytes) -> None:
        """Say something to every publisher."""
        for pipe in self._inside:
            for message in messages:
                pipe.put(message)
            pipe.flush()

    def rest(self, seconds: float) -> None:
        """Take what has come once in so many seconds from now on; 0: at once."""
        if seconds == self._pause:
            return
        self._pause = seconds
        if self._pausing is not None:
            self._pausing.cancel()
            self._pausing = None
        for pipe in self._inside:
            (pipe.rest if seconds else pipe.open)()
        if seconds:
            self._pausing = self._loop.call_later(seconds, self._rested)

    def close(self) -> None:
        """Let nobody in any more, and end all connections."""
        self.rest(0.0)
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        for pipe in self._pipes:
            pipe.close()

    def _rested(self) -> None:
        self._unread, self._refills = deque(self._inside), False
        self._drain()

    def _drain(self) -> None:
        """Read from each in turn until nothing is there, or it is the turn of others on the loop."""
        self._pausing = None
        until = time.monotonic() + DRAIN_TIME
        try:
            while self._unread:
                self._unread.rotate(-1)
                if self._unread[-1].read():
                    self._refills = True
                else:
                    self._unread.pop()
                if time.monotonic() > until:
                    return
        finally:  # also when a handler raised: its error is the loop's to report, the rest still must be read
            if self._pause and self._pausing is None:  # else a handler has set how long to rest
                if self._unread:
                    self._pausing = self._loop.call_soon(self._drain)
                else:
                    self._pausing = self._loop.call_later(_REFILL if self._refills else self._pause, self._rested)

    def _accept(self) -> None:
        strangers = False
        for _ in range(_AT_ONCE):
            try:
                connected, _ = self._socket.accept()
            except BlockingIOError:
                break
            except OSError:
                self._pause_listening(_PAUSE)
                return
            strangers |= not self._let_in(connected)
        if strangers:
            self._pause_listening(_STRANGER_PAUSE)

    def _let_in(self, connected: socket.socket) -> bool:
        """Let a process of our user in, which has to show the ticket. Returns whether it is one."""
        try:
            ours = uid_of_peer(connected) == os.geteuid()
        except OSError:
            ours = False
        if not ours or len(self._pipes) >= MAX_NEIGHBOURS:
            self._counters["near_strangers"] += 1
            connected.close()
            return False
        pipe = Pipe(connected, longest=len(self.call.ticket))
        pipe.on_frame = partial(self._show_ticket, pipe)
        pipe.on_end = partial(self._leave, pipe)
        self._pipes.add(pipe)
        pipe.open()
        self._loop.call_later(TICKET_TIME, self._is_known, pipe)
        return True

    def _pause_listening(self, seconds: float) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._loop.call_later(seconds, self._listen)

    def _listen(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket.fileno(), self._accept)

    def _show_ticket(self, pipe: Pipe, frame: bytes) -> None:
        if not secrets.compare_digest(frame, self.call.ticket.encode()):
            self._turn_away(pipe)
            return
        pipe.allow(MAX_FRAME_BYTES)
        self._inside.add(pipe)
        if self._pause:
            pipe.rest()
        self._opened(pipe)

    def _is_known(self, pipe: Pipe) -> None:
        if pipe in self._pipes and pipe not in self._inside:
            self._turn_away(pipe)

    def _turn_away(self, pipe: Pipe) -> None:
        self._counters["near_strangers"] += 1
        pipe.close()
        self._pipes.discard(pipe)

    def _leave(self, pipe: Pipe) -> None:
        self._pipes.discard(pipe)
        if pipe in self._inside:
            self._inside.discard(pipe)
            self._ended(pipe)
