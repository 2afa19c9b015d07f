"""Drives one RTSP session over real sockets.

A ``Connection`` lets ``RtspSession`` decide what is said, and hands packets to the ``CameraStream`` that was agreed on.
What one read of one socket brought is published before the next socket is looked at. Every failure is one
``CameraError``, and no wait is without a bound.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn, cast

from common.cameras import CameraState
from common.clock import unix_ns
from common.errors import CameraError, ProtocolError
from common.media import Batch, Track
from ingest.budget import Budget
from ingest.payload.registry import Choice, NothingPlayableError, choose, doubtful
from ingest.rtp.receiver import CameraStream, TrackReceiver
from ingest.rtp.rtcp import REPORT_INTERVAL, receiver_report
from ingest.rtsp.auth import Pin
from ingest.rtsp.keepalive import Keepalive
from ingest.rtsp.message import InterleavedFrame, Message, Parser, Request, Response
from ingest.rtsp.sdp import MediaSection, SessionDescription
from ingest.rtsp.session import (
    Action,
    BindPorts,
    Playing,
    Punch,
    RtspSession,
    Send,
    SessionState,
)
from ingest.rtsp.setup import Setup
from ingest.rtsp.turns import Turns
from ingest.rtsp.udp import UdpPort, bind_pair
from ingest.rtsp.url import RtspUrl

TEARDOWN_TIMEOUT = 0.5  # seconds
SILENCE_TIMEOUT = 5.0  # seconds without a packet of the picture; of the sound, where there is no picture
FIRST_PACKET_TIMEOUT = 3.0  # seconds over UDP, which firewalls swallow: then TCP is tried
LOOK_TIMEOUT = 5.0  # seconds for a keyframe of a picture that is announced as something else than H.264
GOODBYE_TIMEOUT = 1.0  # seconds without a packet after the camera said that there will be no more
MAX_UNREAD = 64 << 10  # bytes of ours that a camera leaves unread, beyond what the kernel keeps
TICK = 0.25  # seconds between looks at the timers
CNAME = "camshaft"
PLAIN_WARNING = "it comes over UDP, which TLS does not encrypt; use TCP"

_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux


class NoMediaError(CameraError):
    """The session plays and not one packet has come: another transport may do better."""

    def __init__(self, detail: str) -> None:
        super().__init__(CameraState.SILENT, detail)


class Connection(asyncio.BufferedProtocol):
    """One RTSP connection and its UDP ports; made by ``opening.connected``."""

    def __init__(
        self,
        url: RtspUrl,
        *,
        udp: bool,
        epoch: int,
        publish: Callable[[list[Batch]], None],
        on_media: Callable[[Connection], None],
        pin: Pin,
        keepalive: Keepalive,
        budget: Budget,
    ) -> None:
        self.udp = udp
        self.stream = CameraStream([], udp=udp, epoch=epoch)  # empty until every track is set up
        self._publish, self._on_media = publish, on_media
        self._loop = asyncio.get_running_loop()
        self._parser = Parser()
        self._session = RtspSession(url, udp, self._select, pin, keepalive)
        self._choices: list[Choice] = []
        self._unplayable: list[Track] = []
        self._nothing_playable: NothingPlayableError | None = None  # by its description; a look is taken all the same
        self._routes: dict[int, Callable[[bytes, int], None]] = {}  # by interleaved channel
        self._ports: list[tuple[UdpPort, UdpPort]] = []  # of RTP and RTCP, one a track
        self._turns = Turns(budget, self._parser, self._ports, self._go_on, self._fail)
        self._ssrc = secrets.randbits(32)
        self._report_due = 0.0
        self._offered = 0  # bytes of room for the read that is under way
        self._flowing = False
        self._seen = 0  # packets of the first track
        self._seen_at = 0.0
        self._playing_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._socket: socket.socket | None = None  # the transport's, which closes it
        self._ticker: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._playing: asyncio.Future[None] = self._loop.create_future()
        self._failed: asyncio.Future[CameraError] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()  # the transport is gone

    @property
    def peer(self) -> str:
        """The camera's address."""
        assert self._transport is not None
        return str(self._transport.get_extra_info("peername")[0])

    @property
    def server(self) -> str:
        """What the camera calls itself."""
        return self._session.server

    @property
    def tracks(self) -> tuple[Track, ...]:
        """What is known of the camera's tracks now; at most one of each kind."""
        if self._nothing_playable:
            return self._nothing_playable.tracks
        tracks = {track.kind: track for track in self._unplayable}
        for choice in self._choices:
            refused = self._session.refused.get(choice.track.kind, "")
            tracks[choice.track.kind] = replace(choice.track, problem=refused)
        for receiver in self.stream.receivers:
            track = tracks[receiver.kind] = receiver.track
            if self.udp and self._session.url.scheme == "rtsps":
                warning = "; ".join(filter(None, (track.warning, PLAIN_WARNING)))
                tracks[receiver.kind] = replace(track, warning=warning)
        return tuple(tracks[kind] for kind in sorted(tracks, reverse=True))  # video first

    @property
    def counters(self) -> Counter[str]:
        """What came and was of no use, beyond the tracks' own statistics."""
        return Counter(
            timestamps_repaired=self.stream.repaired,
            junk_bytes=self._parser.junk,
            slowed=self._turns.slowed,
            foreign_datagrams=sum(port.strangers for pair in self._ports for port in pair),
        )

    async def play(self) -> None:
        """Say what has to be said until the camera has answered PLAY. Raises ``CameraError``."""
        self._do(self._session.start(self._loop.time()))
        self._tick()
        await asyncio.wait((self._playing, self._failed), return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            raise self._failed.result()

    async def ended(self) -> NoReturn:
        """Wait for the session's failure and raise it: ``CameraError``."""
        raise await asyncio.shield(self._failed)

    async def close(self) -> None:
        """End the session so that the camera notices, and release everything."""
        for timer in (self._ticker, self._expiry):
            if timer is not None:
                timer.cancel()
        self._turns.end()
        for port in (port for pair in self._ports for port in pair):
            port.close()
        self._routes = {}
        transport = self._transport
        if transport is not None:
            try:
                if not transport.is_closing():
                    self._do(self._session.stop(self._loop.time()))
                    if self._session.state is SessionState.TEARDOWN:
                        await asyncio.wait((self._lost,), timeout=TEARDOWN_TIMEOUT)
            finally:  # also of who has no time for the goodbye
                transport.abort()
            await asyncio.wait((self._lost,))

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected; with TLS, after its handshake. Nothing is said before ``play``."""
        self._transport = cast(asyncio.Transport, transport)
        self._turns.begin(self._transport)
        if sock := transport.get_extra_info("socket"):
            # uvloop's own makes another one for each call: that took longer than the call.
            self._socket = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.fileno())

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended, from whatever side."""
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc or "")
        self._fail(self._session.lost(reason.lower()))
        self._lost.set_result(None)
        if self._socket is not None:
            self._socket.detach()
            self._socket = None

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        room = self._parser.buffer()
        self._offered = len(room)
        return room

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came: this and what it calls is done for every read."""
        arrival_ns = unix_ns()
        if self._turns.watched:
            self._turns.watch()
        routes = self._routes
        messages: Sequence[Message] = ()
        try:
            messages = self._parser.advance(nbytes)
            for message in messages:
                if type(message) is InterleavedFrame:
                    receive = routes.get(message.channel)
                    if receive is not None:
                        receive(message.payload, arrival_ns)
                else:
                    self._answered(cast(Request | Response, message))
        except ProtocolError as exc:
            state = CameraState.MALFORMED if self._parser.synchronised else CameraState.NOT_RTSP
            self._fail(CameraError(state, str(exc)))
            assert self._transport is not None
            self._transport.abort()  # the parser has lost its way: there is nothing more to be understood
        except CameraError as exc:
            self._fail(exc)
        if routes:
            self._flush(arrival_ns, nbytes, len(messages))
            self._acknowledge()
        else:
            self._turns.spend(nbytes, len(messages), 0, unix_ns() - arrival_ns)
        if self._parser.more or nbytes == self._offered:
            self._turns.pause(0.0)

    def eof_received(self) -> bool:
        """The camera has no more to say; close."""
        return False

    def _go_on(self) -> None:
        if self._parser.more:
            self.buffer_updated(0)

    def _acknowledge(self) -> None:
        """Let the kernel acknowledge what came now, not up to 40 ms later.

        A camera that writes packets one by one, and has not turned Nagle's algorithm off, holds the end of a picture
        back until what it sent before is acknowledged (RFC 1122 4.2.3.4). The kernel forgets it by and by: after every
        report we send it takes the connection for a dialogue.
        """
        if _QUICKACK is not None and self._socket is not None:
            with suppress(OSError):  # closed a moment ago
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

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
            self._fail(CameraError(CameraState.CLOSED, "it sends requests and does not read the answers"))
        else:
            self._transport.write(data)

    # What the session wants to be done.

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Send(message):
                    self._write(bytes(message))
                case BindPorts():
                    self._do(self._session.bound(self._bind(), self._loop.time()))
                case Punch():
                    self._open_stream()
                case Playing():
                    self._seen_at = self._playing_at = self._report_due = self._loop.time()
                    if not self._playing.done():
                        self._playing.set_result(None)

    def _select(self, description: SessionDescription) -> list[MediaSection]:
        try:
            self._choices, self._unplayable = choose(description)
        except NothingPlayableError as exc:
            choice = doubtful(description)
            if choice is None:
                raise
            self._choices, self._nothing_playable = [choice], exc
        return [choice.section for choice in self._choices]

    def _bind(self) -> tuple[int, int]:
        assert self._transport is not None
        local = self._transport.get_extra_info("sockname")
        family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
        pair = bind_pair(local[0], family)
        self._ports.append(pair)
        return pair[0].port, pair[1].port

    def _open_stream(self) -> None:
        """Everything is set up: from now on packets may come."""
        setups = self._session.setups
        sections = [setup.section for setup in setups]
        choices = [choice for choice in self._choices if any(choice.section is section for section in sections)]
        self.stream = CameraStream(choices, udp=self.udp, epoch=self.stream.epoch)
        for index, (setup, receiver) in enumerate(zip(setups, self.stream.receivers, strict=True)):
            if self.udp:
                self._open_ports(setup, receiver, *self._ports[index])
            elif setup.spec.interleaved:
                rtp, rtcp = setup.spec.interleaved
                self._routes[rtcp] = receiver.receive_rtcp
                self._routes[rtp] = receiver.receive  # last: where both are one, it tells them apart
        if self._routes:
            self._parser.channels = frozenset(self._routes)

    def _open_ports(self, setup: Setup, receiver: TrackReceiver, rtp: UdpPort, rtcp: UdpPort) -> None:
        assert self._transport is not None
        peer = self.peer
        addresses = frozenset({peer, setup.spec.source or peer})
        ports = setup.spec.server_port or (None, None)
        for port, remote, receive in ((rtp, ports[0], receiver.receive), (rtcp, ports[1], receiver.receive_rtcp)):
            port.start(addresses, (peer, remote) if remote else None, receive, self._flush)
        # Open the way through firewalls: an empty RTP packet, an empty receiver report.
        rtp.send(b"\x80" + bytes(7) + self._ssrc.to_bytes(4))
        rtcp.send(receiver_report(self._ssrc, CNAME, []))

    # Packets.

    def _flush(self, arrival_ns: int, size: int, packets: int) -> None:
        """Publish what is ready to be. So many bytes and packets came at that time."""
        stream, now_ns = self.stream, unix_ns()
        batches = stream.take(now_ns)
        if batches:
            self._publish(batches)
        self._turns.spend(size, packets, len(batches), now_ns - arrival_ns)
        if batches:
            self._nothing_playable = None
        if not self._flowing and not self._nothing_playable and any(each.packets for each in stream.receivers):
            self._flowing = True
            self._on_media(self)
        if self._expiry is None and (deadline_ns := stream.deadline_ns) is not None:
            # uvloop counts in milliseconds: less than one would call again and again until the time has come.
            self._expiry = self._loop.call_later(max(deadline_ns - now_ns, 1_000_000) / 1e9, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        now_ns = unix_ns()
        self.stream.expire(now_ns)
        self._flush(now_ns, 0, 0)

    # Time.

    def _tick(self) -> None:
        now = self._loop.time()
        self._turns.tick(now)
        try:
            self._do(self._session.tick(now, partial=self._parser.partial > 0))
            if self._session.state is SessionState.PLAYING:
                self._check_silence(now)
                if now >= self._report_due:
                    self._report_due = now + REPORT_INTERVAL
                    self._send_reports()
        except CameraError as exc:
            self._fail(exc)
            return
        self._ticker = self._loop.call_later(TICK, self._tick)

    def _check_silence(self, now: float) -> None:
        first, *others = self.stream.receivers
        if first.packets != self._seen:
            self._seen, self._seen_at = first.packets, now
        silence = now - self._seen_at
        if self._nothing_playable:
            if first.track.problem or now - self._playing_at >= LOOK_TIMEOUT:
                raise self._nothing_playable
            return
        if not first.packets:
            if silence >= (FIRST_PACKET_TIMEOUT if self.udp else SILENCE_TIMEOUT):
                raise NoMediaError(self._nothing_came(first))
        elif first.said_goodbye and silence >= GOODBYE_TIMEOUT:
            raise CameraError(CameraState.CLOSED, "it said goodbye (RTCP BYE)")
        elif silence >= SILENCE_TIMEOUT:
            still = " while its sound goes on" if any(other.packets for other in others) else ""
            raise CameraError(CameraState.SILENT, f"no {first.kind} for {SILENCE_TIMEOUT:g} s{still}")

    def _nothing_came(self, receiver: TrackReceiver) -> str:
        if receiver.unexpected_type is not None:
            return f"packets of payload type {receiver.unexpected_type} come, which it has not announced"
        if stranger := next((port.stranger for pair in self._ports for port in pair if port.stranger), ""):
            return f"packets come from {stranger} over UDP, not from the camera; they are not taken"
        return f"no {receiver.kind} has come over {'UDP' if self.udp else 'TCP'}"

    def _send_reports(self) -> None:
        """RFC 3550 6.4.2: from the start, also when there is nothing to report yet."""
        now_ns = unix_ns()
        for index, (setup, receiver) in enumerate(zip(self._session.setups, self.stream.receivers, strict=True)):
            block = receiver.report_block(now_ns)
            report = receiver_report(self._ssrc, CNAME, [block] if block else [])
            if self.udp:
                self._ports[index][1].send(report)
            elif setup.spec.interleaved:
                self._write(bytes(InterleavedFrame(setup.spec.interleaved[1], report)))
