"""The bytes that come to an egress beside UDP of viewers: datagrams framed by TCP, and answers of STUN servers."""

from __future__ import annotations

import struct

from common.errors import ProtocolError
from egress.wire.framing import MAX_FRAME, PREFIX_SIZE, Deframer, framed
from egress.wire.mapped import mapped_address
from tests.fuzz.target import Program, Target, repeated, string

TRANSACTION = b"transaction!"


def deframe(data: bytes) -> None:
    """A connection's bytes in pieces of any size, and all at once: the same datagrams come of them."""
    program, whole, deframer = Program(data), b"", Deframer()
    found: list[bytes] = []
    while program:
        piece = program.string()
        whole += piece
        found += deframer.feed(piece)
        assert len(deframer.rest) < MAX_FRAME + PREFIX_SIZE
    assert Deframer().feed(whole) == found


def read_mapping(data: bytes) -> None:
    """The answer to our request for the address that a server sees us at."""
    address = mapped_address(data, TRANSACTION)
    assert address.replace(".", "").replace(":", "").isalnum()


def _answer(*attributes: bytes, kind: int = 0x0101) -> bytes:
    body = b"".join(attributes)
    return struct.pack("!HHI12s", kind, len(body), 0x2112A442, TRANSACTION) + body


_V4 = b"\0\x20\0\x08\0\1\x11\x22\xea\x12\xd5\x45"
_V6 = b"\0\x20\0\x14\0\2\x11\x22" + bytes(16)
_SOFTWARE = b"\x80\x22\0\3abc\0"

TARGETS = [
    Target(
        "tcp-frames",
        "datagrams framed by a TCP connection, from anybody",
        deframe,
        (
            string(framed(b"abc")) + string(framed(b"defg")),
            string(framed(b"abc")[:3]) + string(framed(b"abc")[3:] + b"\0\0" + framed(b"x")),
            string(b"\xff\xff" + bytes(20)),
        ),
        (ProtocolError,),
        (b"\0\0", b"\x08\0", b"\x07\xff"),
        {
            "empty": lambda size: string(bytes(size - 2)),
            "frames": lambda size: string(repeated(framed(b"x"))(size - 2)),
            "pieces": repeated(string(b"\0")),
        },
    ),
    Target(
        "stun-mapping",
        "the answer of a STUN server that an operator names, or of anybody in its place",
        read_mapping,
        (_answer(_V4), _answer(_SOFTWARE, _V6), _answer(_V4, kind=0x0111), _answer(_V4)[:20]),
        (ProtocolError,),
        (b"\0\x20\0\x08", b"\x21\x12\xa4\x42", TRANSACTION, b"\1\1"),
        {"attributes": lambda size: _answer(b"\x80\x22\0\0" * ((size - 20) // 4))},
        most=512,
        bound=1_500,
    ),
]
