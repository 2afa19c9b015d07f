"""A second look at the camera: when each of its frames left it.

The tap is a plain RTSP client beside the server under test. A camera sends every frame to all its clients at the same
time, so the arrival of a frame's last packet here is the time at which the server could have it. Frames are recognised
on their way through any server by their last bytes, which no repacketisation changes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Self

from camshaft.demo_camera.lanes import bind_pair
from ingest import sdp
from ingest.rtsp.auth import Authenticator
from ingest.rtsp.message import Response
from ingest.rtsp.url import RtspUrl, resolve_base, resolve_control
from rigs.load.engine import RECEIVE_BUFFER
from rigs.load.receive import SO_TIMESTAMPNS
from rigs.load.rtp import HEADER, payload_of
from rigs.load.viewer import TAIL
from rigs.rtsp_client import Client

REMEMBERED = 600  # frames: 20 s at 30 a second
KEEPALIVE = 20.0  # seconds
TIMEOUT = 10.0  # seconds for an answer of the camera's

_TIMESPEC = struct.Struct("=qq").unpack


class TapError(Exception):
    """The camera cannot be tapped; says why."""


class Tap:
    """An async context manager; see ``delays.Timeline`` for what it tells."""

    def __init__(self, url: str) -> None:
        self._url = RtspUrl.parse(url)
        self._sent: dict[int, int] = {}  # arrival of the last packet by RTP timestamp
        self._tails: dict[bytes, int] = {}  # RTP timestamp by last bytes

    def recognise(self, tail: bytes) -> int | None:
        """The RTP timestamp of the frame that ends with ``tail``."""
        return self._tails.get(tail)

    def sent_ns(self, timestamp: int) -> int | None:
        """Unix time at which the frame's last packet left the camera. A server may have rounded the timestamp by 1."""
        return self._sent.get(timestamp) or self._sent.get(timestamp + 1) or self._sent.get(timestamp - 1)

    def frame_sent_ns(self, access_unit: bytes) -> int | None:
        """Unix time at which this access unit of the camera's clip left it last."""
        timestamp = self._tails.get(access_unit[-TAIL:])
        return None if timestamp is None else self._sent.get(timestamp)

    async def __aenter__(self) -> Self:
        self._client = await Client.connect(f"{self._url.host}:{self._url.port}")
        self._client.login = Authenticator(self._url.username, self._url.password)
        self._sockets: list[socket.socket] = []
        try:
            async with asyncio.timeout(TIMEOUT):
                self._video = await self._play()
        except BaseException:
            await self._close()
            raise
        asyncio.get_running_loop().add_reader(self._video, self._read)
        self._keepalive = asyncio.create_task(self._stay())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._keepalive.cancel()
        await asyncio.wait([self._keepalive])
        asyncio.get_running_loop().remove_reader(self._video)
        await self._close()

    async def _close(self) -> None:
        for sock in self._sockets:
            sock.close()
        await self._client.close()

    async def _play(self) -> socket.socket:
        """Set up and play everything: GStreamer's server refuses others while a shared stream is half set up."""
        answer = await self._ask("DESCRIBE", self._url, Accept="application/sdp")
        base = resolve_base(self._url, answer.headers.get("Content-Base"), None)
        video = None
        for section in sdp.parse(answer.body).media:
            media, control = self._bind()
            if section.kind == "video":
                video = media
            ports = f"{media.getsockname()[1]}-{control.getsockname()[1]}"
            transport = f"RTP/AVP;unicast;client_port={ports}"
            answer = await self._ask("SETUP", resolve_control(base, section.control), Transport=transport)
            self._client.headers["Session"] = (answer.headers.get("Session") or "").partition(";")[0]
        if video is None:
            raise TapError("the camera has no video")
        await self._ask("PLAY", base, Range="npt=0-")
        return video

    async def _stay(self) -> None:
        while True:
            await asyncio.sleep(KEEPALIVE)
            await self._ask("OPTIONS", self._url)

    async def _ask(self, method: str, url: RtspUrl, **headers: str) -> Response:
        answer = await self._client.ask(method, str(url), **headers)
        if answer.status != 200:
            raise TapError(f"{method}: the camera answers {answer.status}")
        return answer

    def _bind(self) -> tuple[socket.socket, socket.socket]:
        local = self._client.writer.get_extra_info("socket")
        pair = bind_pair(local.getsockname()[0], local.family)
        self._sockets += pair
        for sock in pair:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        return pair

    def _read(self) -> None:
        while True:
            try:
                packet, ancillary, _flags, _source = self._video.recvmsg(2048, 64)
            except BlockingIOError:
                return
            if len(packet) < 12:
                continue
            _bits, second, _sequence, timestamp, _ssrc = HEADER.unpack_from(packet)
            for _level, kind, value in ancillary:
                if kind == SO_TIMESTAMPNS:
                    seconds, rest = _TIMESPEC(value)
                    self._sent[timestamp] = seconds * 1_000_000_000 + rest
            if second & 0x80:
                self._tails[payload_of(packet)[-TAIL:]] = timestamp
                if len(self._sent) > REMEMBERED:
                    del self._sent[next(iter(self._sent))]
                if len(self._tails) > REMEMBERED:
                    del self._tails[next(iter(self._tails))]


class Between:
    """Two taps: one that came to the camera before the server under test, and one that came after it.

    A camera serves one client after the other, in the order they came or the other way round, and a picture takes it 30
    to 50 µs each. So the server has got a frame half-way between the two.
    """

    def __init__(self, before: Tap, after: Tap) -> None:
        self._before, self._after = before, after

    def recognise(self, tail: bytes) -> int | None:
        """The RTP timestamp of the frame that ends with ``tail``; the camera gives all its clients the same."""
        return self._after.recognise(tail)

    def sent_ns(self, timestamp: int) -> int | None:
        """Unix time at which the frame's last packet left the camera towards the server."""
        one, other = self._before.sent_ns(timestamp), self._after.sent_ns(timestamp)
        return None if one is None or other is None else (one + other) // 2
