"""An RTSP camera that does what a test wants, on real sockets of 127.0.0.1 or ::1.

It plays H.264 and sound in a loop. How it misbehaves is set by its fields; ``rewrite`` may change, replace or swallow
any answer, ``mangle`` any RTP packet.

It is the one RTSP server beside the product's demo camera, which never misbehaves. Both read and write messages, logins
and transports by ``ingest.rtsp``.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from time import time_ns
from types import TracebackType
from typing import cast

from common.errors import ProtocolError
from ingest.rtsp.auth import Authorization, Challenge
from ingest.rtsp.message import Headers, InterleavedFrame, Request, Response
from ingest.rtsp.parser import Parser
from ingest.rtsp.transport import TransportSpec
from rigs.rtp import goodbye, rtp, sender_report
from rigs.video import Packet, encode, packetise

BOUND = 10.0  # seconds that a test waits at most for what has to happen


@dataclass
class FakeTrack:
    """One media section, and the packets of each of its access units."""

    sdp: str  # without a=control
    units: list[list[Packet]]
    payload_type: int = 96
    ssrc: int = 0x1234
    ticks: int = 3_600
    control: str = ""
    extra: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.sdp.split()[0].removeprefix("m=")

    def packets(self, number: int, sequence: int) -> list[bytes]:
        """The RTP packets of picture ``number``, after the last of which the units begin again; numbered on from
        ``sequence``, the number of the packet before them."""
        return [
            rtp(
                packet.payload,
                sequence + at,
                number * self.ticks,
                payload_type=self.payload_type,
                ssrc=self.ssrc,
                marker=packet.marker,
            )
            for at, packet in enumerate(self.units[number % len(self.units)], 1)
        ]

    def report(self, number: int, unix_ns: int) -> bytes:
        """The sender report that picture ``number`` is of that time."""
        ntp = (unix_ns << 32) // 10**9 + (2_208_988_800 << 32)
        return sender_report(self.ssrc, ntp, number * self.ticks)


def h264_track(units: Iterable[Iterable[bytes]] | None = None, *, size: int = 1_400, fmtp: str = "") -> FakeTrack:
    """A camera's picture."""
    wrapped = [packetise([unit], size=size) for unit in units or encode()]
    parameters = f"a=fmtp:96 packetization-mode=1{fmtp}\n"
    return FakeTrack(f"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n{parameters}", wrapped, control="trackID=1")


def pcmu_track(chunk: int = 320) -> FakeTrack:
    """A camera's sound, in chunks of 40 ms."""
    units = [[Packet(bytes([n]) * chunk, 0, False)] for n in range(50)]
    return FakeTrack("m=audio 0 RTP/AVP 0\n", units, 0, 0x9876, chunk, control="trackID=2")


def opus_track() -> FakeTrack:
    """A camera's sound, 40 ms a packet."""
    units = [[Packet(b"\xf8\xff\xfe" + bytes([n]) * 50, 0, False)] for n in range(50)]
    return FakeTrack("m=audio 0 RTP/AVP 97\na=rtpmap:97 opus/48000/2\n", units, 97, 0x9877, 1_920, control="trackID=2")


Answer = Response | bytes | None


@dataclass
class FakeCamera:
    """``async with FakeCamera() as camera`` listens; ``camera.url`` is where."""

    tracks: list[FakeTrack] = field(default_factory=lambda: [h264_track()])
    host: str = "127.0.0.1"
    tls: ssl.SSLContext | None = None
    username: str = ""
    password: str = ""
    challenges: list[Challenge] = field(default_factory=list)  # none: everybody may watch
    transports: set[str] = field(default_factory=lambda: {"tcp", "udp"})
    silent: set[str] = field(default_factory=set)  # transports over which no media comes
    session: str = "12345678;timeout=60"
    public: str = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"
    content_base: str | None = "{url}/"
    sdp_head: str = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=camera\nt=0 0\na=control:*\n"
    name_ports: bool = True  # say server_port in the answer to SETUP
    group: str = "239.255.0.1"  # that it sends to over multicast, where "multicast" is among its transports …
    answers_multicast: bool = False  # … also where UDP is asked for …
    group_source: str = ""  # … and from where, as it says
    foreign_port: bool = False  # send from another port than was said
    foreign_host: str = ""  # and from this address
    interval: float = 0.004  # seconds between access units
    reports: bool = False  # send sender reports
    goodbye: bool = False  # say so and send nothing more
    flood: Callable[[], Iterable[bytes]] | None = None  # written instead of media, as fast as the connection takes it
    rewrite: Callable[[Request, Response], Answer] = lambda _request, response: response
    mangle: Callable[[bytes], list[bytes]] = lambda packet: [packet]
    wrap: Callable[[bytes], bytes] = lambda frame: frame  # an interleaved frame as it is written
    requests: list[Request] = field(default_factory=list)  # everything that was asked
    packets: list[bytes] = field(default_factory=list)  # everything that was sent to it over UDP
    frames: list[InterleavedFrame] = field(default_factory=list)  # and interleaved
    nagle: bool = False  # write packet by packet, and leave it to TCP when they go
    rude: bool = False  # close without a word when something is not RTSP
    answers_play: bool = True  # else media comes without
    hangs_up_after: int = 0  # the status with which it ends a connection
    connections: int = 0
    wrong_logins: int = 0

    async def __aenter__(self) -> FakeCamera:
        self._changed = asyncio.Condition()
        self._closing = False
        self._peers: set[_Peer] = set()
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, getattr(self, "port", 0)), family=family)
        self.port = self._listener.getsockname()[1]
        self._server = await loop.create_server(lambda: _Peer(self), sock=self._listener, ssl=self.tls)
        self._pumps = asyncio.TaskGroup()
        await self._pumps.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._server.close()
        for peer in list(self._peers):
            peer.drop()
        await self._pumps.__aexit__(None, None, None)
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"rtsp{'s' if self.tls else ''}://{host}:{self.port}/live"

    @property
    def login_url(self) -> str:
        """With the credentials that are right."""
        return self.url.replace("://", f"://{self.username}:{self.password}@")

    @property
    def methods(self) -> list[str]:
        """Methods of all requests, in order."""
        return [request.method for request in self.requests]

    def drop(self) -> None:
        """Close every connection at once, as a camera that loses its power is seen by a switch."""
        for peer in list(self._peers):
            peer.drop()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the client does."""
        async with asyncio.timeout(BOUND), self._changed:
            await self._changed.wait_for(condition)

    async def asked(self, method: str, times: int = 1) -> None:
        """Wait for a request."""
        await self.until(lambda: self.methods.count(method) >= times)

    def _notify(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        if not self._closing:
            self._pumps.create_task(notify())

    @property
    def description(self) -> str:
        sections = []
        for track in self.tracks:
            control = f"a=control:{track.control}\n" if track.control else ""
            sections.append(track.sdp + control + "".join(f"{line}\n" for line in track.extra))
        return (self.sdp_head + "".join(sections)).replace("\n", "\r\n")


class _Peer(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, camera: FakeCamera) -> None:
        self._camera = camera
        self._parser = Parser()
        self._setups: list[tuple[FakeTrack, TransportSpec, list[socket.socket]]] = []
        self._pump: asyncio.Task[None] | None = None
        self._room = asyncio.Event()  # in the connection, for more of a flood
        self._room.set()
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self._camera.nagle:
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        self._camera.connections += 1
        self._camera._peers.add(self)
        self._camera._notify()

    def connection_lost(self, exc: Exception | None) -> None:
        self._camera._peers.discard(self)
        self._stop()
        self._camera._notify()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def drop(self) -> None:
        self._transport.abort()
        self._stop()

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._parser.feed(data)
        except ProtocolError:
            if not self._camera.rude:
                self._transport.write(bytes(Response(400, "Bad Request")))
            self._transport.close()
            return
        for message in messages:
            if isinstance(message, Request):
                self._camera.requests.append(message)
                self._respond(message)
            elif isinstance(message, InterleavedFrame):
                self._camera.frames.append(message)
        self._camera._notify()

    def _respond(self, request: Request) -> None:
        response = self._unauthorized(request) or self._answer(request)
        headers = [("CSeq", request.headers.get("CSeq") or "0"), *response.headers]
        answer = self._camera.rewrite(request, replace(response, headers=Headers(headers)))
        if answer is not None and not self._transport.is_closing():
            plays = request.method == "PLAY" and isinstance(answer, Response) and answer.status == 200
            if self._camera.answers_play or not plays:
                self._transport.write(bytes(answer))
            if isinstance(answer, Response) and answer.status == self._camera.hangs_up_after:
                self._transport.close()
            if plays and self._pump is None:
                self._pump = self._camera._pumps.create_task(self._flood() if self._camera.flood else self._play())

    def _unauthorized(self, request: Request) -> Response | None:
        camera = self._camera
        if not camera.challenges or request.method == "OPTIONS":
            return None
        if header := request.headers.get("Authorization"):
            given = Authorization.parse(header)
            for challenge in camera.challenges:
                if given.verify(challenge, request.method, camera.username, camera.password):
                    return None
            camera.wrong_logins += 1
        return Response(401, "Unauthorized", Headers(("WWW-Authenticate", str(each)) for each in camera.challenges))

    def _answer(self, request: Request) -> Response:
        camera = self._camera
        session = ("Session", camera.session)
        match request.method:
            case "OPTIONS":
                return Response(200, "OK", Headers([("Public", camera.public)]))
            case "DESCRIBE":
                base = camera.content_base
                headers = [("Content-Type", "application/sdp")]
                if base is not None:
                    headers.append(("Content-Base", base.format(url=camera.url)))
                return Response(200, "OK", Headers(headers), camera.description.encode("latin-1"))
            case "SETUP":
                return self._setup(request)
            case "PLAY" | "GET_PARAMETER" | "SET_PARAMETER":
                return Response(200, "OK", Headers([session]))
            case "TEARDOWN":
                self._stop()
                return Response(200, "OK")
        return Response(501, "Not Implemented")

    def _setup(self, request: Request) -> Response:
        camera = self._camera
        spec = TransportSpec.parse(request.headers.get("Transport") or "")
        if camera.answers_multicast and not spec.tcp:
            spec = TransportSpec(tcp=False, multicast=True)
        if _kind(spec) not in camera.transports:
            return Response(461, "Unsupported Transport")
        track = camera.tracks[min(len(self._setups), len(camera.tracks) - 1)]
        for each in camera.tracks:
            if each.control and request.url.endswith(each.control):
                track = each
        ports: list[socket.socket] = []
        if not spec.tcp:
            ports = self._open_ports()
            if spec.multicast:
                pair = ports[0].getsockname()[1], ports[1].getsockname()[1]  # free ones, so nobody else's
                source = camera.group_source or None
                spec = replace(spec, destination=camera.group, port=pair, ttl=1, source=source)
            elif camera.name_ports:
                spec = replace(spec, server_port=(ports[0].getsockname()[1], ports[1].getsockname()[1]))
        self._setups.append((track, spec, ports))
        return Response(200, "OK", Headers([("Session", camera.session), ("Transport", str(spec))]))

    def _open_ports(self) -> list[socket.socket]:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._camera.host else socket.AF_INET
        ports = []
        host = self._camera.host
        for address in (host, host, self._camera.foreign_host or host):  # of RTP, of RTCP, and a foreign one
            port = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            port.bind((address, 0))
            if family == socket.AF_INET:
                port.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
            loop.add_reader(port.fileno(), self._read, port)
            ports.append(port)
        return ports

    def _read(self, port: socket.socket) -> None:
        with suppress(OSError):
            self._camera.packets.append(port.recv(2_048))
        self._camera._notify()

    async def _play(self) -> None:
        camera = self._camera
        sequences = [0] * len(self._setups)
        for number in count():
            for index, (track, spec, ports) in enumerate(self._setups):
                if _kind(spec) in camera.silent:
                    continue
                if camera.goodbye:
                    self._send(spec, ports, 1, goodbye(track.ssrc))
                    continue
                if camera.reports and number % 10 == 0:
                    self._send(spec, ports, 1, track.report(number, time_ns()))
                packets = track.packets(number, sequences[index])
                sequences[index] += len(packets)
                for packet in packets:
                    for mangled in camera.mangle(packet):
                        self._send(spec, ports, 0, mangled)
            await asyncio.sleep(camera.interval)

    async def _flood(self) -> None:
        assert self._camera.flood is not None
        for number, piece in enumerate(self._camera.flood()):
            if self._transport.is_closing():
                return
            self._transport.write(piece)
            await self._room.wait()
            if not number % 64:  # others get a turn, too
                await asyncio.sleep(0)

    def _send(self, spec: TransportSpec, ports: list[socket.socket], which: int, data: bytes) -> None:
        camera = self._camera
        if spec.interleaved:
            if not self._transport.is_closing():
                self._transport.write(camera.wrap(bytes(InterleavedFrame(spec.interleaved[which], data))))
        elif spec.client_port:
            source = ports[2] if camera.foreign_port else ports[which]
            with suppress(BlockingIOError, ConnectionRefusedError):
                source.sendto(data, (self._transport.get_extra_info("peername")[0], spec.client_port[which]))
        elif spec.destination and spec.port:
            with suppress(BlockingIOError):
                ports[which].sendto(data, (spec.destination, spec.port[which]))

    def _stop(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        loop = asyncio.get_running_loop()
        for _, _, ports in self._setups:
            for port in ports:
                loop.remove_reader(port.fileno())
                port.close()
        self._setups.clear()


def _kind(spec: TransportSpec) -> str:
    return "tcp" if spec.tcp else "multicast" if spec.multicast else "udp"
