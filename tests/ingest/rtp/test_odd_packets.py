"""H.264 and its packets as cameras make them and standards do not know them: every picture comes out."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest

from common.media import Batch
from common.payload.output import GATHER_NS
from ingest import sdp
from ingest.payload.registry import choose
from ingest.rtp.stream import CameraStream
from rigs.rtp import rtp
from rigs.video import TICKS, encode, kind, units_of

UNITS = [list(unit) for unit in encode()]
SLICES = [[nal for nal in unit if kind(nal) in (1, 5)] for unit in UNITS]
DESCRIPTION = sdp.parse(b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n")
FRAME_NS = 40_000_000
AUD, SEI, FILLER = b"\x09\xf0", b"\x06\x05\x04abcd\x80", b"\x0c" + b"\xff" * 200 + b"\x80"
Nals = list[bytes]
Payloads = list[tuple[bytes, bool]]  # with their markers


def played(payloads: Callable[[Nals], Payloads], change: Callable[[bytes], Sequence[bytes]] = lambda p: [p]) -> int:
    """How many of the pictures come out whole; none may come out damaged."""
    stream = CameraStream(choose(DESCRIPTION)[0], udp=False, epoch=1)
    batches: list[Batch] = []
    now, sequence = 1_700_000_000 * 10**9, 0
    for number, unit in enumerate(UNITS):
        for payload, marker in payloads(unit):
            for packet in change(rtp(payload, sequence, number * TICKS, marker=marker)):
                stream.receivers[0].receive(packet, now)
            sequence += 1
        now += FRAME_NS
        batches += stream.take(now + GATHER_NS)
    while batches and not batches[-1].unit_end:
        batches.pop()
    got = [[nal for nal in unit if kind(nal) in (1, 5)] for unit in units_of(batches)]
    assert got == SLICES[: len(got)]
    return len(got)


def fragments(nal: bytes, *, empty_end: bool = False) -> Nals:
    body = range(1, len(nal), 300)
    pieces = [(nal[at : at + 300], at == 1, at + 300 >= len(nal) and not empty_end) for at in body]
    pieces += [(b"", False, True)] if empty_end else []
    return [bytes((nal[0] & 0xE0 | 28, 0x80 * s | 0x40 * e | nal[0] & 31)) + piece for piece, s, e in pieces]


def marked(payloads: Nals) -> Payloads:
    return [(payload, index == len(payloads) - 1) for index, payload in enumerate(payloads)]


def usual(unit: Nals) -> Payloads:
    return marked([payload for nal in unit for payload in (fragments(nal) if len(nal) > 300 else [nal])])


def stap(nals: Nals, end: bytes = b"") -> bytes:
    return b"\x78" + b"".join(len(nal).to_bytes(2) + nal for nal in nals) + end


def headed(change: Callable[[int], int]) -> Callable[[Nals], Payloads]:
    """Fragments whose FU header is another."""
    return lambda unit: [
        (p[:1] + bytes((change(p[1]),)) + p[2:] if p[0] & 31 == 28 else p, marker) for p, marker in usual(unit)
    ]


PICTURES: dict[str, Callable[[Nals], Payloads]] = {
    "usual": usual,
    "delimiters": lambda unit: usual([AUD, *unit]),
    "a delimiter with a marker": lambda unit: [(AUD, True), *usual(unit)],
    "markers everywhere": lambda unit: [(payload, True) for payload, _ in usual(unit)],
    "no markers": lambda unit: [(payload, False) for payload, _ in usual(unit)],
    "markers at the beginning": lambda unit: [(p, not index) for index, (p, _) in enumerate(usual(unit))],
    "markers on parameter sets": lambda unit: [(p, m or p[0] & 31 in (6, 7, 8)) for p, m in usual(unit)],
    "a marker in a packet of its own": lambda unit: [*((p, False) for p, _ in usual(unit)), (b"", True)],
    "empty packets around": lambda unit: [(b"", False), *usual(unit), (b"", False)],
    "empty last fragments": lambda unit: marked(
        [p for nal in unit for p in (fragments(nal, empty_end=True) if len(nal) > 300 else [nal])]
    ),
    "fragments that begin and end": lambda unit: marked(
        [bytes((nal[0] & 0xE0 | 28, 0xC0 | nal[0] & 31)) + nal[1:] for nal in unit]
    ),
    "fragments without an end": headed(lambda header: header & ~0x40),
    "fragments with the reserved bit": headed(lambda header: header | 0x20),
    "fragments that say the type once": headed(lambda header: header if header & 0x80 else header & 0xE0),
    "an aggregate": lambda unit: [(stap(unit), True)],
    "an aggregate with zeros behind": lambda unit: [(stap(unit, bytes(7)), True)],
    "an aggregate with an empty unit": lambda unit: [(stap([b"", *unit, b""]), True)],
    "an aggregate that is cut": lambda unit: [(stap(unit, b"\0\x40abc"), True)],
    "an empty aggregate before": lambda unit: [(b"\x78", False), *usual(unit)],
    "start codes of 4 bytes": lambda unit: marked([b"\0\0\0\1" + nal for nal in unit]),
    "start codes of 3 bytes": lambda unit: marked([b"\0\0\1" + nal for nal in unit]),
    "a picture with start codes": lambda unit: [(b"".join(b"\0\0\0\1" + nal for nal in unit), True)],
    "start codes in fragments": lambda unit: marked(fragments(b"\0\0\0\1".join(unit))),
    "zeros behind": lambda unit: marked([nal + bytes(4) for nal in unit]),
    "filler": lambda unit: marked([FILLER] * 20 + unit),
    "a flood of SEI": lambda unit: marked([SEI] * 100 + unit),
    "SEI behind": lambda unit: marked([*unit, SEI]),
    "ends of sequence and stream": lambda unit: marked([*unit, b"\x0a", b"\x0b"]),
    "units of no type": lambda unit: marked([b"\0", b"\x1eabc", b"\x7fabc", *unit]),
    "prefixes of scalable coding": lambda unit: marked([x for nal in unit for x in (b"\x6e\x40\x80\x07", nal)]),
    "enhancement layers": lambda unit: marked([*unit, b"\x74\x80\0\0abc"]),
    "a slice of one byte": lambda unit: marked([b"\x41", *unit]),
    "parameter sets twice": lambda unit: marked(unit[:2] + unit if kind(unit[0]) == 7 else unit),
    "PPS before SPS": lambda unit: marked([unit[1], unit[0], *unit[2:]] if kind(unit[0]) == 7 else unit),
    "parameter sets in each picture": lambda unit: marked([*UNITS[0][:2], *(n for n in unit if kind(n) not in (7, 8))]),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_comes_out_however_it_is_packed(name: str) -> None:
    unfinished = name in ("no markers", "markers at the beginning")  # the next one says that it is over
    assert played(PICTURES[name]) == len(UNITS) - unfinished


def extended(profile: int, words: int) -> Callable[[bytes], Sequence[bytes]]:
    return lambda p: [bytes((p[0] | 0x10,)) + p[1:12] + struct.pack("!HH", profile, words) + bytes(4 * words) + p[12:]]


PACKETS: dict[str, Callable[[bytes], Sequence[bytes]]] = {
    "ONVIF's extension": extended(0xABAC, 3),
    "an extension of one byte": extended(0xBEDE, 1),
    "an extension of no words": extended(0xBEDE, 0),
    "JPEG's extension": extended(0xFFD8, 5),
    "padding": lambda p: [bytes((p[0] | 0x20,)) + p[1:] + b"\0\0\0\4"],
    "one byte of padding": lambda p: [bytes((p[0] | 0x20,)) + p[1:] + b"\1"],
    "contributing sources": lambda p: [bytes((p[0] | 2,)) + p[1:12] + bytes(8) + p[12:]],
    "each packet twice": lambda p: [p, p],
    "RTCP between": lambda p: [p, b"\x80\xc8\0\6" + bytes(24)],
    "another payload type between": lambda p: [p, p[:1] + b"\x6f" + p[2:]] if p[3] % 3 == 0 else [p],
    "short packets between": lambda p: [p[:5], p],
    "packets of version 0 between": lambda p: [bytes((p[0] & 0x3F,)) + p[1:], p],
    "SSRC 0": lambda p: [p[:8] + bytes(4) + p[12:]],
    "an SSRC for each packet": lambda p: [p[:8] + p[2:4] * 2 + p[12:]],
    "an SSRC for each picture": lambda p: [p[:8] + p[4:8] + p[12:]],
    "timestamps that wrap": lambda p: [p[:4] + (int.from_bytes(p[4:8]) - 9 * TICKS & 0xFFFFFFFF).to_bytes(4) + p[8:]],
    "timestamps in milliseconds": lambda p: [p[:4] + (int.from_bytes(p[4:8]) // 90).to_bytes(4) + p[8:]],
    "timestamps that begin anew": lambda p: [p[:4] + (int.from_bytes(p[4:8]) % (20 * TICKS)).to_bytes(4) + p[8:]],
}


@pytest.mark.parametrize("name", PACKETS)
def test_every_picture_comes_out_whatever_its_packets_carry_besides(name: str) -> None:
    assert played(usual, PACKETS[name]) == len(UNITS)
