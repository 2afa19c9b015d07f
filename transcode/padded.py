"""Bytes as FFmpeg's decoders take them: with room behind.

They read up to 64 bytes beyond the end (``AV_INPUT_BUFFER_PADDING_SIZE``), and go by what is there. PyAV takes an
object's memory as it is, behind which is anything: one picture of MPEG-4 in twenty was found to be damaged by it.
"""

from __future__ import annotations

from typing import Any

import av

PADDING = 64  # bytes


def packet(data: bytes) -> av.Packet[Any]:
    """A packet of a copy, which FFmpeg itself puts into memory with zeros behind."""
    made: av.Packet[Any] = av.Packet(len(data))
    made.update(data)
    return made


def padded(data: bytes) -> memoryview:
    """The same bytes with zeros behind them, for a parser."""
    return memoryview(data + bytes(PADDING))[: len(data)]
