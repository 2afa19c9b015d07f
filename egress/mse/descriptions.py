"""The part of an initialization segment that is a codec's own, from the stream itself; pure.

H.264 and H.265: ISO/IEC 14496-15 5.3.3 and 8.3.3. AAC: ISO/IEC 14496-14 5.6 and 14496-1 7.2.6. Opus: "Encapsulation of
Opus in ISO Base Media File Format" 4.3. What cannot be read raises ``ValueError``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from common.payload import h264_syntax, h265_syntax
from egress.mse.boxes import Description, box, full_box

VIDEO_CLOCK = 90_000  # Hz
OPUS_CLOCK = 48_000  # Hz; RFC 7587 4.1
AAC_SAMPLES = 1_024  # of a frame

_ADTS_HEADER, _ADTS_WITH_CRC = 7, 9  # bytes, ISO/IEC 14496-3 1.A.2.2
_AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_MAX_SET = 0xFFFF  # bytes: the field of its length


@dataclass(frozen=True, slots=True)
class AdtsFrame:
    """One frame of AAC as it travels on the bus (ISO/IEC 14496-3 1.A.2)."""

    object_type: int
    rate: int  # Hz, of the core
    channels: int  # channel_configuration
    data: bytes  # without the header

    @classmethod
    def parse(cls, frame: bytes) -> AdtsFrame:
        """Read it. Raises ``ValueError``."""
        if len(frame) <= _ADTS_HEADER or frame[0] != 0xFF or frame[1] & 0xF6 != 0xF0:
            raise ValueError("not a frame with an ADTS header")
        index = frame[2] >> 2 & 15
        channels = (frame[2] & 1) << 2 | frame[3] >> 6
        size = (frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5
        if index >= len(_AAC_RATES) or not channels or size != len(frame):
            raise ValueError("an ADTS header that says nothing, or something else than what follows")
        begins = _ADTS_HEADER if frame[1] & 1 else _ADTS_WITH_CRC
        return cls((frame[2] >> 6) + 1, _AAC_RATES[index], channels, frame[begins:])


def describe_h264(sps: bytes, pps: Sequence[bytes]) -> Description:
    """The description of H.264 with these parameter sets. Raises ``ValueError``."""
    read = h264_syntax.parse_sps(sps)
    sets = [_counted(sps)], [_counted(each) for each in pps]
    config = bytes((1, *sps[1:4], 0xFC | 3, 0xE0 | 1)) + sets[0][0] + bytes((len(pps),)) + b"".join(sets[1])
    if sps[1] in (100, 110, 122, 144):
        depth = read.bit_depth - 8
        config += bytes((0xFC | read.chroma_format, 0xF8 | depth, 0xF8 | depth, 0))
    entry = _visual(b"avc1", read.width, read.height, box(b"avcC", config))
    return Description(f"avc1.{sps[1:4].hex()}", entry, VIDEO_CLOCK, read.width, read.height)


def describe_h265(vps: bytes, sps: bytes, pps: Sequence[bytes]) -> Description:
    """The description of H.265 with these parameter sets. Raises ``ValueError``."""
    read = h265_syntax.parse_sps(sps)
    raw = sps.replace(b"\0\0\3", b"\0\0")  # 7.3.1.1 of H.265: emulation prevention
    layers, profile = raw[2] >> 1 & 7, raw[3:15]  # profile_tier_level's general part
    depth = read.bit_depth - 8
    lengths = (layers + 1) << 3 | (raw[2] & 1) << 2 | 3  # temporal layers, whether nested; four bytes before each unit
    config = bytes((1,)) + profile
    config += struct.pack(">HBBBBHB", 0xF000, 0xFC, 0xFC | read.chroma_format, 0xF8 | depth, 0xF8 | depth, 0, lengths)
    arrays = ((h265_syntax.VPS, (vps,)), (h265_syntax.SPS, (sps,)), (h265_syntax.PPS, pps))
    config += bytes((len(arrays),))
    for kind, units in arrays:
        config += bytes((0x80 | kind,)) + struct.pack(">H", len(units)) + b"".join(map(_counted, units))
    entry = _visual(b"hvc1", read.width, read.height, box(b"hvcC", config))
    return Description(f"hvc1.{_h265_parameters(profile)}", entry, VIDEO_CLOCK, read.width, read.height)


def describe_aac(frame: AdtsFrame) -> Description:
    """The description of AAC as this frame has it."""
    index = _AAC_RATES.index(frame.rate)
    specific = struct.pack(">H", frame.object_type << 11 | index << 7 | frame.channels << 3)  # AudioSpecificConfig
    decoder = _descriptor(4, struct.pack(">BBHBII", 0x40, 0x15, 0, 0, 0, 0), _descriptor(5, specific))
    stream = _descriptor(3, struct.pack(">HB", 0, 0), decoder, _descriptor(6, b"\2"))
    entry = _audio(b"mp4a", frame.channels, frame.rate, full_box(b"esds", 0, 0, stream))
    return Description(f"mp4a.40.{frame.object_type}", entry, frame.rate)


def describe_opus(channels: int = 2) -> Description:
    """The description of Opus as it is sent by RTP, which says nothing of what preceded it."""
    specific = box(b"dOps", struct.pack(">BBHIhB", 0, channels, 0, OPUS_CLOCK, 0, 0))
    return Description("opus", _audio(b"Opus", channels, OPUS_CLOCK, specific), OPUS_CLOCK)


def opus_samples(packet: bytes) -> int:
    """The duration of an Opus packet at 48 kHz (RFC 6716 3.1, 3.2). Raises ``ValueError``."""
    if not packet:
        raise ValueError("an Opus packet is empty")
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:  # SILK
        frame = (480, 960, 1_920, 2_880)[config & 3]
    elif config < 16:  # hybrid
        frame = (480, 960)[config & 1]
    else:  # CELT
        frame = (120, 240, 480, 960)[config & 3]
    if code == 3 and len(packet) < 2:
        raise ValueError("an Opus packet does not say how many frames it has")
    return frame * (1, 2, 2, packet[1] & 0x3F if code == 3 else 0)[code]


def _visual(kind: bytes, width: int, height: int, *more: bytes) -> bytes:
    """VisualSampleEntry, ISO/IEC 14496-12 12.1.3: 72 dots an inch, one frame a sample, 24 bits a pixel."""
    fields = struct.pack(">6xH16xHHIIIH32xHh", 1, width, height, 0x48_0000, 0x48_0000, 0, 1, 0x18, -1)
    return box(kind, fields, *more)


def _audio(kind: bytes, channels: int, rate: int, *more: bytes) -> bytes:
    """AudioSampleEntry, ISO/IEC 14496-12 12.2.3. A rate that sixteen bits do not hold is said by the codec alone."""
    fields = struct.pack(">6xH8xHHHHI", 1, channels, 16, 0, 0, (rate if rate <= 0xFFFF else 0) << 16)
    return box(kind, fields, *more)


def _descriptor(tag: int, *parts: bytes) -> bytes:
    """ISO/IEC 14496-1 8.3.3. All of ours are short."""
    body = b"".join(parts)
    return bytes((tag, len(body))) + body


def _counted(unit: bytes) -> bytes:
    if len(unit) > _MAX_SET:
        raise ValueError("a parameter set is too long")
    return struct.pack(">H", len(unit)) + unit


def _h265_parameters(profile: bytes) -> str:
    """ISO/IEC 14496-15 annex E.3: profile, compatibility, tier and level, constraints."""
    space = ("", "A", "B", "C")[profile[0] >> 6]
    compatible = int(f"{int.from_bytes(profile[1:5]):032b}"[::-1], 2)  # in reverse order
    constraints = profile[5:11].rstrip(b"\0")
    tier = "H" if profile[0] & 0x20 else "L"
    parts = [f"{space}{profile[0] & 0x1F}", f"{compatible:X}", f"{tier}{profile[11]}", *(f"{b:X}" for b in constraints)]
    return ".".join(parts)
