"""Frames on the pipe from a demuxer's process to ingest, which trusts them as little as a camera; no I/O.

One line goes the other way, the order. A frame is the length of its body (32 bits), its kind and the number of its
media section (8 bits each), and the body.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import NamedTuple

from common.cameras import CameraState, TlsSpec
from common.errors import CameraError, ProtocolError

MAX_BODY = 5 << 20  # bytes: an RTP packet with a whole JPEG image; payload formats take 4 MiB
MAX_DETAIL = 2_048  # bytes of a failure's detail, which quotes the source

PIPED = "pipe:"  # instead of a URL: what follows the order on standard input

_HEADER = struct.Struct("!IBB")


@dataclass(frozen=True, slots=True)
class Order:
    """The source to pull, and what there is for it: memory in MiB."""

    url: str = field(repr=False)
    tls: TlsSpec = field(default_factory=TlsSpec)
    memory: int = 512
    networks: tuple[str, ...] = ()  # that it may be in; none: in all
    bitrate: int = 200  # Mbit/s that it may send for long

    def __bytes__(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Order:
        """Read it from its bytes."""
        fields = json.loads(line)
        return cls(
            fields["url"], TlsSpec(**fields["tls"]), fields["memory"], tuple(fields["networks"]), fields["bitrate"]
        )


class FrameKind(IntEnum):
    """The kinds of frame: ``UP``, a description, and what is in it. After a failure, at any time, there is no more."""

    DESCRIPTION = 1  # a session description (RFC 8866)
    RTP = 2  # a packet of the media section of that number
    RTCP = 3
    FAILED = 4  # the state, a line feed, and what was seen
    UP = 5  # nothing: the process has begun, which takes most, and connects now


class PipeFrame(NamedTuple):
    """One frame."""

    kind: FrameKind
    section: int
    body: bytes


def encode(kind: FrameKind, body: bytes, section: int = 0) -> bytes:
    """The frame as it travels."""
    return _HEADER.pack(len(body), kind, section) + body


def encode_failure(error: CameraError) -> bytes:
    """The last frame: why there are no more."""
    detail = error.detail.encode("utf-8", "replace")[:MAX_DETAIL]
    return encode(FrameKind.FAILED, error.state.value.encode() + b"\n" + detail)


def read_failure(body: bytes) -> CameraError:
    """The error of a ``FAILED`` frame. Raises ``ProtocolError``."""
    state, _, detail = body.partition(b"\n")
    try:
        return CameraError(CameraState(state.decode("ascii")), detail[:MAX_DETAIL].decode("utf-8", "replace"))
    except ValueError:
        raise ProtocolError("a failure of no known state") from None


class PipeFrames:
    """Puts frames together of what is read."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def push(self, data: bytes) -> list[PipeFrame]:
        """The frames that ``data`` completes. Raises ``ProtocolError``, after which there is nothing to be read."""
        buffer = self._buffer
        buffer += data
        frames, at = [], 0
        while len(buffer) - at >= _HEADER.size:
            size, kind, section = _HEADER.unpack_from(buffer, at)
            if size > MAX_BODY:
                raise ProtocolError("a frame is too long")
            begin = at + _HEADER.size
            if len(buffer) < begin + size:
                break
            at = begin + size
            try:
                frames.append(PipeFrame(FrameKind(kind), section, bytes(buffer[begin:at])))
            except ValueError:
                raise ProtocolError("a frame of no known kind") from None
        del buffer[:at]
        return frames
