"""Sources beside RTSP, as the process that reads one sees them, and as that tells ingest."""

from __future__ import annotations

import io
import socket
from typing import cast

from common.cameras import TlsSpec
from common.errors import CameraError, ProtocolError
from common.media import Kind
from ingest.payload.registry import NothingPlayableError, choose
from ingest.rtp.stream import CameraStream
from ingest.rtsp.networks import Networks
from ingest.sdp import parse
from ingest.sources.http import Http
from ingest.sources.images import Images
from ingest.sources.media import Found, Medium, describe
from ingest.sources.share import Share
from ingest.sources.srt.keys import Keys
from ingest.sources.srt.session import Session
from ingest.sources.srt.wire import CONCLUSION, INDUCTION, MAGIC, VERSION, Control, Handshake, control
from ingest.sources.url import SourceUrl
from ingest.sources.wire import FrameKind, PipeFrames, encode, read_failure
from tests.fakes.records import AVC, HEVC
from tests.fuzz.target import Program, Target, repeated, string

CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mjpeg", "mpeg4", "aac", "aac_latm", "mp3", "pcm_s16le", "opus", "other")
SOUND = CODECS[7:12]
PLAYLIST = SourceUrl.parse("http://u:p@camera:80/live/a.m3u8")
FREE = Share(10_000, clock=lambda: 0.0, cpu=lambda: 0.0, sleep=lambda _seconds: None)
NOW = 1_700_000_000_000_000_000


def demuxed(data: bytes) -> None:
    """A codec, its record, and access units: each becomes packets, which a receiver takes."""
    program = Program(data)
    codec = CODECS[program.byte() % len(CODECS)]
    found = Found(Kind.AUDIO if codec in SOUND else Kind.VIDEO, codec, program.string(), program.number(2), 2)
    medium, now = Medium(found, 0), NOW
    [choice], _ = choose(parse(describe([medium])))
    stream = CameraStream([choice], udp=False, epoch=1)
    while program:
        now += 40_000_000
        at_ns = program.number(4) * 1_000
        try:
            packets = medium.packets(program.string(), at_ns)
        except ProtocolError:
            continue
        for packet in packets:
            stream.receivers[0].receive(packet, now)
        stream.take(now)


def srt(data: bytes) -> None:
    """Answers of an SRT listener, or of anybody at its address; the first two answers open the connection."""
    program, now = Program(data), 0.0
    session = Session(socket=1, sequence=2, latency=0.12, keys=Keys("passphrase", bytes(16), bytes(16)))
    session.due(now)
    while program:
        now += program.byte() / 100
        session.receive(program.string(), now)
        session.due(now)
        session.take()


def _shaken(kind: int, *extensions: tuple[int, bytes]) -> bytes:
    body = Handshake(kind, 5, 0, MAGIC, 7, 9, 3, extensions)
    return b"\1" + string(control(Control.HANDSHAKE, 1, bytes(body)))


def _srt(*packets: bytes) -> bytes:
    rights = (2, VERSION.to_bytes(4) + bytes(8)), (4, Keys("passphrase", bytes(16), bytes(16)).message)
    opening = _shaken(INDUCTION) + _shaken(CONCLUSION, *rights)
    return opening + b"".join(b"\1" + string(packet) for packet in packets)


def _srt_data(sequence: int) -> bytes:
    return sequence.to_bytes(4) + b"\xc0" + bytes(11) + b"payload"


def read_frames(data: bytes) -> None:
    program, frames = Program(data), PipeFrames()
    while program:
        for frame in frames.push(program.take(1 + program.byte())):
            if frame.kind is FrameKind.FAILED:
                str(read_failure(frame.body))


def read_address(data: bytes) -> None:
    text, _, location = data.decode("utf-8", "replace").partition("\n")
    url = SourceUrl.parse(text)
    there = url.leading(location)
    assert there.scheme in ("http", "https"), "nothing leads out of HTTP"
    assert url.scheme != "https" or there.scheme == "https", "nothing leads out of TLS"
    same = (there.host, there.port) == (url.host, url.port)
    assert same or there.username is None, "no password goes elsewhere"


def _demuxed(codec: str, extradata: bytes, *units: bytes) -> bytes:
    times = (number.to_bytes(4, "big") for number in range(0, 1 << 30, 40_000))
    head = bytes((CODECS.index(codec),)) + string(extradata) + (48_000).to_bytes(2, "big")
    return head + b"".join(time + string(unit) for time, unit in zip(times, units, strict=False))


class _Body:
    """Gives a kilobyte at a time."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self, _size: int) -> bytes:
        begin = self._at
        self._at += 1_024
        return self._data[begin : self._at]

    def close(self) -> None:
        pass


def images(data: bytes) -> None:
    read = Images(_Body(data)).read
    count = sum(len(out) for out in iter(lambda: read(4_096), b""))
    assert count <= len(data) + 80 * (len(data) // 4), "each image has four bytes and more"


class _Said:
    """A connection to a server that has said its answer already."""

    def __init__(self, answer: bytes, url: SourceUrl) -> None:
        self._answer, self._ours = answer, (url.host, url.port) == (PLAYLIST.host, PLAYLIST.port)

    def sendall(self, request: bytes) -> None:
        assert self._ours or b"uthorization" not in request, "no password goes elsewhere"

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._answer))

    def close(self) -> None:
        pass


class _Answered(Http):
    """Requests that are answered by what a program says, one after the other."""

    def __init__(self, program: Program) -> None:
        super().__init__(PLAYLIST, TlsSpec(), Networks(), FREE)
        self._program = program

    def _connected(self, url: SourceUrl) -> socket.socket:
        return cast(socket.socket, _Said(self._program.string(), url))


def fetch(data: bytes) -> None:
    """A playlist, its redirects and logins, and what it leads to."""
    program = Program(data)
    http = _Answered(program)
    location, size = "", 0
    for _ in range(4):
        body = http.get(location)
        while piece := body.read(1 + size % 4_096):
            size += len(piece)
        body.close()
        location = program.string().decode("latin-1")
    assert size <= len(data)


TARGETS = [
    Target(
        "source-media",
        "access units and records of containers, from a source beside RTSP",
        demuxed,
        (
            _demuxed("h264", AVC, b"\0\0\0\5\x67\x42\xe0\x1f\1\0\0\0\3\x65\x88\x84", b"\0\0\0\2\x41\x9a"),
            _demuxed("h264", b"", b"\0\0\0\1\x67\x42\xe0\x1f\1\0\0\1\x65\x88\x84"),
            _demuxed("hevc", HEVC, b"\0\0\0\4\x26\1\xaf\1"),
            _demuxed("vp8", b"", b"\x10\2\0\x9d\1\x2a" + bytes(30)),
            _demuxed("vp9", b"", b"\x82\x49\x83\x42" + bytes(30)),
            _demuxed("av1", b"", b"\x12\0\x0a\3seq\x32\4fram"),
            _demuxed("mjpeg", b"", b"\xff\xd8" + bytes(30)),
            _demuxed("mpeg4", b"\0\0\1\x20c", b"\0\0\1\xb6\x10picture"),
            _demuxed("aac", bytes.fromhex("1190"), b"sound", b"\xff\xf1\x4c\x80\1\x7f\xfcsound"),
            _demuxed("aac_latm", b"", b"\x56\xe0\x10element"),
        ),
        (NothingPlayableError,),
        grow={
            "units": lambda size: _demuxed("h264", AVC, b"\0\0\0\1\x65" * (size // 5)),
            "start codes": lambda size: _demuxed("hevc", b"", b"\0\0\1\x26\1a" * (size // 6)),
            "obus": lambda size: _demuxed("av1", b"", b"\x32\1a" * (size // 3)),
            "sets": lambda size: _demuxed("h264", b"\0\0\1\x67a" * (size // 5), b"\0\0\1\x65a"),
        },
    ),
    Target(
        "source-images",
        "Motion JPEG over HTTP, from a source beside RTSP",
        images,
        (
            b"--frame\r\n\r\n\xff\xd8\xff\xe0\0\4ab\xff\xda\0\2scan\xff\0\xff\xd9\r\n--frame\r\n\r\n\xff\xd8\xff\xda\0\2\xff\xd9",
        ),
        words=(b"\xff\xd8", b"\xff\xd9", b"\xff\xda\0\2", b"\xff\xe1\xff\xff", b"\xff\xff"),
        grow={
            "starts": repeated(b"\xff\xd8"),
            "segments": lambda size: b"\xff\xd8" + b"\xff\xe1\0\2" * (size // 4),
            "starts in segments": lambda size: b"\xff\xd8\xff\xe1\0\4" * (size // 6),
            "images": repeated(b"\xff\xd8\xff\xd9"),
            "filling": repeated(b"\xff", b"\xff\xd8"),
            "one scan": repeated(b"\xff\0", b"\xff\xd8\xff\xda\0\2"),
        },
    ),
    Target(
        "source-frames",
        "what the process of a source beside RTSP says, should it be taken over",
        read_frames,
        (
            encode(FrameKind.DESCRIPTION, b"v=0") + encode(FrameKind.RTP, b"packet"),
            encode(FrameKind.FAILED, b"closed\n"),
        ),
        (ProtocolError,),
        grow={"empty frames": repeated(encode(FrameKind.RTP, b""))},
    ),
    Target(
        "srt",
        "packets of an SRT listener, or of anybody at its address",
        srt,
        (_srt(_srt_data(7), _srt_data(9), control(Control.DROP, 1, bytes(8)), _srt_data(8)), _shaken(1010)),
        (CameraError,),
        grow={
            "data": lambda size: _srt(*(_srt_data(7 + n) for n in range(size // 24))),
            "gaps": lambda size: _srt(*(_srt_data(7 + 2 * n) for n in range(size // 24))),
            "extensions": lambda size: _shaken(INDUCTION, *((9, b"") for _ in range(size // 4))),
        },
    ),
    Target(
        "source-http",
        "answers of a web server to a source beside RTSP, and of what it redirects to",
        fetch,
        (
            string(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 4\r\n\r\nbody")
            + string(b"b.ts")
            + string(b"HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nbody\r\n0\r\nA: b\r\n\r\n"),
            string(b"HTTP/1.0 302 Found\r\nLocation: http://b:81/x\r\n\r\n") + string(b"HTTP/1.0 200 OK\r\n\r\nrest"),
            string(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n\r\n')
            + string(b"HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: multipart/x; boundary=a\r\n\r\n"),
            string(b"ICY 200 OK\r\n\r\n"),
        ),
        (CameraError,),
        words=(
            b"HTTP/1.1 200 OK\r\n",
            b"Location: ",
            b"\r\nTransfer-Encoding: chunked\r\n",
            b"\r\nContent-Length: ",
            b"WWW-Authenticate: Digest ",
            b"WWW-Authenticate: Basic realm=a\r\n",
            b"\r\n\r\n",
        ),
        grow={
            "headers": lambda size: string(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (size // 6) + b"\r\n"),
            "folded": lambda size: string(
                b"HTTP/1.1 200 OK\r\nContent-Type: a\r\n" + b" b\r\n" * (size // 4) + b"\r\n"
            ),
            "one line": lambda size: string(b"HTTP/1.1 200 OK\r\na: " + b"b" * size + b"\r\n\r\n"),
            "parameters": lambda size: string(
                b"HTTP/1.1 200 OK\r\nContent-Type: a/b" + b";c=d" * (size // 4) + b"\r\n\r\n"
            ),
            "chunks": lambda size: string(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * (size // 6)
            ),
            "challenges": lambda size: string(
                b"HTTP/1.1 401 No\r\n" + b"WWW-Authenticate: Basic realm=a\r\n" * (size // 33) + b"\r\n"
            ),
        },
        most=1_024,
        bound=16_384,
    ),
    Target(
        "source-url",
        "the address of a source beside RTSP, and what a playlist or a redirect leads to",
        read_address,
        (b"http://u:p@h:80/live/a.m3u8\n../b.ts?x=1", b"https://[::1]/\nhttp://h/", b"file:///srv/a\n/b", b"srt://h:1"),
        (ValueError,),
        words=(b"http://", b"https://", b"file:///", b"@", b"\n//"),
        grow={
            "at signs": repeated(b"@", b"http://"),
            "slashes": repeated(b"../", b"http://h/\n"),
            "brackets": repeated(b"[", b"http://"),
        },
        most=2_048,
        bound=2_048,
    ),
]
