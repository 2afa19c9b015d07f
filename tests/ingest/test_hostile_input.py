"""A hostile camera's bytes take no longer to read than their length says, however they are made up.

Each input is made in two sizes, one ten times the other, and the larger one may take twelve times as long; nothing that
a camera may send in one message or packet takes longer than a moment. What is measured is CPU time.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from common.media import Kind
from common.payload.h264_syntax import has_recovery_point, parse_sps
from common.payload.output import Output
from ingest import sdp
from ingest.payload.h264 import H264
from ingest.payload.h264_sets import ParameterSets
from ingest.payload.registry import choose
from ingest.rtp import rtcp
from ingest.rtp.reorder import Reorder
from ingest.rtsp.auth import Authenticator, Challenge, Pin
from ingest.rtsp.head import MAX_BODY_BYTES
from ingest.rtsp.login import Login
from ingest.rtsp.message import Headers, Response
from ingest.rtsp.parser import MAX_EVENTS, MAX_FRAMES, FrameRun, Parser
from ingest.rtsp.requests import Requests
from ingest.rtsp.transport import TransportSpec
from ingest.rtsp.url import RtspUrl, resolve_base, resolve_control
from rigs.video import encode
from tests.fakes.cost import TOO_MUCH, assert_cheap, assert_in_proportion

OK = b"RTSP/1.0 200 OK\r\n"
URL = RtspUrl.parse("rtsp://camera/live")

SPS = next(nal for unit in encode() for nal in unit if nal[0] & 0x1F == 7)
PPS = next(nal for unit in encode() for nal in unit if nal[0] & 0x1F == 8)


def by_bytes(data: bytes) -> None:
    parser = Parser()
    for at in range(len(data)):
        parser.feed(data[at : at + 1])


def junk(data: bytes) -> bytes:
    return OK + b"\r\n\xff" + data


# 16 kB of head, and 60 kB of junk, byte by byte: as slow as a camera likes.
DRIPPED = {
    "blanks in a header": lambda size: OK + b"A:" + b" " * size + b"\r\n\r\n",
    "folded headers": lambda size: OK + b"A: x\r\n" + b" y\r\n" * (size // 4) + b"\r\n\r\n",
    "blanks in a status line": lambda size: b"RTSP/1.0" + b" " * size + b"200 OK\r\n\r\n",
    "blanks in a request": lambda size: b"OPTIONS x" + b" " * size + b"RTSP/1.0\r\n\r\n",
    "words in a request": lambda size: b"OPTIONS x" + b" x" * (size // 2) + b"\r\n\r\n",
    "blank lines": lambda size: b"\r\n" * (size // 2),
    "a start line without end": lambda size: OK + b"\r\nRTSP/1.0 200 " + b"x" * size,
    "a body": lambda size: OK + b"Content-Length: 60000\r\n\r\n" + b"x" * (2 * size),
    "junk of dollars": lambda size: junk(b"$\1\0\0\x80" * (size // 5)),
    "junk of letters": lambda size: junk(b"A" * size),
}


@pytest.mark.parametrize("make", DRIPPED.values(), ids=DRIPPED)
def test_messages_byte_by_byte(make: Callable[[int], bytes]) -> None:
    small, large = make(1_500), make(15_000)
    assert_in_proportion(lambda: by_bytes(small), lambda: by_bytes(large))


WHOLE = {
    **DRIPPED,
    "header lines": lambda size: OK + b"a:\n" * (size // 3) + b"\n",
    "nothing but lengths": lambda size: OK + b"Content-Length:0\n" * (size // 17) + b"\n",
}


@pytest.mark.parametrize("make", WHOLE.values(), ids=WHOLE)
def test_messages_at_once(make: Callable[[int], bytes]) -> None:
    small, large = make(1_500), make(15_000)
    assert_in_proportion(lambda: Parser().feed(small), lambda: Parser().feed(large))


@pytest.mark.parametrize(
    ("piece", "most"),
    [
        (b"$\0\0\0", MAX_FRAMES),
        (b"OPTIONS * RTSP/1.0\r\n\r\n", MAX_EVENTS),
        (b"RTSP/1.0 100\n\n", MAX_EVENTS),
    ],
)
def test_one_call_takes_no_more_than_a_turns_worth(piece: bytes, most: int) -> None:
    parser = Parser()
    data = (piece * 20_000)[: len(parser.buffer())]
    parser.buffer()[: len(data)] = data

    def advance(count: int) -> int:
        return sum(len(each.bounds) if isinstance(each, FrameRun) else 1 for each in parser.advance(count))

    taken = [advance(len(data))]
    while parser.more:
        taken.append(advance(0))
    assert max(taken) <= most
    assert sum(taken) == len(data) // len(piece)


HEAD = "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=x\r\nt=0 0\r\n"
FORMATS = " ".join(map(str, range(96, 128)))
VIDEO = f"m=video 0 RTP/AVP {FORMATS}\n"
H264_MAPS = "".join(f"a=rtpmap:{number} H264/90000\n" for number in range(96, 128))
SLOW_SPS = bytes((0x67, 0x64, 0, 0x1F)) + int("1" + "00100" + "0110" + "1" * 1500, 2).to_bytes(190)

DESCRIPTIONS = {
    "attributes": lambda size: "m=video 0 RTP/AVP 96\n" + "a=\n" * (size // 3),
    "fmtp of many formats": lambda size: VIDEO + "a=fmtp:1 a\n" * (size // 11),
    "fmtp of many sections": lambda size: VIDEO * 32 + "a=fmtp:1 a\n" * (size // 11),
    "fmtp in many sections": lambda size: (VIDEO + "a=fmtp:1 a\n" * (size // 11 // 32)) * 32,
    "parameters": lambda size: VIDEO + "a=fmtp:96 " + "a;" * (size // 2) + "\n",
    "rtpmaps": lambda size: "m=video 0 RTP/AVP 96\n" + "a=rtpmap:96 H264/90000\n" * (size // 24),
    "blanks in an rtpmap": lambda size: "m=video 0 RTP/AVP 96\na=rtpmap:96 " + " " * size + "/\n",
    "formats": lambda size: "m=video 0 RTP/AVP " + "96 " * (size // 3) + "\n",
    "sections": lambda size: "m=video 0 RTP/AVP 96\n" * (size // 21),
    "parameter sets": lambda size: VIDEO + H264_MAPS + "a=fmtp:96 sprop-parameter-sets=" + "Z0IA," * (size // 5) + "\n",
    "long parameter sets": lambda size: (
        VIDEO + H264_MAPS + "a=fmtp:97 sprop-parameter-sets=" + base64.b64encode(SLOW_SPS * (size // 250)).decode()
    ),
    "line ends": lambda size: "\r\n" * (size // 2),
}


@pytest.mark.parametrize("make", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_session_descriptions(make: Callable[[int], str]) -> None:
    def reading(size: int) -> Callable[[], object]:
        body = (HEAD + make(size)).encode()
        return lambda: choose(sdp.parse(body))

    assert_in_proportion(reading(6_000), reading(60_000))
    assert_cheap(reading(MAX_BODY_BYTES))


def test_a_large_honest_description_is_read() -> None:
    text = HEAD + "".join(
        f"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:trackID={number}\na=x-of-no-use:{'z' * 4_000}\n"
        for number in range(32)
    )
    body = text.encode()
    assert len(body) > 130_000
    [response] = Parser().feed(bytes(Response(200, "OK", Headers(), body)))
    assert isinstance(response, Response)
    assert len(sdp.parse(response.body).media) == 32
    chosen, _ = choose(sdp.parse(response.body))
    assert chosen[0].section.control == "trackID=0"


CHALLENGES = {
    "many": lambda size: ['Digest realm="a", nonce="b"'] * (size // 30),
    "words": lambda size: ["a " * (size // 2)],
    "parameters": lambda size: ["Digest " + "a=b," * (size // 4)],
    "an endless quote": lambda size: ['Digest nonce="a",qop="' + ", " * (size // 2)],
    "a quote": lambda size: ['Digest realm="' + "\\a" * (size // 2) + '"'],
    "quotes": lambda size: ["Digest " + 'a="b,' * (size // 5)],
    "commas": lambda size: ["," * size],
    "blanks": lambda size: ["Digest a" + " " * size + "b"],
    "stars": lambda size: ["Digest " + "*," * (size // 2)],
}


@pytest.mark.parametrize("make", CHALLENGES.values(), ids=CHALLENGES)
def test_challenges(make: Callable[[int], list[str]]) -> None:
    def reading(size: int) -> list[Callable[[], object]]:
        values = make(size)
        return [lambda: Challenge.parse_all(values), lambda: Authenticator("user", "password").challenged(values)]

    for small, large in zip(reading(1_600), reading(16_000), strict=True):
        assert_in_proportion(small, large)


HEADERS = {
    "transport specs": lambda size: "," * size,
    "transport parameters": lambda size: "RTP/AVP/TCP" + ";a=b" * (size // 4),
    "schemes": lambda size: "rtsp://" * (size // 7),
    "a name": lambda size: "rtsp://" + "é" * (size // 2),
    "dots": lambda size: "a." * (size // 2),
    "colons": lambda size: "rtsp://h:" + ":" * size,
    "ats": lambda size: "rtsp://" + "@" * size,
    "timeouts": lambda size: "1" + ";timeout=1" * (size // 10),
}


@pytest.mark.parametrize("make", HEADERS.values(), ids=HEADERS)
def test_other_headers(make: Callable[[int], str]) -> None:
    def reading(size: int) -> list[Callable[[], object]]:
        text = make(size)
        return [
            lambda: TransportSpec.parse(text),
            lambda: resolve_base(URL, text, text),
            lambda: resolve_control(URL, text),
            lambda: URL.redirected(text),
            lambda: Requests(Login(URL, Pin())).learn(Headers([("Session", text)])),
        ]

    for small, large in zip(reading(1_600), reading(16_000), strict=True):
        assert_in_proportion(small, large)


class Clock:
    def capture_ns(self, _timestamp: int, arrival_ns: int) -> int:
        return arrival_ns


def aggregate(nal: bytes, size: int) -> bytes:
    return b"\x78" + (len(nal).to_bytes(2) + nal) * (size // (len(nal) + 2))


def sequence_set(number: int) -> bytes:
    return SLOW_SPS[:-2] + number.to_bytes(2)


PACKETS = {
    "start codes": lambda size: b"\x65\x88" + b"\0\0\1" * (size // 3),
    "start codes before slices": lambda size: b"\x65\x88" + b"\0\0\1\x65\x88" * (size // 5),
    "start codes before SEI": lambda size: b"\x65\x88" + b"\0\0\1\6\5" * (size // 5),
    "start codes before parameter sets": lambda size: (
        b"\x65\x88" + b"".join(b"\0\0\1" + sequence_set(number) for number in range(size // 200))
    ),
    "start codes in a fragment": lambda size: b"\x7c\x85\x88" + b"\0\0\1" * (size // 3),
    "an aggregate of slices": lambda size: aggregate(b"\x65\x88", size),
    "an aggregate of parameter sets": lambda size: (
        b"\x78" + b"".join(b"\0\xc2" + sequence_set(number) for number in range(size // 200))
    ),
    "an aggregate of picture parameter sets": lambda size: aggregate(PPS, size),
    "an aggregate of nothing": lambda size: b"\x78" + b"\0\0" * (size // 2),
    "zeros": lambda size: b"\0" * size,
    "SEI": lambda size: b"\6" + b"\5\0" * (size // 2) + b"\0\0\1\x65\x88x",
    "long SEI": lambda size: b"\6" + b"\xff" * size + b"\0\0\1\x65\x88x",
}


@pytest.mark.parametrize("make", PACKETS.values(), ids=PACKETS)
def test_pictures(make: Callable[[int], bytes]) -> None:
    def reading(size: int) -> Callable[[], object]:
        packet = make(size)

        def run() -> None:
            receiver = H264({}, Output(Kind.VIDEO, "H264", Clock(), 1))
            for number, each in enumerate((aggregate(SPS, 30), PPS, b"\x65\x88xyz", packet, b"\x61\x88x")):
                receiver.receive(each, 0, len(each), 3_000 * number, False, number)

        return run

    assert_in_proportion(reading(6_500), reading(65_000))
    assert_cheap(reading(65_000))


def test_a_picture_of_many_slices_is_published() -> None:
    output = Output(Kind.VIDEO, "H264", Clock(), 1)
    receiver = H264({}, output)
    slices = b"".join(b"\0\0\1\x65" + (b"\x88" if number == 0 else b"\x44") + b"slice" for number in range(270))
    packet = SPS + b"\0\0\1" + PPS + slices
    receiver.receive(packet, 0, len(packet), 1, True, 1)
    [batch] = output.take(2)
    assert batch.keyframe
    assert sum(payload.endswith(b"slice") for payload in batch.payloads) == 270
    assert receiver.dropped == 0


def test_more_units_than_any_picture_has_are_not_published() -> None:
    output = Output(Kind.VIDEO, "H264", Clock(), 1)
    receiver = H264({}, output)
    packet = SPS + b"\0\0\1" + PPS + b"\0\0\1\x65\x88x" + b"\0\0\1\x65\x44x" * 600
    receiver.receive(packet, 0, len(packet), 1, True, 1)
    assert receiver.dropped == 1
    assert output.take(2) == []


@pytest.mark.parametrize("sei", [b"\6" + b"\xff" * 64_000, b"\6" + b"\5\0" * 32_000, b"\6" + b"\xff\xff\0\0" * 16_000])
def test_supplemental_information(sei: bytes) -> None:
    assert_cheap(lambda: has_recovery_point(sei), TOO_MUCH / 10)


@pytest.mark.parametrize("nal", [SLOW_SPS, SLOW_SPS + bytes(3_900), b"\x67\x64\0\x1f" + bytes(4_000)])
def test_a_sequence_parameter_set(nal: bytes) -> None:
    assert_cheap(lambda: parse_sps(nal), TOO_MUCH / 20)
    texts = base64.b64encode(nal).decode()
    assert_cheap(lambda: ParameterSets(",".join([texts] * 100)), TOO_MUCH / 4)


@pytest.mark.parametrize("piece", [b"\x80\xc8\0\6" + bytes(24), b"\x81\xcb\0\1abcd", b"\x80\xcb\0\0"])
def test_reports(piece: bytes) -> None:
    assert len(rtcp.parse(piece * 3)) == 3
    large = piece * (65_000 // len(piece))
    assert len(rtcp.parse(large)) <= rtcp.MAX_PACKETS
    assert_cheap(lambda: rtcp.parse(large), TOO_MUCH / 10)


@pytest.mark.parametrize("udp", [False, True])
def test_sequence_numbers_that_leap(udp: bool) -> None:
    def leap(step: int) -> Callable[[], object]:
        def run() -> None:
            order: Reorder[int] = Reorder(udp=udp)
            for number in range(500):
                order.push(number * step & 0xFFFF, number, number * 10**8)

        return run

    assert_in_proportion(leap(100), leap(2_500))
