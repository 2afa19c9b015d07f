"""WebSocket after its handshake, the server's side (RFC 6455 5 and 7); pure.

What we send is framed once and shared by all viewers. What a viewer sends is little: pongs, its farewell, and short
texts. Anything else is an error, and the connection's end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from common.errors import ProtocolError

MAX_CONTROL = 125  # bytes, RFC 6455 5.5
MAX_MESSAGE = 1_024  # bytes of a viewer's text: one word in JSON
_HEAD, _MASK = 2, 4


class Opcode(IntEnum):
    """RFC 6455 5.2."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a viewer's."""

    opcode: Opcode
    data: bytes


def frame(opcode: Opcode, *parts: bytes) -> bytes:
    """An unfragmented message, unmasked as a server's are (RFC 6455 5.2)."""
    size = sum(map(len, parts))
    first = 0x80 | opcode
    if size < 126:
        head = struct.pack(">BB", first, size)
    elif size <= 0xFFFF:
        head = struct.pack(">BBH", first, 126, size)
    else:
        head = struct.pack(">BBQ", first, 127, size)
    return head + b"".join(parts)


def close_frame(code: int, reason: str = "") -> bytes:
    """A farewell (RFC 6455 5.5.1); a longer reason is cut."""
    text = reason.encode()[: MAX_CONTROL - 2].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, struct.pack(">H", code), text)


class Reader:
    """Takes a viewer's bytes as they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that have come whole. Raises ``ProtocolError``."""
        self._buffer += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> Message | None:
        buffer = self._buffer
        if len(buffer) < _HEAD:
            return None
        first, second = buffer[0], buffer[1]
        size, begins = second & 0x7F, _HEAD
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise ProtocolError(f"opcode {first & 0x0F} is reserved") from None
        if first & 0x70:
            raise ProtocolError("no extension was agreed on, and a reserved bit is set")
        if not first & 0x80 or opcode is Opcode.CONTINUATION:
            raise ProtocolError("the message comes in fragments, and is short")
        if not second & 0x80:
            raise ProtocolError("the frame is not masked")
        if opcode >= Opcode.CLOSE and size > MAX_CONTROL:
            raise ProtocolError("the control frame is too long")
        if size == 127:
            raise ProtocolError("the message is too long")
        if size == 126:
            if len(buffer) < _HEAD + 2:
                return None
            size, begins = int.from_bytes(buffer[2:4]), _HEAD + 2
        if size > MAX_MESSAGE:
            raise ProtocolError("the message is too long")
        end = begins + _MASK + size
        if len(buffer) < end:
            return None
        mask, masked = buffer[begins : begins + _MASK], buffer[begins + _MASK : end]
        data = bytes(byte ^ mask[at & 3] for at, byte in enumerate(masked))
        del buffer[:end]
        return Message(opcode, data)
