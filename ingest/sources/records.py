"""NAL units out of containers: byte streams, and units with a length before each, as MP4, FLV and Matroska have them.

No I/O. A container's configuration record (ISO/IEC 14496-15 5.3.3.1 and 8.3.3.1) says which of the two it is, and holds
the parameter sets. What is malformed raises ``ProtocolError``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from common.errors import ProtocolError

MAX_SETS = 64  # parameter sets of a record

_START_CODE = re.compile(b"\0\0\1")


@dataclass(frozen=True, slots=True)
class Record:
    """The layout of a stream's access units, and its parameter sets."""

    length_size: int = 0  # bytes of the length before each NAL unit; 0: a byte stream with start codes
    sets: tuple[bytes, ...] = ()

    def units(self, data: bytes) -> list[bytes]:
        """The NAL units of an access unit. Raises ``ProtocolError``."""
        if not self.length_size:
            return byte_stream_units(data)
        units, at = [], 0
        while at < len(data):
            size = int.from_bytes(data[at : at + self.length_size], "big")
            at += self.length_size
            if at + size > len(data):
                raise ProtocolError("a NAL unit is longer than its access unit")
            if size:
                units.append(data[at : at + size])
            at += size
        return units


def byte_stream_units(data: bytes) -> list[bytes]:
    """The NAL units of a byte stream (H.264 and H.265, Annex B)."""
    units = (unit.rstrip(b"\0") for unit in _START_CODE.split(data)[1:])
    return [unit for unit in units if unit]


def avc_record(data: bytes) -> Record:
    """An AVCDecoderConfigurationRecord; a byte stream where there is none. Raises ``ProtocolError``."""
    if not data or data[0] != 1:
        return Record(0, tuple(byte_stream_units(data)[:MAX_SETS]))
    if len(data) < 7:
        raise ProtocolError("a configuration record is too short")
    at, sets = 5, []
    for mask in (0x1F, 0xFF):  # sequence parameter sets, then picture parameter sets
        count = _byte(data, at) & mask
        at += 1
        for _ in range(count):
            unit, at = _with_size(data, at)
            sets.append(unit)
    return Record((data[4] & 3) + 1, tuple(sets[:MAX_SETS]))


def hevc_record(data: bytes) -> Record:
    """A HEVCDecoderConfigurationRecord; a byte stream where there is none. Raises ``ProtocolError``."""
    if len(data) < 4 or data[0] != 1:
        return Record(0, tuple(byte_stream_units(data)[:MAX_SETS]))
    at, sets = 23, []
    for _ in range(_byte(data, 22)):  # arrays, each of one type of NAL unit
        count = _byte(data, at + 1) << 8 | _byte(data, at + 2)
        at += 3
        for _ in range(count):
            unit, at = _with_size(data, at)
            sets.append(unit)
    return Record((_byte(data, 21) & 3) + 1, tuple(sets[:MAX_SETS]))


def _with_size(data: bytes, at: int) -> tuple[bytes, int]:
    size = _byte(data, at) << 8 | _byte(data, at + 1)
    at += 2
    if not size or at + size > len(data):
        raise ProtocolError("a parameter set is longer than its record")
    return data[at : at + size], at + size


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise ProtocolError("a configuration record ends too early")
    return data[at]
