"""Cameras that play send RTP, RTCP, and the payloads of picture and sound."""

from __future__ import annotations

from common.media import Kind, Track
from common.payload.h264_syntax import has_recovery_point, parse_pps_ids, parse_sps
from common.payload.output import Output
from ingest.payload.byte_order import ByteOrder
from ingest.payload.g711 import G711
from ingest.payload.h264 import H264
from ingest.payload.h264_sets import MAX_PICTURE_SETS, ParameterSets
from ingest.payload.l16 import L16
from ingest.payload.opus import Opus
from ingest.rtp import rtcp
from ingest.rtp.clock import CameraClock, TrackClock
from ingest.rtp.reorder import Reorder
from tests.fakes.clocks import ArrivalClock
from tests.fuzz.target import Program, Target, repeated, string

SPS = bytes.fromhex("6742c01fda0280f6c05a808080a0000003002000000651e3065400")
PPS = bytes.fromhex("68ce3c80")
HIGH_SPS = bytes.fromhex("67640028acb402800b74ffc000400062d41817ec")


def read_reports(data: bytes) -> None:
    reception = rtcp.Reception(90_000)
    for number, item in enumerate(rtcp.parse(data)):
        if isinstance(item, rtcp.SenderReport):
            assert -(1 << 63) < item.ntp_ns < 1 << 63
            reception.arrived(item.rtp_timestamp, number * 10**7)
            reception.reported(item, number * 10**7)
            reception.block(item.ssrc, item.ntp, number, number // 2, number * 10**8)


def put_into_order(data: bytes) -> None:
    program = Program(data)
    order: Reorder[int] = Reorder(udp=program.byte() % 2 == 1)
    now, handed = 0, 0
    while program:
        now += program.byte() << 20
        sequence = program.number(2)
        if not order.in_order(sequence):
            handed += sum(packet is not None for packet in order.push(sequence, sequence, now))
        handed += len(order.expire(now)) if program.byte() % 4 == 0 else 0
        assert len(order.held) <= 128


def follow_clock(data: bytes) -> None:
    program = Program(data)
    choice = program.byte()
    clock = TrackClock((90_000, 8_000, 48_000, 1)[choice % 4], CameraClock(), 90_000 if choice & 4 else None)
    now, last = 1_700_000_000_000_000_000, -1
    while program:
        step = program.byte()
        now += (step - 16) * 10 ** (6 + step % 5)
        if step % 8 == 0:
            clock.reported(rtcp.SenderReport(1, program.number(8), program.number(4)), now)
        elif step % 64 == 1:
            clock.restart()
        else:
            stamp = clock.stamp(program.number(4), now)
            assert stamp >= last, "timestamps never go back"
            assert clock.capture_ns(stamp, now) <= now
            last = stamp


def depacketise(data: bytes) -> None:
    program = Program(data)
    output = Output(Kind.VIDEO, "H264", ArrivalClock(), 1)
    h264 = H264({"sprop-parameter-sets": "Z0LAH9oCgPbAWoCAgKAAAAMAIAAABlHjBlQA,aM48gA=="}, output)
    timestamp, now = 0, 0
    while program:
        what = program.byte()
        timestamp += (what & 3) * 1_500
        now += (what & 3) * 16_000_000
        if what & 12 == 12:
            h264.lost()
        if what & 12 == 8:
            h264.mark()
        if payload := program.string():
            h264.receive(b"\0" * 12 + payload, 12, 12 + len(payload), timestamp, bool(what & 16), now)
        for batch in output.take(now):
            assert all(0 < len(each) <= 1160 for each in batch.payloads)
    str(h264.track)


def read_sets(data: bytes) -> None:
    first, *others = data.split(b"\xff\xff")
    sets = ParameterSets(first.decode("latin-1"))
    for nal in others:
        if nal:
            sets.learn(nal)
    for identifier in (None, 0, 255):
        assert len(sets.units(identifier)) <= 1 + MAX_PICTURE_SETS


def sound(make: type[G711] | type[L16] | type[Opus]) -> object:
    def run(data: bytes) -> None:
        program = Program(data)
        output = Output(Kind.AUDIO, "PCMU", ArrivalClock(), 1)
        choice = program.byte()
        rate, channels = ((8_000, 1), (16_000, 1), (11_025, 2), (48_000, 2))[choice % 4]
        form: G711 | L16 | Opus = Opus(output)
        if make is G711:
            form = G711("PCMA" if choice & 4 else "PCMU", output, rate=rate, channels=channels)
        elif make is L16:
            form = L16(Track(Kind.AUDIO, "L16", rate, channels), output, ByteOrder(channels))
        timestamp = 0
        while program:
            timestamp += program.number(2)
            if program.byte() % 8 == 0:
                form.lost()
            payload = program.string()
            if payload:
                form.receive(payload, 0, len(payload), timestamp, False, timestamp)
            assert all(0 < len(each) <= 1160 for batch in output.take(timestamp) for each in batch.payloads)

    return run


def _packets(*payloads: bytes, how: int = 17) -> bytes:
    return b"".join(bytes((how,)) + string(payload) for payload in payloads)


def _sender_report(*blocks: bytes) -> bytes:
    return b"\x80\xc8\0\x06" + bytes(24) + b"\x81\xcb\0\x01" + bytes(4) + b"".join(blocks)


TARGETS = [
    Target(
        "camera-rtcp",
        "sender reports and goodbyes, from a camera",
        read_reports,
        (_sender_report(), b"\x81\xcb\0\1" + bytes(4) + _sender_report()),
        grow={
            "goodbyes": repeated(b"\x80\xcb\0\0"),
            "reports": repeated(_sender_report()),
            "sources": repeated(b"\x9f\xcb\0\x1f" + bytes(124)),
        },
    ),
    Target(
        "rtp-order",
        "sequence numbers, from a camera",
        put_into_order,
        (b"\1" + b"".join(b"\1" + n.to_bytes(2) + b"\1" for n in (1, 2, 4, 3, 9, 8, 5000, 5001, 70)),),
        grow={
            "ahead": lambda size: (
                b"\1" + b"".join(b"\0" + (2 * n & 0xFFFF).to_bytes(2) + b"\1" for n in range(size // 4))
            ),
            "behind": lambda size: (
                b"\1" + b"".join(b"\0" + (-n & 0xFFFF).to_bytes(2) + b"\1" for n in range(size // 4))
            ),
            "jumps": lambda size: (
                b"\0" + b"".join(b"\0" + (2999 * n & 0xFFFF).to_bytes(2) + b"\1" for n in range(size // 4))
            ),
        },
    ),
    Target(
        "rtp-clock",
        "timestamps and sender reports, from a camera",
        follow_clock,
        (b"\0" + b"\x12\0\0\x10\0" * 6 + b"\x08" + bytes(12) + b"\x12\x80\0\0\0",),
        grow={"packets": repeated(b"\x12\0\0\x10\0", b"\0"), "reports": repeated(b"\x08" + b"\xe0" * 12, b"\0")},
    ),
    Target(
        "h264",
        "RTP payloads with H.264, from a camera",
        depacketise,
        (
            _packets(SPS, PPS, b"\x65\x88\x84" + bytes(20), b"\x41\x9a" + bytes(9)),
            _packets(b"\x18" + string(SPS) + string(PPS), b"\x7c\x85\x88" + b"a" * 30, b"\x7c\x45" + b"b" * 30),
            _packets(b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS + b"\0\0\1\x65\x88" + b"c" * 30, b"\x06\x06\x01\x84\x80"),
            _packets(b"\x41\xe0" + b"d" * 9, how=28) + _packets(b"\x1d\0", b"\x1c"),
        ),
        words=(b"\0\0\1\x65\x88", b"\0\0\1\x67", b"\x7c\x85", b"\x7c\x45", b"\x7c\x05", b"\0\0\1\x41\x9a"),
        grow={
            "start codes": lambda size: _packets(SPS, PPS) + _packets(b"\x65\x88" + b"\0\0\1\x41" * (size // 4)),
            "start codes of pictures": lambda size: (
                _packets(SPS, PPS) + _packets(b"\x65\x88" + b"\0\0\1\x65\x88" * (size // 5))
            ),
            "bare start codes": lambda size: _packets(b"\x65\x88" + b"\0\0\1" * (size // 3)),
            "aggregates": lambda size: _packets(b"\x18" + b"\0\2\x06\6" * (size // 4)),
            "zeros": lambda size: _packets(b"\0" * size),
            "sei": lambda size: _packets(SPS, PPS) + _packets(b"\x06\5\1\0") * (size // 7),
            "fragments": lambda size: _packets(SPS, PPS, b"\x7c\x85\x88") + _packets(b"\x7c\x05a") * (size // 6),
            "tiny pictures": lambda size: _packets(SPS, PPS) + _packets(b"\x65\x88") * (size // 5),
            "sets": lambda size: b"".join(_packets(b"\x68" + bytes((n & 127 | 128, n >> 8))) for n in range(size // 6)),
        },
    ),
    Target(
        "h264-sps",
        "sequence parameter sets, from a camera",
        parse_sps,
        (SPS, HIGH_SPS),
        (ValueError,),
        grow={
            "ones": repeated(b"\xff", HIGH_SPS[:4]),
            "zeros": repeated(b"\0", SPS[:4]),
            "codes": repeated(b"\x49\x24\x92", HIGH_SPS[:6]),
            "escapes": repeated(b"\0\0\3", SPS),
        },
        most=256,
    ),
    Target(
        "h264-pps",
        "picture parameter sets, from a camera",
        parse_pps_ids,
        (PPS,),
        (ValueError,),
        grow={"zeros": repeated(b"\0", b"\x68"), "escapes": repeated(b"\0\0\3", PPS)},
        most=128,
    ),
    Target(
        "h264-sei",
        "supplemental information, from a camera",
        has_recovery_point,
        (b"\x06\x06\x01\x84\x80", b"\x06\x05\xff\x01" + bytes(256) + b"\x06\x01\x84"),
        (ValueError,),
        grow={
            "ff": repeated(b"\xff", b"\x06"),
            "messages": repeated(b"\5\0", b"\x06"),
            "zeros": repeated(b"\0", b"\x06"),
        },
    ),
    Target(
        "h264-sets",
        "parameter sets in a session description and in the stream, from a camera",
        read_sets,
        (b"Z2QAH6zZ,aOvjyyLA\xff\xff" + SPS + b"\xff\xff" + PPS,),
        (ValueError,),
        grow={
            "announced": repeated(b"Z2QAH6zZ,"),
            "commas": repeated(b","),
            "start codes": repeated(b"AAAB"),
            "in the stream": repeated(b"\xff\xff\x68\xce\x3c\x80"),
        },
    ),
    Target(
        "opus",
        "RTP payloads with Opus, from a camera",
        sound(Opus),  # type: ignore[arg-type]
        (b"\x03\xc0\1" + string(b"opus" * 9),),
        grow={"packets": repeated(b"\x03\xc0\1" + string(b"x"))},
    ),
    Target(
        "g711",
        "RTP payloads with G.711, from a camera",
        sound(G711),  # type: ignore[arg-type]
        (b"\x00\xa0\1" + string(b"\xff" * 200) + b"\x10\0\x08" + string(b"\x7f" * 500),),
        grow={
            "packets": repeated(b"\0\1\1" + string(b"x")),
            "one packet": lambda size: b"\0\1\1" + string(b"x" * size),
        },
    ),
    Target(
        "l16",
        "RTP payloads with uncompressed sound, from a camera",
        sound(L16),  # type: ignore[arg-type]
        (b"\x01\1\x40\1" + string(b"\x7f\xff" * 320) + b"\1\x40\x08" + string(b"\x80\0" * 900),),
        grow={
            "packets": repeated(b"\0\1\1" + string(b"xx")),
            "one packet": lambda size: b"\0\1\1" + string(b"x" * size),
        },
    ),
]
