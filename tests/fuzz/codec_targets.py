"""Payloads of codecs that are put together to frames, and what the bus carries to a converter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from common.errors import ProtocolError
from common.media import Batch, Kind, Track
from common.payload.access_unit import access_unit
from common.payload.assembler import Assembler
from common.payload.h265_syntax import parse_sps
from common.payload.output import Output
from ingest.payload import aac, vpx
from ingest.payload.frames import Frames, Repack
from ingest.payload.h263 import repack_h263
from ingest.payload.h265 import H265
from ingest.payload.jpeg import Jpeg
from ingest.payload.mpeg4 import repack_mpeg4
from ingest.payload.recognise import Recogniser
from ingest.payload.redundant import HEADER, media_of
from ingest.payload.speech import TICKS, Speech
from ingest.sdp import parse as parse_sdp
from tests.fakes.clocks import ArrivalClock
from tests.fuzz.target import Program, Target, repeated, string

VPS = bytes.fromhex("40010c01ffff01600000030090000003000003003cba0240")
SPS = bytes.fromhex("42010101600000030090000003000003003ca00a080f165ba4a4c2e68080000003008000000f04")
PPS = bytes.fromhex("4401c073c189")
LC = {"config": "1408", "sizelength": "13", "indexlength": "3", "indexdeltalength": "3", "mode": "AAC-hbr"}
[REDUNDANT] = parse_sdp(
    b"m=video 0 RTP/AVP 96 97 98\na=rtpmap:96 H264/90000\na=rtpmap:97 red/90000\na=rtpmap:98 ulpfec/90000\n"
).media
JPEG_HEADER = bytes((0, 0, 0, 0, 1, 50, 40, 30))
VP8_KEY = b"\x10\0\0\0\x9d\x01\x2a"


def feed(make: Callable[[Output], Frames | aac.Aac | Speech], kind: Kind) -> Callable[[bytes], object]:
    """Packets with timestamps, losses and markers, as the other bytes say."""

    def run(data: bytes) -> None:
        program, output = Program(data), Output(kind, "X", ArrivalClock(), 1)
        form, timestamp, now = make(output), 0, 0
        while program:
            what = program.byte()
            timestamp += (what & 3) * 1_500
            now += (what & 3) * 16_000_000
            if what & 12 == 12:
                form.lost()
            if what & 12 == 8:
                form.mark()
            if payload := program.string():
                form.receive(b"\0" * 12 + payload, 12, 12 + len(payload), timestamp, bool(what & 16), now)
            for batch in output.take(now):
                assert all(0 < len(each) <= 1160 for each in batch.payloads)
                assert batch.unit_end
        str((form.track, form.hindrance))

    return run


def frames(repack: Repack) -> Callable[[bytes], object]:
    return feed(lambda output: Frames(Track(Kind.VIDEO, "X", 90_000), repack, output), Kind.VIDEO)


def sound(codec: str, parameters: Mapping[str, str]) -> Callable[[bytes], object]:
    track = Track(Kind.AUDIO, "AAC", 16_000)
    return feed(lambda output: aac.Aac(codec, track, 16_000, parameters, output), Kind.AUDIO)


def speak(data: bytes) -> None:
    """The first byte says which codec, and how it is packed."""
    which, aligned = divmod(data[0] if data else 0, 2)
    track = Track(Kind.AUDIO, sorted(TICKS)[which % len(TICKS)], 8_000)
    feed(lambda output: Speech(track, {"octet-align": str(1 - aligned)}, output), Kind.AUDIO)(data[1:])


def unwrap(data: bytes) -> None:
    """Unwrap a packet; what comes of it is one of the track, and no longer than it was."""
    if len(data) >= HEADER:
        media = media_of(data, REDUNDANT, 96)
        assert media is None or len(media) <= len(data)


def recognise(data: bytes) -> None:
    program, recogniser = Program(data), Recogniser()
    while program:
        how = program.byte()
        if payload := program.string():
            recogniser.look(payload, bool(how & 16))


def assemble(data: bytes) -> None:
    program = Program(data)
    codec = ("H264", "H265", "VP8", "VP9", "AV1", "JPEG")[program.byte() % 6]
    assembler, sequence = Assembler(Kind.VIDEO, codec), 0
    while program:
        flags = program.byte() & 3
        payloads = [payload for _ in range(1 + program.byte() % 4) if (payload := program.string())]
        if payloads:
            assembler.push(Batch("video", codec, 1, sequence, sequence, 1, 1, flags, payloads))
            sequence += len(payloads)


def _packets(*payloads: bytes, how: int = 17) -> bytes:
    return b"".join(bytes((how,)) + string(payload) for payload in payloads)


TARGETS = [
    Target(
        "h265",
        "RTP payloads with H.265, from a camera",
        feed(lambda output: H265({}, output), Kind.VIDEO),
        (
            _packets(VPS, SPS, PPS, b"\x26\x01\xaf" + bytes(range(60)), b"\x02\x01\xd0" + b"p" * 30),
            _packets(b"\x60\1" + string(VPS) + string(SPS) + string(PPS), b"\x62\1\x93" + b"a" * 40, how=1)
            + _packets(b"\x62\1\x53" + b"b" * 40),
        ),
        words=(b"\0\0\1\x26\1", b"\x62\1\x93", b"\x62\1\x53", b"\x60\1", b"\0\0\1\x40\1"),
        grow={
            "start codes": lambda size: (
                _packets(VPS, SPS, PPS) + _packets(b"\x26\1\xaf" + b"\0\0\1\x02\1\xd0" * (size // 6))
            ),
            "bare start codes": lambda size: _packets(b"\x26\1\xaf" + b"\0\0\1" * (size // 3)),
            "aggregates": lambda size: _packets(b"\x60\1" + b"\0\3\x02\1\xd0" * (size // 5)),
            "zeros": lambda size: _packets(b"\x26\1" + b"\0" * size),
            "fragments": lambda size: _packets(b"\x62\1\x93a", how=1) + _packets(b"\x62\1\x13a", how=16) * (size // 7),
            "sets": lambda size: b"".join(_packets(b"\x44\1" + bytes((n & 127 | 1, n >> 8))) for n in range(size // 7)),
        },
    ),
    Target(
        "h265-sps",
        "sequence parameter sets of H.265, from a camera",
        parse_sps,
        (SPS,),
        (ValueError,),
        grow={
            "zeros": repeated(b"\0", SPS[:8]),
            "ones": repeated(b"\xff", SPS[:8]),
            "escapes": repeated(b"\0\0\3", SPS),
        },
        most=256,
    ),
    Target(
        "vp8",
        "RTP payloads with VP8, from a camera",
        frames(vpx.repack_vp8),
        (_packets(VP8_KEY + bytes(40), b"\x90\x80\x85\x05\x01" + bytes(30)),),
        grow={
            "frames": repeated(_packets(VP8_KEY)),
            "one frame": lambda size: _packets(VP8_KEY + bytes(size)),
            "packets": lambda size: _packets(VP8_KEY, how=0) + _packets(b"\0a", how=0) * (size // 5),
        },
    ),
    Target(
        "vp9",
        "RTP payloads with VP9, from a camera",
        frames(vpx.repack_vp9),
        (_packets(b"\x8a\5\x18\0\1\0\1\1\4\2\x82\x49\x83\x42", b"\xd8\5\3\2\x86" + bytes(20)),),
        grow={
            "frames": repeated(_packets(b"\x08\x82\x49\x83\x42")),
            "structure": lambda size: _packets(b"\x8a\5\x08\xff" + bytes(size)),
        },
    ),
    Target(
        "av1",
        "RTP payloads with AV1, from a camera",
        frames(vpx.repack_av1),
        (_packets(b"\x10\x0a\3seq", b"\x50\x30half", b"\x90half"), _packets(b"\x00\4\x0a\2se\3\x30ab")),
        grow={
            "obus": lambda size: _packets(b"\0" + b"\2\x30a" * (size // 3)),
            "empty obus": lambda size: _packets(b"\0" + b"\0" * size),
            "sizes": lambda size: _packets(b"\0" + b"\xff" * size),
            "packets": lambda size: _packets(b"\x50\x30a", how=0) + _packets(b"\xd0a", how=0) * (size // 5),
        },
    ),
    Target(
        "codec",
        "RTP payloads of a picture that may be of another codec than announced, from a camera",
        recognise,
        (_packets(VPS, SPS, b"\x67\x42\0\x1e", VP8_KEY, JPEG_HEADER + b"scan", b"\0\0\1\xb0"),),
        grow={
            "start codes": lambda size: _packets(b"\0\0\1" * (size // 3)),
            "aggregate": lambda size: _packets(b"\x78" + b"\0\2\x67\x42" * (size // 4)),
            "sets": repeated(_packets(SPS)),
        },
    ),
    Target(
        "jpeg",
        "RTP payloads with Motion JPEG, from a camera",
        feed(lambda output: Jpeg(Track(Kind.VIDEO, "JPEG", 90_000), output), Kind.VIDEO),
        (
            _packets(JPEG_HEADER + b"scan" * 9),
            _packets(bytes((0, 0, 0, 0, 65, 255, 40, 30, 0, 1, 255, 255, 0, 0, 0, 64)) + bytes(90)),
        ),
        grow={
            "one image": lambda size: _packets(JPEG_HEADER + bytes(size)),
            "images": repeated(_packets(JPEG_HEADER + b"s")),
            "sizes": lambda size: b"".join(
                _packets(bytes((0, 0, 0, 0, 1, 1 + n % 99, 1 + n % 255, 1 + n // 255 % 255)) + b"s")
                for n in range(size // 12)
            ),
        },
    ),
    Target(
        "mpeg4",
        "RTP payloads with MPEG-4 video, from a camera",
        frames(repack_mpeg4({"config": "000001b001000001b58913"})),
        (_packets(b"\0\0\1\xb0\1\0\0\1\x20\0\xc4\0\0\1\xb6\x10abc", b"\0\0\1\xb6\x50def\0\0\1\xb6\x51ghi"),),
        words=(b"\0\0\1\xb6\x10", b"\0\0\1\x20", b"\0\0\1\xb3"),
        grow={
            "pictures": lambda size: _packets(b"\0\0\1\xb6\x10" * (size // 5)),
            "start codes": lambda size: _packets(b"\0\0\1" * (size // 3)),
            "zeros": lambda size: _packets(b"\0\0\1\xb6\x10" + b"\0" * size),
        },
    ),
    Target(
        "h263",
        "RTP payloads with H.263, from a camera",
        lambda data: frames(repack_h263("H263" if data[:1] == b"2" else "H263-1998"))(data[1:]),
        (
            b"4" + _packets(b"\4\0\x80\2\x0c" + bytes(30), b"\4\0\x80\6\x0e" + bytes(30)),
            b"2" + _packets(b"\3\0\0\0\0\0\x80\2\x08a", how=0) + _packets(b"\x28\0\0\0abc"),
        ),
        grow={
            "pictures": repeated(_packets(b"\4\0\x80\2\x0c"), b"4"),
            "parts": lambda size: (
                b"2" + _packets(b"\0\0\0\0\0\0\x80\2\x0c", how=0) + _packets(b"\0\0\0\0a", how=0) * (size // 8)
            ),
        },
    ),
    Target(
        "aac",
        "RTP payloads with AAC, from a camera",
        sound("MPEG4-GENERIC", LC),
        (
            _packets(b"\0\x10\0\x18abc", b"\0\x20\0\x08\0\x10xyz"),
            _packets(b"\0\x10\x00\x20ab", how=0) + _packets(b"\0\x10\x00\x20cd"),
            _packets(b"\0\x10\0\x58\xff\xf1\x60\x40\1\x7f\xfcdata"),
        ),
        grow={
            "frames": lambda size: _packets(
                (size // 3 * 16 & 0xFFFF).to_bytes(2) + b"\0\x08" * (size // 3) + b"a" * (size // 3)
            ),
            "packets": repeated(_packets(b"\0\x10\0\x08a")),
            "fragments": lambda size: _packets(b"\0\x10\xff\xf8a", how=0) * (size // 8),
        },
    ),
    Target(
        "latm",
        "RTP payloads with AAC in LATM and its configuration, from a camera",
        sound("MP4A-LATM", {}),
        (_packets(bytes.fromhex("200014081fe0") + b"\3abc", b"\x81\x81\xb1"),),
        grow={
            "one element": lambda size: _packets(b"\x80" + b"\xff" * size),
            "packets": repeated(_packets(b"\x80", how=0)),
        },
    ),
    Target(
        "speech",
        "RTP payloads with AMR and other speech, from a camera",
        speak,
        (
            bytes((0,)) + _packets(b"\xf0\x3c" + bytes(31), b"\xf0\xbc\x44" + bytes(36)),
            bytes((1,)) + _packets(b"\xf3\xc0" + bytes(31)),
            bytes((5,)) + _packets(b"\4" * 24 + b"\1" * 20),
        ),
        grow={
            "table": lambda size: b"\0" + _packets(b"\xf0" + b"\xbc" * size),
            "packets": repeated(_packets(b"\xf3\xc0" + bytes(31)), b"\1"),
            "frames": lambda size: b"\5" + _packets(b"\3" * size),
        },
    ),
    Target(
        "redundant",
        "RTP packets with redundancy and correction around media, from a camera",
        unwrap,
        (
            b"\x80\xe1" + bytes(10) + b"\xe0\0\0\x02\x60xx\x65media",
            b"\xb1\x61" + bytes(14) + b"\xbe\xde\0\1\x10\x55\0\0\x60\x65media",
            b"\x80\x62" + bytes(10) + b"correction",
            b"\x80\x61" + bytes(10) + b"\x62correction",
        ),
        (ProtocolError,),
        grow={"blocks": repeated(b"\xe0\0\0\0", b"\x80\x61" + bytes(10))},
    ),
    Target(
        "aac-config",
        "the configuration of AAC, in a session description",
        lambda data: aac.announced_track(
            "MP4A-LATM" if data[:1] == b"L" else "MPEG4-GENERIC", 16_000, 1, {"config": data[1:].decode("latin-1")}
        ),
        (b"M1408", b"L400028103fc0", b"M2B118800", b"L40002320adca00"),
        grow={"digits": repeated(b"00", b"M"), "latm": repeated(b"f", b"L40")},
        most=256,
    ),
    Target(
        "access-unit",
        "batches on the bus, in a transcode process",
        assemble,
        (
            b"\0" + b"\3\1" + string(b"\x78\0\2\x67\1\0\2\x68\2") + string(b"\x65abc"),
            b"\1\3\0" + string(b"\x62\1\x93ab") + b"\2\0" + string(b"\x62\1\x53cd"),
            b"\4\3\0" + string(b"\x10\x0aabc"),
        ),
        grow={
            "aggregates": lambda size: b"\0\3\0" + string(b"\x78" + b"\0\1a" * (size // 3)),
            "obus": lambda size: b"\4\3\0" + string(b"\0" + b"\1a" * (size // 2)),
            "batches": repeated(b"\0\0" + string(b"a"), b"\5\1\0" + string(b"a")),
        },
    ),
    Target(
        "vp9-descriptor",
        "payload descriptors of VP9, from a camera or the bus",
        lambda data: access_unit("VP9", [data]) if data else None,
        (b"\x8a\5\x18\0\1\0\1\1\4\2frame", b"\xd8\5\3\2frame"),
        (ProtocolError,),
        grow={"layers": repeated(b"\xff", b"\x8a\5")},
        most=64,
    ),
]
