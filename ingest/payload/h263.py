"""H.263 over RTP on its way to a converter: whole pictures; no I/O.

``H263`` is packed by RFC 2190, which cuts between bits; ``H263-1998`` and ``H263-2000`` by RFC 4629.
"""

from __future__ import annotations

from common.errors import ProtocolError
from common.payload.bits import Bits
from common.payload.output import pieces
from ingest.payload.frames import Repack, Unit

_HEADERS = {0x00: 4, 0x40: 4, 0x80: 8, 0xC0: 12}  # bytes, by F and P: modes A, B and C, RFC 2190 5
_BEGIN = 12  # bytes in which a picture's kind is said
_PICTURE_START = 0x20  # picture_start_code, in 22 bits: H.263 5.1.1
_EXTENDED = 7  # source format: PLUSPTYPE follows, H.263 5.1.4


def repack_h263(name: str) -> Repack:
    """For the codec's name in the session description."""
    join = _joined_by_bits if name.upper() == "H263" else _joined

    def repack(payloads: list[bytes]) -> list[Unit]:
        picture = join(payloads)
        return [Unit(pieces(picture), keyframe=_is_intra(picture))]

    return repack


def _joined(payloads: list[bytes]) -> bytes:
    """RFC 4629 5.1: with P, two bytes of zeros were left out; V and PLEN say of headers that stand before."""
    out = bytearray()
    for payload in payloads:
        if len(payload) < 2:
            raise ProtocolError("a packet of H.263 has no header")
        header = int.from_bytes(payload[:2])
        at = 2 + (header >> 9 & 1) + (header >> 3 & 0x3F)
        out += bytes(2 if header & 0x400 else 0) + payload[at:]
    return bytes(out)


def _joined_by_bits(payloads: list[bytes]) -> bytes:
    """RFC 2190 5.1: SBIT bits of the first byte, and EBIT of the last one, are of other packets."""
    out, left = bytearray(), 0
    for payload in payloads:
        begin, end = payload[0] >> 3 & 7, payload[0] & 7
        data = payload[_HEADERS[payload[0] & 0xC0] :]
        if not data or (begin + left) % 8:
            raise ProtocolError("a part of the picture is missing")
        if begin:
            if not out:
                raise ProtocolError("the beginning of a picture is missing")
            out[-1] = out[-1] & 0xFF << left & 0xFF | data[0] & 0xFF >> begin
            data = data[1:]
        out += data
        left = end
    return bytes(out)


def _is_intra(picture: bytes) -> bool:
    """Whether a decoder can begin with it: H.263 5.1.3, 5.1.4. Raises ``ProtocolError``."""
    bits = Bits(picture[:_BEGIN])
    try:
        if bits.u(22) != _PICTURE_START:
            raise ProtocolError("the beginning of a picture is missing")
        bits.u(13)  # its number; two marks, three bits that matter to who shows it
        if bits.u(3) != _EXTENDED:
            return not bits.u(1)
        if bits.u(3) == 1:  # the optional part comes with it
            bits.u(18)
        return not bits.u(3)
    except ValueError:
        raise ProtocolError("a picture of H.263 has no header") from None
