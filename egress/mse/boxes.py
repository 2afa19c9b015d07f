"""The boxes of fragmented MP4 that a Media Source takes (ISO/IEC 14496-12, W3C's ISO BMFF byte stream format); pure.

Every track is a file of its own, with track number 1: an initialization segment, then fragments of one access unit
each. So picture and sound may come from different renditions, and a change of one leaves the other alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

TRACK = 1
_MATRIX = struct.pack(">9I", 0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000)  # 8.2.2: unity
_UNDETERMINED = 0x55C4  # 8.4.2: the language, ISO 639-2 "und" in fifteen bits
_DEFAULT_BASE_IS_MOOF = 0x02_0000  # 8.8.7
_SAMPLES = 0x01 | 0x100 | 0x200 | 0x400  # 8.8.8: offset of the data; duration, size and flags of each sample
_SYNC, _NON_SYNC = 0x0200_0000, 0x0101_0000  # 8.8.3.1: depends on nothing; depends on others, and is no sync sample

# moof (mfhd, traf (tfhd, tfdt, trun with one sample)) and the head of mdat: 8.8.4 to 8.8.12, 8.1.1
_FRAGMENT = struct.Struct(">I4s I4sII I4s I4sII I4sIQ I4sIIiIII I4s")
_MOOF_SIZE = _FRAGMENT.size - 8


@dataclass(frozen=True, slots=True)
class Description:
    """The description of a track's samples: what a decoder has to know before the first of them."""

    codec: str  # RFC 6381 3.3, as in a media type
    entry: bytes  # SampleEntry, 8.5.2: a box
    timescale: int  # units a second
    width: int = 0  # of the picture in pixels; 0 of sound
    height: int = 0


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box, 4.2."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box with version and flags, 4.2."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def initialization(track: Description) -> bytes:
    """The initialization segment of a track that has no end."""
    picture = track.width > 0
    handler = b"vide" if picture else b"soun"
    head = full_box(b"vmhd", 0, 1, bytes(8)) if picture else full_box(b"smhd", 0, 0, bytes(4))
    reference = full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1))  # in this very file
    empty = [full_box(kind, 0, 0, bytes(4)) for kind in (b"stts", b"stsc", b"stco")]
    table = box(
        b"stbl",
        full_box(b"stsd", 0, 0, struct.pack(">I", 1), track.entry),
        *empty,
        full_box(b"stsz", 0, 0, bytes(8)),
    )
    media = box(
        b"mdia",
        full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, track.timescale, 0, _UNDETERMINED, 0)),
        full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, handler), b"\0"),
        box(b"minf", head, box(b"dinf", reference), table),
    )
    # 8.3.2: enabled and in the movie; no duration, no layer; volume of sound; size in 16.16
    volume = 0 if picture else 0x100
    size = struct.pack(">II", track.width << 16, track.height << 16)
    header = full_box(b"tkhd", 0, 3, struct.pack(">IIIII8xHHHH", 0, 0, TRACK, 0, 0, 0, 0, volume, 0), _MATRIX, size)
    movie = full_box(
        b"mvhd", 0, 0, struct.pack(">IIIIIH10x", 0, 0, 1_000, 0, 0x1_0000, 0x100), _MATRIX, bytes(24), b"\0\0\0\2"
    )
    extends = full_box(b"trex", 0, 0, struct.pack(">IIIII", TRACK, 1, 0, 0, 0))
    return box(b"ftyp", b"iso6", bytes(4), b"iso6", b"mp41") + box(
        b"moov", movie, box(b"trak", header, media), box(b"mvex", extends)
    )


def fragment(sequence: int, time: int, duration: int, sample: bytes, *, sync: bool) -> bytes:
    """A media segment of one sample, to be shown at ``time`` for ``duration``, both in the track's units."""
    return (
        _FRAGMENT.pack(
            *(_MOOF_SIZE, b"moof"),
            *(16, b"mfhd", 0, sequence & 0xFFFF_FFFF),
            *(76, b"traf"),
            *(16, b"tfhd", _DEFAULT_BASE_IS_MOOF, TRACK),
            *(20, b"tfdt", 1 << 24, time),
            *(32, b"trun", _SAMPLES, 1, _FRAGMENT.size, duration, len(sample), _SYNC if sync else _NON_SYNC),
            *(8 + len(sample), b"mdat"),
        )
        + sample
    )
