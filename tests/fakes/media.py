"""Batches as ingest publishes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from common.media import Batch, Flags, Kind

SPS = bytes.fromhex("6742e01f")  # NAL unit type 7, Constrained Baseline 3.1
IDR, SLICE = b"\x65", b"\x41"
SECOND_NS = 1_000_000_000


def video(
    sequence: int,
    frame: int,
    *,
    keyframe: bool = False,
    packets: int = 3,
    size: int = 100,
    epoch: int = 1,
    unit_end: bool = True,
    codec: str = "H264",
) -> Batch:
    """One access unit of a 30 frames a second camera. Each payload names its sequence number in its last four bytes."""
    payloads = [(SLICE * (size - 4)) + (sequence + n).to_bytes(4, "big") for n in range(packets)]
    flags = Flags.UNIT_END if unit_end else Flags(0)
    if keyframe:
        payloads[0] = SPS + payloads[0][4:]
        flags |= Flags.KEYFRAME
    at = epoch * 1_000_000 + frame * SECOND_NS // 30
    return Batch(Kind.VIDEO.value, codec, epoch, sequence, frame * 3_000, at, at, int(flags), payloads)


def audio(sequence: int, *, epoch: int = 1, codec: str = "opus") -> Batch:
    """20 ms of sound."""
    at = epoch * 1_000_000 + sequence * SECOND_NS // 50
    step = 960 if codec == "opus" else 160
    payload = b"sound" + sequence.to_bytes(4, "big")
    return Batch(Kind.AUDIO.value, codec, epoch, sequence, sequence * step, at, at, int(Flags.UNIT_END), [payload])


def gop_stream(*, gop: int = 10, packets: int = 3, size: int = 100, epoch: int = 1) -> Iterator[Batch]:
    """An endless camera with a keyframe every ``gop`` frames."""
    for frame in itertools.count():
        yield video(frame * packets, frame, keyframe=frame % gop == 0, packets=packets, size=size, epoch=epoch)


def number(payload: bytes) -> int:
    """The sequence number at the publisher of a payload made here."""
    return int.from_bytes(payload[-4:], "big")
