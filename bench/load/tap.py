"""A second look at the camera: when each of its frames left it.

The tap is a plain RTSP client beside the server under test. A camera sends every frame to all its clients at the same
time, so the arrival of a frame's last packet here is the time at which the server could have it. Frames are recognised
on their way through any server by their last bytes, which no repacketisation changes.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import secrets
import socket
import struct
from typing import Self
from urllib.parse import unquote, urlsplit, urlunsplit

from bench.load.engine import RECEIVE_BUFFER
from bench.load.receive import SO_TIMESTAMPNS
from bench.load.rtp import HEADER, payload_of
from bench.load.viewer import TAIL

REMEMBERED = 600  # frames: 20 s at 30 a second
KEEPALIVE = 20.0  # seconds
TIMEOUT = 10.0  # seconds for an answer of the camera's

_TIMESPEC = struct.Struct("=qq").unpack


class TapError(Exception):
    """The camera cannot be tapped; says why."""


class Tap:
    """An async context manager; see ``engine.Timeline`` for what it tells."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        authority = f"[{host}]" if ":" in host else host
        self._host, self._port = host, parts.port or 554
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._url = urlunsplit((parts.scheme, f"{authority}:{self._port}", parts.path, parts.query, ""))
        self._sent: dict[int, int] = {}  # arrival of the last packet by RTP timestamp
        self._tails: dict[bytes, int] = {}  # RTP timestamp by last bytes
        self._cseq = 0
        self._session = ""
        self._challenge: dict[str, str] = {}
        self._challenged = False

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
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
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
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _play(self) -> socket.socket:
        """Set up and play everything: GStreamer's server refuses others while a shared stream is half set up."""
        headers, body = await self._request("DESCRIBE", self._url, Accept="application/sdp")
        base = headers.get("content-base") or self._url
        local = self._writer.get_extra_info("sockname")[0]
        video = None
        for section in re.split(r"(?m)^(?=m=)", body)[1:]:
            media, control = _pair(local)
            self._sockets += [media, control]
            if section.startswith("m=video"):
                video = media
            name = (re.search(r"(?m)^a=control:(\S+)", section) or ["", ""])[1]
            url = name if name.startswith("rtsp") else f"{base.rstrip('/')}/{name}"
            ports = f"{media.getsockname()[1]}-{control.getsockname()[1]}"
            headers, _ = await self._request("SETUP", url, Transport=f"RTP/AVP;unicast;client_port={ports}")
            self._session = headers.get("session", "").split(";")[0]
        if video is None:
            raise TapError("the camera has no video")
        await self._request("PLAY", base, Range="npt=0-")
        return video

    async def _stay(self) -> None:
        while True:
            await asyncio.sleep(KEEPALIVE)
            await self._request("OPTIONS", self._url)

    async def _request(self, method: str, url: str, **headers: str) -> tuple[dict[str, str], str]:
        status, answer, body = await self._exchange(method, url, headers)
        if status == 401 and self._user and not self._challenged:
            self._challenge, self._challenged = _challenge(answer.get("www-authenticate", "")), True
            status, answer, body = await self._exchange(method, url, headers)
        if status != 200:
            raise TapError(f"{method}: the camera answers {status}")
        return answer, body

    async def _exchange(self, method: str, url: str, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        self._cseq += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._cseq}", "User-Agent: tap"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if self._session:
            lines.append(f"Session: {self._session}")
        if self._challenged:
            lines.append(f"Authorization: {self._authorization(method, url)}")
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        answer: dict[str, str] = {}
        for line in head[1:]:
            name, _colon, value = line.partition(":")
            if "digest" not in answer.get(name.lower(), "").lower():  # of several challenges, the one that is not Basic
                answer[name.lower()] = value.strip()
        body = await self._reader.readexactly(int(answer.get("content-length", "0")))
        return int(head[0].split()[1]), answer, body.decode("latin-1")

    def _authorization(self, method: str, url: str) -> str:
        if "nonce" not in self._challenge:
            return "Basic " + base64.b64encode(f"{self._user}:{self._password}".encode()).decode()
        realm, nonce = self._challenge.get("realm", ""), self._challenge["nonce"]
        one, two = _md5(f"{self._user}:{realm}:{self._password}"), _md5(f"{method}:{url}")
        fields = f'username="{self._user}", realm="{realm}", nonce="{nonce}", uri="{url}"'
        if "qop" in self._challenge:
            client = secrets.token_hex(8)
            response = _md5(f"{one}:{nonce}:00000001:{client}:auth:{two}")
            return f'Digest {fields}, qop=auth, nc=00000001, cnonce="{client}", response="{response}"'
        return f'Digest {fields}, response="{_md5(f"{one}:{nonce}:{two}")}"'

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
        """As ``Tap`` does: the camera gives all its clients the same timestamps."""
        return self._after.recognise(tail)

    def sent_ns(self, timestamp: int) -> int | None:
        """Unix time at which the frame's last packet left the camera towards the server."""
        one, other = self._before.sent_ns(timestamp), self._after.sent_ns(timestamp)
        return None if one is None or other is None else (one + other) // 2


def _pair(local: str) -> tuple[socket.socket, socket.socket]:
    """Sockets on an even port and the next one (RFC 3550 11)."""
    family = socket.AF_INET6 if ":" in local else socket.AF_INET
    for _ in range(64):
        media, control = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
        try:
            media.bind((local, 0))
            port = media.getsockname()[1]
            if port % 2 == 0:
                control.bind((local, port + 1))
                media.setblocking(False)
                media.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                media.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
                return media, control
        except OSError:
            pass
        media.close()
        control.close()
    raise TapError("no two neighbouring UDP ports are free")


def _challenge(header: str) -> dict[str, str]:
    return {name.lower(): value for name, value in re.findall(r'(\w+)="?([^",]*)"?', header)}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
