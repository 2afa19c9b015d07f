"""A camera's whole session as a program: what it sends, in any order, and time."""

from __future__ import annotations

import struct
from typing import Any

from common import control
from common.cameras import CameraState
from common.errors import CameraError, ProtocolError
from common.media import encode_batch
from ingest.payload.registry import Choice, choose
from ingest.rtp.rtcp import receiver_report
from ingest.rtp.stream import CameraStream
from ingest.rtsp.message import InterleavedFrame
from ingest.rtsp.parser import Parser
from ingest.rtsp.session import BindPorts, Playing, Punch, RtspSession
from ingest.rtsp.session import Send as Say
from ingest.sdp import MediaSection, SessionDescription
from tests.fuzz.camera_address_targets import URL
from tests.fuzz.media_targets import PPS, SPS
from tests.fuzz.rtsp_targets import DESCRIPTION, OK, RTSP_WORDS, UNAUTHORISED
from tests.fuzz.target import SESSION, Program, Target, repeated, string

CANNED = (200, 301, 302, 401, 404, 454, 455, 457, 461, 500, 100, 551)


class CameraSession:
    """A camera at the cores that ``ingest.rtsp.client`` drives over sockets."""

    def __init__(self, *, udp: bool) -> None:
        self.now = 1_000.0
        self.session = RtspSession(URL, udp, self._select)
        self.parser = Parser()
        self.stream = CameraStream([], udp=udp, epoch=1)
        self.choices: list[Choice] = []
        self.batches = 0
        self._routes: dict[int, Any] = {}
        self.do(self.session.start(self.now))

    @property
    def ns(self) -> int:
        return int(self.now * 1e9)

    def _select(self, description: SessionDescription) -> list[MediaSection]:
        self.choices, _ = choose(description)
        return [choice.section for choice in self.choices]

    def do(self, actions: list[Any]) -> None:
        for action in actions:
            match action:
                case Say(message):
                    bytes(message)
                case BindPorts():
                    self.do(self.session.bound((5000, 5001), self.now))
                case Punch():
                    self._open()
                case Playing():
                    pass

    def _open(self) -> None:
        setups = self.session.setups
        sections = [setup.section for setup in setups]
        choices = [choice for choice in self.choices if any(choice.section is section for section in sections)]
        self.stream = CameraStream(choices, udp=self.session.udp, epoch=1)
        for setup, receiver in zip(setups, self.stream.receivers, strict=True):
            for channel, receive in zip(
                setup.spec.interleaved or (), (receiver.receive, receiver.receive_rtcp), strict=False
            ):
                self._routes[channel] = receive
        self.parser.channels = frozenset(self._routes) or None

    def feed(self, data: bytes) -> None:
        for message in self.parser.feed(data):
            if isinstance(message, InterleavedFrame):
                if receive := self._routes.get(message.channel):
                    receive(message.payload, self.ns)
            else:
                self.do(self.session.receive(message, self.now))
        self.take()

    def take(self) -> None:
        for batch in self.stream.take(self.ns):
            self.batches += 1
            encode_batch(batch)

    def answer(self, status: int, extra: bytes) -> None:
        """The answer that fits, with more headers, perhaps the same again."""
        headers = (
            b"CSeq: 1\r\nSession: 12345678;timeout=60\r\nPublic: OPTIONS, GET_PARAMETER\r\n"
            b"WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\nLocation: rtsp://elsewhere/live\r\n"
        )  # fmt: skip
        transport = (
            b"Transport: RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001\r\n" if self.session.udp else b""
        )
        body = DESCRIPTION if self.session.state.name == "DESCRIBE" else b""
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        self.feed(b"RTSP/1.0 %d Words\r\n" % status + extra + headers + transport + length + body)

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.session.tick(self.now, partial=bool(self.parser.partial)))
        self.stream.expire(self.ns)
        self.take()
        blocks = [block for receiver in self.stream.receivers if (block := receiver.report_block(self.ns))]
        receiver_report(1, "cname", blocks)
        control.encode(
            control.StreamReport(
                "door",
                1,
                CameraState.PLAYING,
                detail=self.session.server,
                tracks=tuple(receiver.track for receiver in self.stream.receivers),
                stats=tuple(receiver.stats for receiver in self.stream.receivers),
            )  # type: ignore[arg-type]
        )


def watch_camera(data: bytes) -> None:
    """A camera's session: answers, packets over either transport, and time."""
    program = Program(data)
    camera = CameraSession(udp=program.byte() % 2 == 1)
    sequence = timestamp = 0
    while program:
        what = program.byte()
        match what & 7:
            case 0:
                camera.feed(program.string())
            case 1:
                camera.answer(CANNED[what >> 3 if what >> 3 < len(CANNED) else 0], b"")
            case 2:
                camera.answer(200, program.string().replace(b"\r\n\r\n", b"\r\n"))
            case 3 | 4:
                sequence += what >> 5 & 3
                timestamp += what >> 3 & 3
                header = struct.pack(
                    "!BBHII", 0x80, 0xE0 if what & 0x80 else 0x60, sequence & 0xFFFF, timestamp * 3_000, 7
                )
                packet = header + (
                    program.string()
                    if what & 7 == 4
                    else (SPS, PPS, b"\x65\x88" + bytes(9))[what >> 3 & 3 if what >> 3 & 3 < 3 else 0]
                )
                if camera.session.udp:
                    for receiver in camera.stream.receivers[:1]:
                        receiver.receive(packet, camera.ns)
                else:
                    camera.feed(bytes(InterleavedFrame(0, packet)))
            case 5:
                camera.tick((what >> 3) ** 2 / 64)
            case 6:
                packet = program.string()
                for receiver in camera.stream.receivers:
                    receiver.receive_rtcp(packet, camera.ns)
                    receiver.receive(packet, camera.ns)
            case 7:
                camera.do(camera.session.stop(camera.now))
    camera.tick(1.0)


_CAMERA = b"\1\1\1\1\1"

TARGETS = [
    Target(
        "camera-session",
        "a whole session of a camera: RTSP, RTP, RTCP over either transport, and time",
        watch_camera,
        (
            b"\0" + _CAMERA + b"\x23\x2b\xb3\x3c\x04" + string(b"\x41\x9a" + bytes(9)) + b"\x45\7\1",
            b"\1" + _CAMERA + b"\x23\x2b\xb3\x3c\x06" + string(b"\x80\xc8\0\6" + bytes(24)) + b"\x4d\7",
            b"\0\0" + string(UNAUTHORISED) + b"\0" + string(OK) + b"\x11\x09\x5d",
            b"\0" + _CAMERA + b"\0" + string(b"\xff" * 9 + OK) + b"\x2a" + string(b"X: y\r\n") + b"\xfd",
        ),
        (CameraError, ProtocolError),
        RTSP_WORDS,
        {
            "packets": repeated(b"\x23\x2b\xb3", b"\0" + _CAMERA),
            "datagrams": repeated(b"\x23\x2b\xb3", b"\1" + _CAMERA),
            "late datagrams": repeated(b"\x64" + string(b"\x41"), b"\1" + _CAMERA),
            "ticks": repeated(b"\x0d", b"\0" + _CAMERA),
        },
        bound=8_192,
        slow=SESSION,
    ),
]
