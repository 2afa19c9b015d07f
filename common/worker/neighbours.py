"""A publisher's connections to the subscribers of its machine that called it (``common.near``), and what each takes.

A connection that ends, or cannot be made, is tried again while the call stands. As long as there is none the subscriber
is told so by way of the relay, and has everything come that way. Where so many others stand at its door that the kernel
keeps no more (anybody on the machine may), it is tried a hundred times in a second first: some of them find room.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.media import MAX_TOPIC, Rendition
from common.near import Call
from common.worker.pipe import Pipe, uid_of_peer

RETRY_INTERVAL = 5.0  # seconds
KNOCK_INTERVAL = 0.01  # seconds, while the door has no room …
KNOCKS = 100  # … so many times in a row …
SECRET_KNOCKS = 5  # … of which the subscriber hears nothing of the first
MAX_NEIGHBOURS = 1_000  # a machine has tens; whoever is on the bus could make up millions


@dataclass(eq=False, slots=True)
class Neighbour:
    """One subscriber near by."""

    call: Call
    pipe: Pipe


class Neighbours:
    """``heard`` gets what a neighbour says, as of an XPUB socket; ``unreached`` the call of one with no connection.

    ``changing`` is called before another one takes a rendition, or one does not any more.
    """

    def __init__(
        self,
        counters: Counter[str],
        heard: Callable[[bytes, Neighbour], object],
        unreached: Callable[[Call], object],
        changing: Callable[[Rendition], object] = lambda _rendition: None,
    ) -> None:
        self.takers: dict[Rendition, list[Neighbour]] = {}  # none is empty
        self._counters = counters
        self._heard = heard
        self._unreached = unreached
        self._changing = changing
        self._calls: dict[Call, asyncio.TimerHandle | None] = {}  # that stand, and when one is tried again
        self._connected: dict[Call, Neighbour] = {}
        self._filled: set[Neighbour] = set()

    def called(self, call: Call) -> None:
        """Connect to a subscriber that calls, if there is no connection."""
        if call not in self._calls and len(self._calls) >= MAX_NEIGHBOURS:
            self._counters["subscription_garbage"] += 1
            return
        self._calls.setdefault(call, None)
        if call not in self._connected and self._calls[call] is None:
            self._connect(call)

    def call_over(self, call: Call) -> None:
        """Try no more to connect to it; a connection that there is lives on."""
        if (timer := self._calls.pop(call, None)) is not None:
            timer.cancel()

    def take(self, neighbour: Neighbour, rendition: Rendition, takes: bool) -> None:
        """Note that a neighbour takes what is live of a rendition, or does not any more."""
        self._changing(rendition)
        takers = self.takers.setdefault(rendition, [])
        if takes and neighbour not in takers:
            takers.append(neighbour)
        elif not takes and neighbour in takers:
            takers.remove(neighbour)
        if not takers:
            del self.takers[rendition]

    def takes(self, node: str, rendition: Rendition) -> bool:
        """Whether the subscriber of that name takes what is live of a rendition from here."""
        return any(each.call.node == node for each in self.takers.get(rendition, ()))

    def put(self, neighbours: Iterable[Neighbour], frame: bytes, head: bytes = b"") -> None:
        """Have a frame sent to each with the next ``flush``; see ``Pipe.put``."""
        for each in neighbours:
            each.pipe.put(frame, head)
            self._filled.add(each)

    def put_whole(self, neighbour: Neighbour, frame: memoryview) -> None:
        """Have a frame that stands behind its length sent to one with the next ``flush``."""
        neighbour.pipe.put_whole(frame)
        self._filled.add(neighbour)

    def flush(self) -> None:
        """Send what was put."""
        while self._filled:
            self._filled.pop().pipe.flush()

    def close(self) -> None:
        """End all connections."""
        for call in tuple(self._calls):
            self.call_over(call)
        for each in self._connected.values():
            each.pipe.close()
        self._connected.clear()
        self.takers.clear()

    def _connect(self, call: Call, knocks: int = 0) -> None:
        try:
            made = _connected(call.address)
        except BlockingIOError:
            self._knock_again(call, knocks + 1)
            return
        except OSError:
            self._try_again(call)
            return
        neighbour = Neighbour(call, Pipe(made, longest=MAX_TOPIC))
        neighbour.pipe.on_frame = lambda message: self._heard(message, neighbour)
        neighbour.pipe.on_end = lambda: self._ended(neighbour)
        self._connected[call] = neighbour
        neighbour.pipe.open()
        neighbour.pipe.send(call.ticket.encode())

    def _try_again(self, call: Call) -> None:
        loop = asyncio.get_running_loop()
        self._unreached(call)
        self._calls[call] = loop.call_later(RETRY_INTERVAL, self._again, call)

    def _knock_again(self, call: Call, knocks: int) -> None:
        if knocks > KNOCKS:
            self._try_again(call)
            return
        if knocks == SECRET_KNOCKS:
            self._unreached(call)
        self._calls[call] = asyncio.get_running_loop().call_later(KNOCK_INTERVAL, self._again, call, knocks)

    def _again(self, call: Call, knocks: int = 0) -> None:
        self._calls[call] = None
        self._connect(call, knocks)

    def _ended(self, neighbour: Neighbour) -> None:
        self._counters["near_given_up"] += neighbour.pipe.given_up
        self._connected.pop(neighbour.call, None)
        for rendition in [each for each, takers in self.takers.items() if neighbour in takers]:
            self.take(neighbour, rendition, False)
        if neighbour.call in self._calls and self._calls[neighbour.call] is None:
            self._try_again(neighbour.call)


def _connected(address: str) -> socket.socket:
    """A connection to a process of our user. Raises ``OSError``, also where descriptors ran out."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        made.connect(address)
        if uid_of_peer(made) != os.geteuid():
            raise PermissionError("it is another user's")
    except OSError:
        made.close()
        raise
    return made
