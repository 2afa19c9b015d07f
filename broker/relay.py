"""The relay: every batch that an ingest worker publishes, to every egress that subscribed to it.

One XSUB, one XPUB and ``zmq_proxy_steerable`` between them in a thread of its own: a C loop that holds no GIL and looks
at nothing, so garbage on either port is filtered out as a topic nobody has subscribed to.

XPUB passes *every* subscription on, also one that another egress has made already: a second subscriber to a topic must
be seen by ingest too. It then has to pass on every unsubscription as well (``XPUB_VERBOSER``, not ``XPUB_VERBOSE``),
because XSUB counts them and would otherwise keep a topic subscribed for ever.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from threading import Thread
from types import TracebackType

import zmq

from broker.admission import Member
from broker.bus import Bus
from broker.unauthenticated import Unauthenticated
from common.bus import Channel, bind, open_socket
from common.curve import Domain, Keys
from common.endpoints import Endpoints
from common.errors import AddressInUseError, CamshaftError
from common.log import get_logger

_STATISTICS = struct.Struct("@Q")  # one frame each
_STEERING = "inproc://relay-{}"  # another one each time: the one before may be there for a moment
REBIND_TIMEOUT = 2.0  # seconds until an address that was ours is free again
JOIN_TIMEOUT = 2.0  # seconds; the proxy ends within a millisecond
LOOK_INTERVAL = 1.0  # seconds between looks at the relay
STUCK = 2  # looks in a row that it has not answered, after which it stands still; it takes a millisecond …
MAX_UNANSWERED = 5  # … and after which the process ends, for somebody to start it anew

log = get_logger()


@dataclass(frozen=True, slots=True)
class RelayStatistics:
    """Frames and bytes since the start: from ingest, and on towards egress, each counted once however many get it."""

    frames_in: int = 0
    bytes_in: int = 0
    frames_out: int = 0
    bytes_out: int = 0


class Relay:
    """Async context manager: relays while open. Raises ``AddressInUseError`` or ``ConfigError`` on entering.

    ``by_role`` lets a ZAP handler decide who publishes and who subscribes (``broker.doorman``).
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        keys: Keys | None,
        *,
        by_role: bool = False,
    ) -> None:
        self.statistics = RelayStatistics()  # as of the last ``refresh``
        self.unanswered = 0  # refreshes in a row: the thread stands still
        self.counters: Counter[str] = Counter()
        self._context = context
        self._endpoints = endpoints
        self._keys = keys
        self._domains = (Domain.PUBLISH, Domain.SUBSCRIBE) if by_role else (None, None)
        self._thread: Thread | None = None
        self._opened = 0  # times
        self._steering: Channel | None = None
        self._unauthenticated: list[Unauthenticated] = []

    @classmethod
    def of(cls, bus: Bus) -> Relay:
        """The relay of a bus, to be entered."""
        return cls(bus.context, bus.endpoints, bus.keys, by_role=bus.doorman is not None)

    @property
    def running(self) -> bool:
        """Whether media can pass."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def problem(self) -> str:
        """Why media cannot pass, in a sentence; empty if it can."""
        if not self.running:
            return "The media relay is not running."
        return f"The media relay has not answered for {self.unanswered} s." if self.unanswered >= STUCK else ""

    async def look(self, revoked: Collection[Member] = ()) -> None:
        """Renew ``statistics``, and every connection if keys were ``revoked``; to be called each ``LOOK_INTERVAL``.

        Raises ``CamshaftError`` if it has ended or stands still.
        """
        if revoked:
            log.warning(
                "keys were revoked; all media connections are being made again", workers=[m.node for m in revoked]
            )
            await self.renew()
        if not self.running:
            raise CamshaftError("the media relay ended by itself")
        if self.unanswered >= MAX_UNANSWERED:
            raise CamshaftError(f"the media relay has not answered for {MAX_UNANSWERED * LOOK_INTERVAL:g} s")
        self.refresh()

    def refresh(self) -> None:
        """Ask for new ``statistics``; they are there a moment later."""
        assert self._steering is not None, "the relay is not open"
        self.unanswered += 1
        self._steering.send(b"STATISTICS")

    async def __aenter__(self) -> Relay:
        incoming = open_socket(self._context, zmq.XSUB)
        outgoing = open_socket(self._context, zmq.XPUB)
        outgoing.setsockopt(zmq.XPUB_VERBOSER, 1)
        steered = self._context.socket(zmq.PAIR)
        self._opened += 1
        address = _STEERING.format(self._opened)
        try:
            bind(incoming, self._endpoints.media_in, self._keys, "media from ingest", self._domains[0])
            bind(outgoing, self._endpoints.media_out, self._keys, "media to egress", self._domains[1])
            steered.bind(address)
        except BaseException:
            for socket in (incoming, outgoing, steered):
                socket.close(linger=0)
            raise
        self._unauthenticated = [
            Unauthenticated(incoming, self.counters, "media_in_strangers"),
            Unauthenticated(outgoing, self.counters, "media_out_strangers", greedy="media_out_greedy"),
        ]
        steering = self._context.socket(zmq.PAIR)
        steering.connect(address)
        self._steering = Channel(steering, self._on_statistics, multipart=True)
        # From here on the three sockets belong to the thread.
        self._thread = Thread(target=_relay, args=(incoming, outgoing, steered), name="relay", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        assert self._steering is not None
        self._steering.send(b"TERMINATE")
        await asyncio.to_thread(self._thread.join, JOIN_TIMEOUT)
        self._steering.close()
        for each in self._unauthenticated:
            each.close()

    async def renew(self) -> None:
        """Drop every connection. Workers are back in some tenths of a second, those that may connect."""
        await self.__aexit__(None, None, None)
        until = time.monotonic() + REBIND_TIMEOUT
        while True:
            try:
                await self.__aenter__()
            except AddressInUseError:  # libzmq closes sockets in a thread of its own
                if time.monotonic() >= until:
                    raise
                await asyncio.sleep(0.01)
            else:
                return

    def _on_statistics(self, frames: list[bytes]) -> None:
        if len(frames) != 8:
            return  # TERMINATE is acknowledged
        self.unanswered = 0
        # Messages and bytes, received and sent: of the frontend (XSUB), then of the backend (XPUB).
        frames_in, bytes_in, _, _, _, _, frames_out, bytes_out = (_STATISTICS.unpack(frame)[0] for frame in frames)
        self.statistics = RelayStatistics(frames_in, bytes_in, frames_out, bytes_out)


def _relay(incoming: zmq.Socket[bytes], outgoing: zmq.Socket[bytes], steered: zmq.Socket[bytes]) -> None:
    try:
        zmq.proxy_steerable(incoming, outgoing, None, steered)
    except zmq.ContextTerminated:
        pass
    finally:
        for socket in (incoming, outgoing, steered):
            socket.close(linger=0)
