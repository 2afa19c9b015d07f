"""H.264 to feed to payload formats, and what comes out of them again."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av

from common.media import Batch

TICKS = 3_600  # of 90 kHz in a frame at 25 frames a second
RECOVERY_POINT = 6  # payload type of an SEI message, H.264 D.1.8


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet, but for its header's constant parts."""

    payload: bytes
    timestamp: int
    marker: bool


def nal_units(stream: bytes) -> list[bytes]:
    """The NAL units of an Annex B byte stream."""
    return [nal for part in re.split(b"\0\0\1", stream) if (nal := part.rstrip(b"\0"))]


def kind(nal: bytes) -> int:
    """``nal_unit_type``."""
    return nal[0] & 0x1F


@cache
def encode(
    frames: int = 30,
    *,
    width: int = 320,
    height: int = 240,
    gop: int = 10,
    profile: str = "high",
    pixels: str = "yuv420p",
    options: str = "",
) -> tuple[tuple[bytes, ...], ...]:
    """The NAL units of each access unit of a moving, noisy picture; x264's SEI is left out but for
    recovery points. ``options`` are x264's."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, pixels
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    settings = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:repeat-headers=1:annexb=1:threads=1:{options}"
    context.options = {"preset": "ultrafast", "profile": profile, "x264-params": settings.rstrip(":")}
    noise = random.Random(1)
    units = []
    for number in range(frames):
        frame = av.VideoFrame(width, height, "yuv420p")
        for index, plane in enumerate(frame.planes):
            # Each byte is the picture's grey and three bits of noise.
            grey = bytes([number * 8 % 248]) if index == 0 else b"\x80"
            mask = int.from_bytes(b"\x07" * plane.buffer_size)
            dots = int.from_bytes(noise.randbytes(plane.buffer_size)) & mask
            plane.update((dots | int.from_bytes(grey * plane.buffer_size)).to_bytes(plane.buffer_size))
        if pixels != "yuv420p":
            frame = frame.reformat(format=pixels)
        frame.pts = number
        units += [bytes(packet) for packet in context.encode(frame)]
    units += [bytes(packet) for packet in context.encode(None)]
    return tuple(tuple(nal for nal in nal_units(unit) if kind(nal) != 6 or nal[1] == RECOVERY_POINT) for unit in units)


def decode(nals: Iterable[bytes]) -> int:
    """How many pictures a decoder makes of these NAL units; raises on damage."""
    context = av.CodecContext.create("h264", "r")
    assert isinstance(context, av.VideoCodecContext)
    context.options = {"err_detect": "explode"}
    packet = av.Packet(b"".join(b"\0\0\0\1" + nal for nal in nals))
    pictures = sum(len(context.decode(parsed)) for parsed in context.parse(bytes(packet)))
    pictures += sum(len(context.decode(parsed)) for parsed in context.parse(b""))
    return pictures + len(context.decode(None))


def packetise(
    units: Iterable[Iterable[bytes]], *, size: int = 1_400, start: int = 0, ticks: int = TICKS
) -> list[Packet]:
    """RFC 6184 as most cameras do it: small NAL units by themselves, others as FU-A, marker on the last packet."""
    packets: list[Packet] = []
    for number, unit in enumerate(units):
        payloads = [payload for nal in unit for payload in fragment(nal, size)]
        timestamp = start + number * ticks
        packets += [Packet(payload, timestamp, False) for payload in payloads[:-1]]
        packets.append(Packet(payloads[-1], timestamp, True))
    return packets


def fragment(nal: bytes, size: int) -> list[bytes]:
    """The payloads for one NAL unit."""
    if len(nal) <= size:
        return [nal]
    pieces = [nal[at : at + size - 2] for at in range(1, len(nal), size - 2)]
    last = len(pieces) - 1
    return [
        bytes((nal[0] & 0xE0 | 28, (i == 0) << 7 | (i == last) << 6 | nal[0] & 0x1F)) + piece
        for i, piece in enumerate(pieces)
    ]


def aggregate(nals: Iterable[bytes]) -> bytes:
    """A STAP-A of these NAL units."""
    return b"\x78" + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


def depacketise(payloads: Iterable[bytes]) -> list[bytes]:
    """NAL units of what was published, strictly: anything but correct RFC 6184 is an assertion."""
    nals: list[bytes] = []
    pending: bytearray | None = None
    for payload in payloads:
        packet_kind = kind(payload)
        if packet_kind == 28:
            first, last = payload[1] & 0x80, payload[1] & 0x40
            assert not (first and last)
            assert len(payload) > 2
            if first:
                assert pending is None
                pending = bytearray((payload[0] & 0xE0 | payload[1] & 0x1F,))
            assert pending is not None
            pending += payload[2:]
            if last:
                nals.append(bytes(pending))
                pending = None
            continue
        assert pending is None
        if packet_kind == 24:
            at = 1
            while at < len(payload):
                length = int.from_bytes(payload[at : at + 2], "big")
                nals.append(payload[at + 2 : at + 2 + length])
                assert len(nals[-1]) == length > 0
                at += 2 + length
        else:
            assert 1 <= packet_kind <= 23
            nals.append(payload)
    assert pending is None
    return nals


def units_of(batches: Iterable[Batch]) -> list[list[bytes]]:
    """NAL units of each published access unit, without the filler that may end it."""
    units: list[list[bytes]] = []
    payloads: list[bytes] = []
    for batch in batches:
        payloads += batch.payloads
        if batch.unit_end:
            units.append([nal for nal in depacketise(payloads) if kind(nal) != 12])
            payloads = []
    assert not payloads
    return units
