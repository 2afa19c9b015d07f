"""Drives one RTSP session over real sockets.

A ``Connection`` lets ``RtspSession`` decide what is said, and hands packets to the ``CameraStream`` that was agreed on.
What one read of one socket brought is published before the next socket is looked at. Every failure is one
``CameraError``, and no wait is without a bound.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from typing import NoReturn, cast

from common.cameras import CameraState, Transport
from common.clock import unix_ns
from common.errors import CameraError, ProtocolError
from common.media import Batch, Track
from ingest.budget import Budget
from ingest.rtp.stream import CameraStream
from ingest.rtsp.auth import Pin
from ingest.rtsp.express import Express, Way, no_way
from ingest.rtsp.interleaved import Interleaved
from ingest.rtsp.keepalive import Keepalive
from ingest.rtsp.media import SessionMedia
from ingest.rtsp.message import Request, Response
from ingest.rtsp.parser import Parser
from ingest.rtsp.publishing import Publishing
from ingest.rtsp.quickack import QuickAck
from ingest.rtsp.session import Action, BindPorts, Playing, Punch, RtspSession, Send, SessionState
from ingest.rtsp.silence import Pace, Silence
from ingest.rtsp.stall import Stall
from ingest.rtsp.turns import MOST_WHILE_RESTING, Turns
from ingest.rtsp.url import RtspUrl

TEARDOWN_TIMEOUT = 0.5  # seconds
MAX_UNREAD = 64 << 10  # bytes of ours that a camera leaves unread, beyond what the kernel keeps
TICK = 0.25  # seconds between looks at the timers …
_MOMENTS = cycle([0.0, 0.05, 0.1, 0.15, 0.2])  # … which connections have in turn, so that no moment has them all


class Connection(asyncio.BufferedProtocol):
    """One RTSP connection and its UDP ports; made by ``opening.connected``."""

    def __init__(
        self,
        url: RtspUrl,
        *,
        udp: bool,
        media: Callable[[], SessionMedia],
        publish: Callable[[list[Batch]], bool | None],
        on_media: Callable[[Connection], None],
        pin: Pin,
        keepalive: Keepalive,
        pace: Pace,
        budget: Budget,
        way: Way = no_way,
    ) -> None:
        self.udp = udp
        self._loop = asyncio.get_running_loop()
        self._parser = Parser()
        self._media = media()
        self._silence = Silence(self._media, pace)
        self._session = RtspSession(
            url, udp, self._media.select, pin, keepalive, self._media.ssrc, self._media.multicast
        )
        self._interleaved = Interleaved(self._parser, self._answered)
        self._turns = Turns(budget, self._parser, self._media.ports, self._go_on, self._fail)
        self._express = Express(self._parser, self._interleaved, self._turns, way)
        self._publishing = Publishing(self._media, self._turns, publish, partial(on_media, self), self._express)
        self._quickack = QuickAck()
        self._stall = Stall()
        self._moment = next(_MOMENTS)
        self.get_buffer = self._parser.buffer  # type: ignore[method-assign]  # asked before each read: one call, not two
        self._transport: asyncio.Transport | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._playing: asyncio.Future[None] = self._loop.create_future()
        self._failed: asyncio.Future[CameraError] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()  # the transport is gone

    @property
    def transport(self) -> Transport:
        """The transport of RTP."""
        return self._media.transport

    @property
    def stream(self) -> CameraStream:
        """The tracks' receivers; none until every track is set up."""
        self._express.end()
        return self._media.stream

    @property
    def peer(self) -> str:
        """The camera's address."""
        return _address(self._transport, "peername")

    @property
    def server(self) -> str:
        """The name that the camera gives itself."""
        return self._session.server

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The camera's tracks as they are known now; at most one of each kind."""
        return self._media.tracks(self._session.refused)

    @property
    def counters(self) -> Counter[str]:
        """Counters of data that was of no use, beyond the tracks' own statistics."""
        return Counter(
            timestamps_repaired=self.stream.repaired,
            junk_bytes=self._parser.junk,
            slowed=self._turns.slowed,
            foreign_datagrams=self._media.strangers,
        )

    async def play(self) -> None:
        """Say what has to be said until the camera has answered PLAY. Raises ``CameraError``."""
        self._do(self._session.start(self._loop.time()))
        self._tick()
        await asyncio.wait((self._playing, self._failed), return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            raise self._failed.result()

    def watched(self) -> None:
        """Read without delay from now on, as somebody watches."""
        self._publishing.watched()

    async def ended(self) -> NoReturn:
        """Wait for the session's failure and raise it: ``CameraError``."""
        raise await asyncio.shield(self._failed)

    async def close(self) -> None:
        """End the session so that the camera notices, and release everything."""
        if self._ticker is not None:
            self._ticker.cancel()
        self._publishing.close()
        self._turns.end()
        self._media.close()
        self._interleaved.close()
        transport = self._transport
        if transport is not None:
            try:
                if not transport.is_closing():
                    self._do(self._session.stop(self._loop.time()))
                    if self._session.state is SessionState.TEARDOWN:
                        await asyncio.wait((self._lost,), timeout=TEARDOWN_TIMEOUT)
            finally:
                transport.abort()  # also where there is no time for the goodbye
            await asyncio.wait((self._lost,))

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; with TLS, after its handshake. Nothing is said before ``play``."""
        self._transport = cast(asyncio.Transport, transport)
        self._turns.begin(self._transport)
        self._quickack.begin(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake whoever waits: the connection ended, from either side."""
        reason = str((isinstance(exc, OSError) and exc.strerror) or exc or "").lower()
        self._fail(self._session.lost(reason, self._loop.time()))
        self._lost.set_result(None)
        self._quickack.end()

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came: this and what it calls is done for every read."""
        arrival_ns = unix_ns()
        if self._express.begun and self._express.take(nbytes, arrival_ns):
            return
        if self._turns.watched:
            self._turns.watch()
        parser, interleaved, count, full = self._parser, self._interleaved, 0, nbytes == self._parser.offered
        try:
            count = interleaved.read(nbytes, arrival_ns)
        except ProtocolError as exc:
            state = CameraState.MALFORMED if parser.synchronised else CameraState.NOT_RTSP
            self._fail(CameraError(state, str(exc)))
            assert self._transport is not None
            self._transport.abort()  # the parser has lost its way: there is nothing more to be understood
        except CameraError as exc:
            self._fail(exc)
        if interleaved.routes:
            self._publishing.flush(arrival_ns, nbytes, count, whole=count > 0 and interleaved.whole)
            if self._quickack.due or not interleaved.whole:
                self._quickack.acknowledge()
        else:
            self._turns.spend(nbytes, count, 0, unix_ns() - arrival_ns)
        if parser.more or full:
            self._turns.pause(0.0)
        elif self._publishing.unwatched and not (self.udp or parser.partial or nbytes > MOST_WHILE_RESTING):
            self._publishing.rest()

    def eof_received(self) -> bool:
        """The camera has no more to say; close."""
        return False

    def _go_on(self) -> None:
        if self._parser.more:
            self.buffer_updated(0)

    def _fail(self, error: CameraError) -> None:
        if not self._failed.done():
            if error.state in (CameraState.CLOSED, CameraState.SILENT):
                self._session.broke(self._loop.time())
            self._failed.set_result(error)

    def _answered(self, message: Request | Response) -> None:
        self._do(self._session.receive(message, self._loop.time()))
        if self._session.state is SessionState.CLOSED and self._transport is not None:
            self._transport.close()

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MAX_UNREAD:
            self._fail(CameraError(CameraState.CLOSED, "the camera sends requests but does not read the answers"))
        else:
            self._transport.write(data)
            self._express.end()  # for the sake of the next read, which is to be acknowledged
            self._quickack.due = True

    def _do(self, actions: Sequence[Action]) -> None:
        """Do what the session wants to be done."""
        self._parser.describes = self._session.state is SessionState.DESCRIBE
        for action in actions:
            match action:
                case Send(message):
                    self._write(bytes(message))
                case BindPorts():
                    ports = self._media.bind(_address(self._transport, "sockname"))
                    self._do(self._session.bound(ports, self._loop.time()))
                case Punch():
                    setups, local = self._session.setups, _address(self._transport, "sockname")
                    self._media.open(setups, self.peer, local, self._publishing.flush, self._interleaved)
                case Playing(announced):
                    self._media.announce(announced)
                    self._silence.begin(self._loop.time())
                    if not self._playing.done():
                        self._playing.set_result(None)

    # Time.

    def _tick(self) -> None:
        now = self._loop.time()
        self._express.end()
        self._turns.tick(now)
        try:
            if self._session.state is SessionState.DESCRIBE and (message := self._stall.look(self._parser, now)):
                self._answered(message)
            self._do(self._session.tick(now, partial=self._parser.partial > 0, flowing=self.stream.flowing))
            if self._session.state is SessionState.PLAYING:
                self._silence.check(now)
                self._media.look_again(now, self._parser.junk, self._write)
        except CameraError as exc:
            self._fail(exc)
            return
        if not self._quickack.due:
            self._publishing.begin_express(unix_ns())
        self._ticker = self._loop.call_later(_until_tick(self._moment, now), self._tick)


def _address(transport: asyncio.Transport | None, which: str) -> str:
    """One of the two addresses of a connection that is there."""
    return str(cast(asyncio.Transport, transport).get_extra_info(which)[0])


def _until_tick(moment: float, now: float) -> float:
    """Seconds until the next tick: in one of a few moments, as a hundred cameras would wake the process 400 times a
    second if each had its own."""
    ticks = round((now - moment) / TICK) + 1
    return moment + TICK * ticks - now
