"""Payloads of RTP taken apart: what a decoder gets of the packets of one access unit; no I/O.

The packets are whole and in order. What is malformed raises ``ProtocolError``.

* H.264 (RFC 6184 5) and H.265 (RFC 7798 4.4): NAL units, as a byte stream with start codes (Annex B).
* VP8 (RFC 7741 4.2) and VP9 (RFC 9628 4.2): a frame, without the payload descriptors.
* AV1 (RTP Payload Format For AV1, 4.3): a temporal unit in the low-overhead format, each OBU with its size.
* JPEG (ITU-T T.81): an image, of ``MAX_SCANS`` at most: each goes over all of the picture, and may be
  of fifty bytes, so one megabyte would keep a decoder busy for ten seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from common.errors import ProtocolError

MAX_SCANS = 64  # of an image of JPEG: libjpeg makes ten of a progressive one
_START_OF_SCAN = b"\xff\xda"  # ITU-T T.81 B.1.1.3; in the bytes of a scan there is none (B.1.1.5)
_START_CODE = b"\0\0\0\1"
_TEMPORAL_DELIMITER = b"\x12\0"  # AV1 5.6: an OBU of type 2 with a size field that says 0


def access_unit(codec: str, payloads: list[bytes]) -> bytes:
    """The access unit as the decoder of ``codec`` takes it. Payloads of all other codecs are just put together."""
    return b"".join(_UNPACK.get(codec, _joined)(payloads))


def _joined(payloads: list[bytes]) -> Iterable[bytes]:
    return payloads


def _h264(payloads: list[bytes]) -> Iterator[bytes]:
    open_ = False
    for payload in payloads:
        kind = payload[0] & 0x1F
        if kind == 24:  # STAP-A, RFC 6184 5.7.1
            yield from _aggregated(payload, 1)
        elif kind == 28:  # FU-A, RFC 6184 5.8
            if len(payload) < 2:
                raise ProtocolError("a fragment has no header")
            if payload[1] & 0x80:
                yield _START_CODE + bytes((payload[0] & 0xE0 | payload[1] & 0x1F,))
                open_ = True
            if not open_:
                raise ProtocolError("a fragment has no beginning")
            yield payload[2:]
        elif 0 < kind < 24:
            yield _START_CODE + payload
        else:
            raise ProtocolError(f"packet type {kind} of H.264 is not known")


def _h265(payloads: list[bytes]) -> Iterator[bytes]:
    open_ = False
    for payload in payloads:
        if len(payload) < 3:
            raise ProtocolError("a packet of H.265 is too short")
        kind = payload[0] >> 1 & 0x3F
        if kind == 48:  # aggregation packet, RFC 7798 4.4.2
            yield from _aggregated(payload, 2)
        elif kind == 49:  # fragmentation unit, RFC 7798 4.4.3
            if payload[2] & 0x80:
                yield _START_CODE + bytes((payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]))
                open_ = True
            if not open_:
                raise ProtocolError("a fragment has no beginning")
            yield payload[3:]
        elif kind < 48:
            yield _START_CODE + payload
        else:
            raise ProtocolError(f"packet type {kind} of H.265 is not known")


def _aggregated(payload: bytes, at: int) -> Iterator[bytes]:
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 2], "big")
        at += 2
        if not size or at + size > len(payload):
            raise ProtocolError("an aggregation packet is shorter than it says")
        yield _START_CODE + payload[at : at + size]
        at += size


def _vp8(payloads: Iterable[bytes]) -> Iterator[bytes]:
    for payload in payloads:
        at = 1
        if payload[0] & 0x80:  # X
            more = _byte(payload, 1)
            at = 2
            if more & 0x80:  # I
                at += 2 if _byte(payload, at) & 0x80 else 1
            at += bool(more & 0x40)  # L
            at += bool(more & 0x30)  # T or K
        yield payload[at:]


def _vp9(payloads: list[bytes]) -> Iterator[bytes]:
    for payload in payloads:
        bits, at = payload[0], 1
        if bits & 0x80:  # I
            at += 2 if _byte(payload, at) & 0x80 else 1
        if bits & 0x20:  # L; without F there is TL0PICIDX, too
            at += 1 if bits & 0x10 else 2
        if bits & 0x50 == 0x50:  # P and F: up to three differences
            for _ in range(3):
                at += 1
                if not _byte(payload, at - 1) & 1:
                    break
        if bits & 0x02:  # V: scalability structure
            structure = _byte(payload, at)
            layers = (structure >> 5) + 1
            at += 1 + (4 * layers if structure & 0x10 else 0)
            if structure & 0x08:
                count = _byte(payload, at)
                at += 1
                for _ in range(count):
                    at += 1 + (_byte(payload, at) >> 2 & 3)
        yield payload[at:]


def _av1(payloads: list[bytes]) -> Iterator[bytes]:
    yield _TEMPORAL_DELIMITER
    for obu in obus(payloads):
        yield _sized(obu)


def obus(payloads: list[bytes]) -> Iterator[bytes]:
    """The OBUs of a temporal unit of AV1, as they are in the packets. Raises ``ProtocolError``."""
    begun = b""
    for payload in payloads:
        continues, goes_on, count = payload[0] & 0x80, payload[0] & 0x40, payload[0] >> 4 & 3
        elements = list(_elements(payload, count))
        if bool(begun) != bool(continues) or not elements:
            raise ProtocolError("an OBU has lost a part")
        elements[0] = begun + elements[0]
        begun = elements.pop() if goes_on else b""
        for element in elements:
            if len(element) < (2 if element[:1] and element[0] & 0x04 else 1):
                raise ProtocolError("an OBU has no header")
            yield element
    if begun:
        raise ProtocolError("an OBU has no end")


def _elements(payload: bytes, count: int) -> Iterator[bytes]:
    at, number = 1, 0
    while at < len(payload):
        number += 1
        if number == count:  # the last one has no size
            size = len(payload) - at
        else:
            size, at = _leb128(payload, at)
        if at + size > len(payload):
            raise ProtocolError("an OBU is longer than its packet")
        yield payload[at : at + size]
        at += size


def _sized(obu: bytes) -> bytes:
    """The OBU with a size field (AV1 5.3.2), unless it has one."""
    if obu[0] & 0x02:
        return obu
    header = 2 if obu[0] & 0x04 else 1
    size, field = len(obu) - header, bytearray()
    while size > 0x7F:
        field.append(size & 0x7F | 0x80)
        size >>= 7
    field.append(size)
    return bytes((obu[0] | 0x02,)) + obu[1:header] + bytes(field) + obu[header:]


def _leb128(payload: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        byte = _byte(payload, at)
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise ProtocolError("a size has no end")


def _byte(payload: bytes, at: int) -> int:
    if at >= len(payload):
        raise ProtocolError("a packet ends within its header")
    return payload[at]


def _jpeg(payloads: list[bytes]) -> Iterable[bytes]:
    image = b"".join(payloads)
    if image.count(_START_OF_SCAN) > MAX_SCANS:
        raise ProtocolError(f"an image of JPEG has more than {MAX_SCANS} scans")
    return (image,)


_UNPACK: dict[str, Callable[[list[bytes]], Iterable[bytes]]] = {
    "H264": _h264,
    "H265": _h265,
    "VP8": _vp8,
    "VP9": _vp9,
    "AV1": _av1,
    "JPEG": _jpeg,
}
