"""The packets of SRT as bytes (draft-sharabayko-srt-01, 3); no I/O. What cannot be read raises ``ProtocolError``."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from common.errors import ProtocolError

HEADER = 16  # bytes of a packet
SEQUENCES = 1 << 31  # they wrap
INDUCTION, CONCLUSION = 1, 0xFFFFFFFF  # handshake types, 3.2.1
FIRST_REJECTION = 1000  # handshake types from here on say why there is no connection
MAGIC = 0x4A17  # extension field of a listener that speaks version 5
VERSION = 0x010500  # of SRT, that we say
FLAGS = 0x3F  # both ways with timestamps, encryption, too late is dropped, periodic NAK, retransmission flag: 3.2.1.1.1
MTU, WINDOW = 1_500, 8_192

_HEADER = struct.Struct("!IIII")
_HANDSHAKE = struct.Struct("!IHHIIIIII16s")
_ACK = struct.Struct("!7I")


class Control(IntEnum):
    """Control types, table 1."""

    HANDSHAKE = 0
    KEEPALIVE = 1
    ACK = 2
    NAK = 3
    SHUTDOWN = 5
    ACKACK = 6
    DROP = 7
    USER = 0x7FFF


class Extension(IntEnum):
    """Extensions of a handshake, table 5; the key's two are subtypes of ``Control.USER`` as well."""

    HSREQ = 1
    HSRSP = 2
    KMREQ = 3
    KMRSP = 4
    SID = 5


@dataclass(frozen=True, slots=True)
class Data:
    """A data packet, 3.1."""

    sequence: int
    key: int  # 0: not encrypted, 1: by the even key, 2: by the odd one
    payload: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """A control packet, 3.2."""

    kind: int
    subtype: int
    info: int  # what its type makes of it
    body: bytes


@dataclass(frozen=True, slots=True)
class Handshake:
    """The body of a handshake, 3.2.1."""

    kind: int
    version: int = 5
    encryption: int = 0  # an eighth of the key's bytes
    extension: int = 0
    sequence: int = 0  # of the first packet
    socket: int = 0
    cookie: int = 0
    extensions: tuple[tuple[int, bytes], ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> Handshake:
        """Read it. Raises ``ProtocolError``."""
        if len(body) < _HANDSHAKE.size:
            raise ProtocolError("a handshake of SRT is too short")
        version, encryption, extension, sequence, _, _, kind, socket, cookie, _ = _HANDSHAKE.unpack_from(body)
        found, at = [], _HANDSHAKE.size
        while len(body) - at >= 4:
            name, words = struct.unpack_from("!HH", body, at)
            found.append((name, body[at + 4 : at + 4 + 4 * words]))
            at += 4 + 4 * words
        return cls(kind, version, encryption, extension, sequence % SEQUENCES, socket, cookie, tuple(found))

    def __bytes__(self) -> bytes:
        head = (self.version, self.encryption, self.extension, self.sequence, MTU, WINDOW, self.kind, self.socket)
        parts = [_HANDSHAKE.pack(*head, self.cookie, bytes(16))]
        for name, content in self.extensions:
            parts.append(struct.pack("!HH", name, len(content) // 4) + content)
        return b"".join(parts)

    def find(self, name: Extension) -> bytes | None:
        """The content of an extension."""
        return next((content for each, content in self.extensions if each == name), None)


def parse(packet: bytes) -> Data | Told:
    """Read a packet. Raises ``ProtocolError``."""
    if len(packet) < HEADER:
        raise ProtocolError("a packet of SRT is too short")
    first, second, _, _ = _HEADER.unpack_from(packet)
    if first < SEQUENCES:
        return Data(first, second >> 27 & 3, packet[HEADER:])
    return Told(first >> 16 & 0x7FFF, first & 0xFFFF, second, packet[HEADER:])


def control(kind: Control, to: int, body: bytes = b"", *, info: int = 0, subtype: int = 0, at_us: int = 0) -> bytes:
    """A control packet for the peer's socket ``to``. One without a body has four bytes of nothing (3.2.3)."""
    first = 1 << 31 | kind << 16 | subtype
    return _HEADER.pack(first, info, at_us & 0xFFFFFFFF, to) + (body or bytes(4))


def acknowledgement(expected: int, round_trip_us: int, room: int) -> bytes:
    """The body of a full ACK (3.2.4): all before ``expected`` has come."""
    return _ACK.pack(expected, round_trip_us, round_trip_us // 2, room, 0, 0, 0)


def losses(missing: Iterable[tuple[int, int]]) -> bytes:
    """The body of a NAK (3.2.5, appendix A): first and last of each run."""
    words = []
    for first, last in missing:
        words += [first] if first == last else [first | 1 << 31, last]
    return struct.pack(f"!{len(words)}I", *words)


def words_of(body: bytes) -> Iterator[int]:
    """The 32-bit words of a packet's body."""
    yield from struct.unpack(f"!{len(body) // 4}I", body[: len(body) // 4 * 4])


def stream_id(text: str) -> bytes:
    """The content of a Stream ID extension (3.2.1.3): each word of it the wrong way round."""
    data = text.encode()
    data += bytes(-len(data) % 4)
    return b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4))
