"""Requests of a client to the simulated camera."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

from camshaft.demo_camera.broadcast import Broadcast
from camshaft.demo_camera.clip import Clip
from camshaft.demo_camera.rtsp import Account, Connection, Server
from camshaft.demo_camera.settings import Audio, Settings
from tests.fuzz.media_targets import PPS, SPS
from tests.fuzz.rtsp_targets import RTSP_WORDS
from tests.fuzz.target import Program, Target, repeated, string


def _settings() -> Settings:
    return Settings(width=320, height=180, fps=25, gop=0.4, bitrate=400_000, audio=Audio.PCMU)


_CLIP = Clip(_settings(), [], [], [], SPS, PPS)


def serve_camera(data: bytes) -> None:
    """A client's connection to the simulated camera."""
    program = Program(data)
    now = 1_000.0
    account = Account("user", "password") if program.byte() % 2 else None
    server = Server(Broadcast(_CLIP), account, lambda: now)
    about = {
        "peername": ("127.0.0.1", 5),
        "sockname": ("127.0.0.1", 554),
        "socket": SimpleNamespace(family=socket.AF_INET),
    }
    transport: Any = SimpleNamespace(
        get_extra_info=about.get, write=lambda _: None, close=lambda: None, get_write_buffer_size=lambda: 0
    )
    sock = SimpleNamespace(sendto=lambda *_: None)
    ports: Any = SimpleNamespace(numbers=(6000, 6001), rtp=sock, rtcp=sock)
    server.ports = {(kind, int(socket.AF_INET)): ports for kind in server.broadcast.sources}
    connection = Connection(server)
    connection._log = SimpleNamespace(info=lambda *_, **__: None)  # type: ignore[assignment]
    connection.connection_made(transport)
    while program:
        now += program.byte()
        connection.data_received(program.string())
        server.close_idle()
    connection.connection_lost(None)


def _asked(*requests: bytes) -> bytes:
    return b"".join(b"\1" + string(request) for request in requests)


def _request(method: bytes, track: bytes = b"", *headers: bytes) -> bytes:
    lines = (b"%s rtsp://127.0.0.1/live%s RTSP/1.0" % (method, track), b"CSeq: 1", *headers, b"", b"")
    return b"\r\n".join(lines)


_PLAY = _asked(
    _request(b"OPTIONS"),
    _request(b"DESCRIBE"),
    _request(b"SETUP", b"/video", b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1"),
    _request(b"SETUP", b"/audio", b"Transport: RTP/AVP;unicast;client_port=5000-5001"),
    _request(b"PLAY"),
    b"$\1\0\x08\x80\xc9\0\1\0\0\0\1" + _request(b"GET_PARAMETER"),
    _request(b"TEARDOWN"),
)

TARGETS = [
    Target(
        "demo-camera",
        "a client's requests to the simulated camera",
        serve_camera,
        (
            b"\0" + _PLAY,
            b"\1" + _PLAY,
            b"\1" + _asked(_request(b"DESCRIBE", b"", b'Authorization: Digest username="user"')),
        ),
        words=RTSP_WORDS,
        grow={
            "requests": repeated(_asked(_request(b"OPTIONS")), b"\0"),
            "challenges": repeated(_asked(_request(b"DESCRIBE")), b"\1"),
            "setups": repeated(_asked(_request(b"SETUP", b"/video", b"Transport: RTP/AVP/TCP;interleaved=0-1")), b"\0"),
            "transports": lambda size: (
                b"\0" + _asked(_request(b"SETUP", b"/video", b"Transport: " + b"x," * (size // 2)))
            ),
        },
        bound=15_000,
    ),
]
