"""RTSP and descriptions of cameras, and what comes from them by UDP and HTTP."""

from __future__ import annotations

import ipaddress
from collections import deque
from types import SimpleNamespace

from common.errors import CameraError, ProtocolError
from common.media import Track
from common.payload.output import Output
from ingest import sdp
from ingest.payload import registry
from ingest.rtsp.groups import group_of
from ingest.rtsp.http_head import AnswerReader
from ingest.rtsp.message import Request, Response
from ingest.rtsp.parser import Parser
from ingest.rtsp.transport import TransportSpec
from ingest.rtsp.udp import UdpPort
from ingest.sdp import MediaSection
from ingest.srtp import mikey, sdes
from ingest.srtp.keys import SUITES, USUAL, Keys
from ingest.srtp.packets import Protector, Unprotector
from tests.fakes.clocks import ArrivalClock
from tests.fuzz.camera_address_targets import text
from tests.fuzz.target import Program, Target, on_loop, repeated, string

PROTECTED = tuple(Keys(suite, bytes(suite.master_size), b"\1") for suite in SUITES.values())
AUTHENTIC = tuple(
    bytes((number,)) + Protector(keys).rtcp(b"\x81\xc9\0\7" + bytes(28)) for number, keys in enumerate(PROTECTED)
)

DESCRIPTION = b"""v=0\r
o=- 1700000000 1 IN IP4 10.0.0.2\r
s=Media Presentation\r
c=IN IP4 0.0.0.0\r
t=0 0\r
a=control:rtsp://10.0.0.2/live/\r
m=video 0 RTP/AVP 96\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 packetization-mode=1; profile-level-id=64001F; sprop-parameter-sets=Z2QAH6zZ,aOvjyyLA\r
a=control:trackID=1\r
m=audio 0 RTP/AVP 0 8 97\r
a=rtpmap:97 opus/48000/2\r
a=control:trackID=2\r
a=sendonly\r
m=application 0 RTP/AVP 107\r
a=rtpmap:107 vnd.onvif.metadata/90000\r
"""
OK = (
    b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE, GET_PARAMETER\r\nSession: 7;timeout=60\r\n"
    b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=1234\r\nContent-Type: application/sdp\r\n"
    b"Content-Length: 4\r\n\r\nbody"
)
ASKED = b"SET_PARAMETER rtsp://10.0.0.2/live RTSP/1.0\r\nCSeq: 4\r\n\r\n"
UNAUTHORISED = (
    b'RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm="r", nonce="n", qop="auth", opaque="o", '
    b'algorithm=SHA-256, stale=false\r\nWWW-Authenticate: Basic realm="r"\r\n\r\n'
)
FRAME = b"$\0\0\x0e\x80\x60" + bytes(range(12))

RTSP_WORDS = (
    b"RTSP/1.0 200 OK\r\n", b"RTSP/1.0 401 ", b"\r\n\r\n", b"\n\n", b"CSeq: ", b"Content-Length: ", b"Session: ",
    b";timeout=", b"Transport: ", b"RTP/AVP/TCP;unicast;interleaved=0-1", b"WWW-Authenticate: ", b"Location: rtsp://",
    b"Content-Base: ", b"$\0\0\x0c\x80\x60", b" rtsp://a/b RTSP/1.0\r\n", b"Public: GET_PARAMETER",
)  # fmt: skip
SDP_WORDS = (
    b"a=source-filter:incl IN IP4 * 10.0.0.7",
    b"c=IN IP4 239.1.2.3/64",
    b"\r\nm=video 0 RTP/AVP ", b"\r\nm=audio 0 RTP/AVP ", b"\r\na=rtpmap:96 ", b"H264/90000", b"opus/48000/2",
    b"\r\na=fmtp:96 ", b"packetization-mode=", b"sprop-parameter-sets=", b"profile-level-id=", b"\r\na=control:",
    b"\r\na=sendonly", b"RTP/SAVP", b"MPEG4-GENERIC", b"\0",
)  # fmt: skip


def parse_message(data: bytes) -> None:
    for message in Parser().feed(data):
        bytes(message) if isinstance(message, Response | Request) and _writable(message) else repr(message)


def _writable(message: Request | Response) -> bool:
    return not any("\0" in part or "\r" in part or "\n" in part for part in (getattr(message, "url", ""),))


def parse_in_pieces(data: bytes) -> None:
    """Pieces of any size make what comes whole."""
    program = Program(data)
    size, parser = 1 + program.byte() % 64, Parser()
    parser.feed(OK)
    parser.describes = True
    while piece := program.take(size):
        parser.feed(piece)


def resynchronise(data: bytes) -> None:
    """Junk between the messages of a session that plays."""
    parser = Parser()
    parser.feed(OK)
    parser.channels = frozenset({0, 1})
    parser.feed(b"\xff" + data)


def choose(data: bytes) -> None:
    description = sdp.parse(data)
    registry.doubtful(description)
    chosen, _ = registry.choose(description)
    for choice in chosen:
        registry.make(choice, _output(choice.track))


def _output(track: Track) -> Output:
    return Output(track.kind, track.codec, ArrivalClock(), 1)


def parse_transport(data: bytes) -> None:
    spec = TransportSpec.parse(text(data))
    assert TransportSpec.parse(str(spec)).interleaved == spec.interleaved
    group = group_of(spec, MediaSection("video", "RTP/AVP", (), port=spec.ssrc or 0, connection=spec.source or ""))
    assert ipaddress.ip_address(group.address).is_multicast
    assert 0 < min(group.ports) <= max(group.ports) < 1 << 16
    assert 0 < group.ttl < 256


def read_datagrams(data: bytes) -> None:
    """Datagrams from several addresses at a UDP port of one camera."""
    program = Program(data)
    addresses = ["192.0.2.1", "192.0.2.2", "198.51.100.9"]
    waiting = deque[tuple[bytes, tuple[str, int]]]()
    while program:
        where = program.byte()
        waiting.append((program.string(), (addresses[where % 3], 5000 + where // 64)))

    def receive(buffer: bytearray) -> tuple[int, tuple[str, int]]:
        if not waiting:
            raise BlockingIOError
        datagram, source = waiting.popleft()
        buffer[: len(datagram)] = datagram
        return len(datagram), source

    sock = SimpleNamespace(
        getsockname=lambda: ("192.0.2.100", 6000),
        fileno=lambda: 0,
        recvfrom_into=receive,
        recv_into=lambda buffer: receive(buffer)[0],
        connect=lambda _remote: None,
        sendto=lambda *_: None,
    )
    loop = SimpleNamespace(
        add_reader=lambda *_: None,
        remove_reader=lambda *_: None,
        call_later=lambda *_: SimpleNamespace(cancel=lambda: None),
        time=lambda: float(len(waiting)),
    )
    with on_loop(loop):
        port = UdpPort(sock)  # type: ignore[arg-type]
    port.start(
        frozenset(addresses[:2]), (addresses[0], 5000) if len(data) % 2 else None, lambda *_: None, lambda *_: None
    )
    while waiting:
        port._read()


def read_answer(data: bytes) -> None:
    """In pieces of as many bytes as the first one says."""
    reader, size = AnswerReader(), data[0] + 1 if data else 1
    for at in range(1, len(data), size):
        if reader.feed(data[at : at + size]):
            return


HEAD = b"RTSP/1.0 200 OK\r\n"


def read_keys(data: bytes) -> None:
    sdes.read([data.decode("latin-1")])
    mikey.read(data)


def read_protected(data: bytes) -> None:
    track = Unprotector(PROTECTED[data[0] % len(PROTECTED)] if data else PROTECTED[0])
    track.rtp(data[1:])
    track.rtcp(data[1:])


TARGETS = [
    Target(
        "rtsp-message",
        "RTSP messages and interleaved frames, from a camera",
        parse_message,
        (OK, ASKED + OK, UNAUTHORISED, FRAME * 3 + OK, OK.replace(b"\r\n", b"\n")),
        (ProtocolError,),
        RTSP_WORDS,
        {
            "headers": repeated(b"X-%d: 1\r\n", HEAD, b"\r\n"),
            "folded": repeated(b" x\r\n", HEAD + b"A: b\r\n", b"\r\n"),
            "blanks": repeated(b" ", HEAD + b"A: ", b"b\r\n\r\n"),
            "empty lines": repeated(b"\r\n"),
            "empty frames": repeated(b"$\0\0\0"),
            "spaces in the request": repeated(b" ", b"OPTIONS rtsp://a", b"x\r\n\r\n"),
            "junk": repeated(b"\xff", OK),
            "almost frames": repeated(b"$\x07\0\0", OK + b"\xff"),
            "almost messages": repeated(b"RTSP/1.0\r\n", OK),
        },
        bound=16_384,
    ),
    Target(
        "rtsp-pieces",
        "the same, in pieces of any size",
        parse_in_pieces,
        (b"\0" + OK, b"\x05" + FRAME * 3 + ASKED, b"\x20" + UNAUTHORISED),
        (ProtocolError,),
        RTSP_WORDS,
        {
            "headers": repeated(b"X-%d: 1\r\n", b"\x3f" + HEAD, b"\r\n"),
            "start line": repeated(b"A", b"\x3f" + HEAD[:-2], b"\r\n\r\n"),
            "body": repeated(b"b", b"\x3f" + HEAD + b"Content-Length: 60000\r\n\r\n"),
            "junk": repeated(b"\xff", b"\x3f"),
        },
        most=1_024,
        bound=16_384,
    ),
    Target(
        "rtsp-junk",
        "what a camera sends between two messages and is neither",
        resynchronise,
        (b"\xff" * 20 + FRAME + OK, b"$\x07\0\x02ab" + OK),
        (ProtocolError,),
        RTSP_WORDS,
        {
            "almost frames": repeated(b"$\x07\0\0\x80"),
            "almost requests": repeated(b"OPTIONS  "),
            "letters": repeated(b"A"),
            "blanks": repeated(b" "),
        },
    ),
    Target(
        "tunnel-answer",
        "the answer of a camera's web server to RTSP inside of HTTP",
        read_answer,
        (
            b"\xffHTTP/1.0 200 OK\r\nServer: x\r\n\r\n",
            b"\0HTTP/1.1 401 x\nWWW-Authenticate: Basic realm=x\n\n",
            b"\x07RTSP/1.0",
        ),
        (ProtocolError,),
        (b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n", b"\n\n", b": ", b"WWW-Authenticate: "),
        {
            "headers": repeated(b"X-%d: 1\r\n", b"\xffHTTP/1.0 200 OK\r\n", b"\r\n"),
            "one line": repeated(b"a", b"\xffHTTP/1.0 200 "),
            "line ends": repeated(b"\r", b"\xffHTTP/1.0 200 OK\n"),
        },
    ),
    Target(
        "sdp",
        "a camera's session description",
        sdp.parse,
        (DESCRIPTION, DESCRIPTION.replace(b"\r\n", b"\n")),
        words=SDP_WORDS,
        grow={
            "fmtp": repeated(b"a=fmtp:%d x=1\n", b"m=video 0 RTP/AVP 96\n"),
            "sections with fmtp": repeated(b"m=video 0 RTP/AVP 96 97 98 99\na=fmtp:96 a=1;b=2\n"),
            "fmtp after sections": repeated(b"a=fmtp:99 x=1\n", b"m=video 0 RTP/AVP 96 97 98 99\n" * 32),
            "rtpmap": repeated(b"a=rtpmap:%d H264/90000\n", b"m=video 0 RTP/AVP 96\n"),
            "formats": repeated(b" 96", b"m=video 0 RTP/AVP"),
            "parameters": repeated(b"a%d;", b"m=video 0 RTP/AVP 96\na=fmtp:96 "),
            "blanks": repeated(b" ", b"m=video 0 RTP/AVP 96\na=rtpmap:96 ", b"x"),
            "digits": repeated(b"1", b"m=video 0 RTP/AVP 96\na=rtpmap:"),
            "line breaks": repeated(b"\n"),
            "sources": repeated(b" 10.0.0.7", b"m=video 0 RTP/AVP 96\na=source-filter: incl IN IP4 *"),
        },
    ),
    Target(
        "sdp-choice",
        "the same, and which of it is played",
        choose,
        (DESCRIPTION,),
        (CameraError,),
        SDP_WORDS,
        {
            "sections": repeated(b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
            "parameter sets": repeated(
                b"Z0LAH9oCgPbA,", b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 sprop-parameter-sets="
            ),
            "one parameter set": repeated(
                b"AAAB", b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 sprop-parameter-sets=Z0LA"
            ),
        },
    ),
    Target(
        "rtsp-transport",
        "the Transport header, from either end",
        parse_transport,
        (
            b"RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=DEADBEEF",
            b'RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001;source="10.0.0.2";mode="PLAY"',
            b"RAW/RAW/UDP,RTP/AVPF/UDP;multicast;interleaved=4",
            b"RTP/AVP;multicast;destination=239.1.2.3;source=10.0.0.2;port=5000-5001;ttl=16",
            b"RTP/AVP;multicast;source=ff15::7/3;ssrc=1388",
        ),
        (ProtocolError,),
        (
            b"interleaved=",
            b"destination=",
            b"port=",
            b"ttl=",
            b"source=239.",
            b"client_port=",
            b"server_port=",
            b"ssrc=",
            b";",
            b"-",
            b"multicast",
        ),
        {
            "parameters": repeated(b";a%d=b", b"RTP/AVP"),
            "specs": repeated(b"x,"),
            "blanks": repeated(b" ", b"RTP/AVP;interleaved=0", b"-"),
            "digits": repeated(b"1", b"RTP/AVP;ssrc="),
        },
        bound=2_048,
    ),
    Target(
        "srtp-keys",
        "keys of SRTP in a description or a KeyMgmt header, from a camera",
        read_keys,
        (
            b"1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd|2^20|1:4 WSH=64",
            mikey.write(Keys(USUAL, bytes(30), b"\1\2"), (7,), unix=0.0, unique=1),
        ),
        (ProtocolError,),
        (b"inline:", b"AEAD_AES_256_GCM", b"|2^31", b"|1:4", b" KDR=1", b"\x0a\0\0\0\x03\x0b\x01\x0a", b"\1\0\0\x22"),
        {
            "blanks": repeated(b" ", b"1 AES_CM_128_HMAC_SHA1_80 inline:A"),
            "parameters": repeated(b" WSH=1", b"1 AES_CM_128_HMAC_SHA1_80 inline:A"),
            "payloads": repeated(b"\x0b\0", b"\1\0\x0b\0\0\0\0\1\0\0"),
            "policies": repeated(b"\0\0", b"\1\0\x0a\0\0\0\0\1\0\0\0\0\0\xff\xff"),
        },
        bound=8_192,
    ),
    Target(
        "camera-srtp",
        "SRTP and SRTCP packets, from a camera or anybody",
        read_protected,
        (b"\0\x80\x60\0\1" + bytes(40), b"\x01\x80\xc8\0\6" + bytes(40), *AUTHENTIC),
        words=(b"\xbe\xde", b"\x9f", b"\xff\xff"),
        grow={"payload": repeated(b"\0", b"\0\x80\x60\0\1"), "extension": repeated(b"\xff", b"\0\x9f\x60\0\1")},
    ),
    Target(
        "udp-datagrams",
        "datagrams at a camera's UDP ports, from anywhere",
        read_datagrams,
        (b"\0" + string(b"\x80\x60" + bytes(20)) + b"\x02" + string(b"x") + b"\x40" + string(b"\x80\xe0"),),
        grow={"strangers": repeated(b"\x02" + string(b"x")), "own": repeated(b"\0" + string(b"\x80\x60"))},
    ),
]
