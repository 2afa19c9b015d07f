"""MPEG-4 part 2 video over RTP (RFC 6416 5) on its way to a converter: frames, each keyframe with its configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from common.errors import ProtocolError
from common.payload.output import pieces
from ingest.payload.frames import Repack, Unit

_START = b"\0\0\1"
_VOP = _START + b"\xb6"  # vop_start_code, ISO/IEC 14496-2 6.2.1; what stands before it is configuration or user data
_VOL = re.compile(b"\0\0\1[\x20-\x2f]")  # video_object_layer_start_code


def repack_mpeg4(parameters: Mapping[str, str]) -> Repack:
    """Make the function for a session description's parameters: ``config`` stands before each keyframe without one."""
    try:
        configuration = bytes.fromhex(parameters.get("config", ""))
    except ValueError:
        configuration = b""

    def repack(payloads: list[bytes]) -> list[Unit]:
        data = b"".join(payloads)
        if not data.startswith(_START):
            raise ProtocolError("the beginning of a frame is missing")
        frames = list(_frames(data))
        if not frames:
            raise ProtocolError("there is no picture")
        return [
            Unit(pieces(configuration + frame if keyframe and not _has_layer(frame) else frame), keyframe)
            for frame, keyframe in frames
        ]

    return repack


def _frames(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """Each picture with what stands before it, and whether it is a keyframe. Small ones may come in one packet."""
    begin, vop = 0, data.find(_VOP)
    while 0 <= vop < len(data) - 4:
        end = data.find(_START, vop + 4)
        end = len(data) if end < 0 else end
        yield data[begin:end], not data[vop + 4] >> 6  # vop_coding_type I
        begin, vop = end, data.find(_VOP, end)


def _has_layer(frame: bytes) -> bool:
    return _VOL.search(frame) is not None
