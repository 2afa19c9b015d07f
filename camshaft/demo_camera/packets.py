"""RTP (RFC 3550), H.264's payload format (RFC 6184) and sender reports, as a camera writes them; no I/O."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

MAX_PAYLOAD = 1_400  # bytes: what cameras send on Ethernet, more than WebRTC can pass on as it is
NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970

_START_CODE = re.compile(b"\x00\x00\x00?\x01")
_FU_A = 28
_RTCP_SR, _RTCP_SDES, _SDES_CNAME = 200, 202, 1


def split_nal_units(unit: bytes) -> list[bytes]:
    """The NAL units of an access unit in Annex B's byte stream."""
    return [nal for nal in _START_CODE.split(unit) if nal]


def video_payloads(nal_units: Iterable[bytes]) -> list[bytes]:
    """Each NAL unit as one payload, or cut into FU-A (RFC 6184 5.8)."""
    payloads: list[bytes] = []
    for nal in nal_units:
        if len(nal) <= MAX_PAYLOAD:
            payloads.append(nal)
            continue
        indicator, kind = nal[0] & 0xE0 | _FU_A, nal[0] & 0x1F
        size = MAX_PAYLOAD - 2
        for start in range(1, len(nal), size):
            end = start + size
            header = kind | (0x80 if start == 1 else 0) | (0x40 if end >= len(nal) else 0)
            payloads.append(bytes((indicator, header)) + nal[start:end])
    return payloads


def rtp_packet(payload_type: int, marker: bool, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    """One packet (RFC 3550 5.1); sequence number and timestamp are cut to their width."""
    return (
        struct.pack("!BBHII", 0x80, payload_type | marker << 7, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
        + payload
    )


def sender_report(ssrc: int, unix_time: float, timestamp: int, packets: int, octets: int, name: str) -> bytes:
    """A sender report and the source's name (RFC 3550 6.4.1, 6.5): ``timestamp`` is that of ``unix_time``."""
    seconds = int(unix_time)
    fraction = int((unix_time - seconds) * (1 << 32))
    report = struct.pack(
        "!BBHIIIIII",
        0x80,
        _RTCP_SR,
        6,
        ssrc,
        seconds + NTP_EPOCH & 0xFFFFFFFF,
        fraction,
        timestamp & 0xFFFFFFFF,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    item = bytes((_SDES_CNAME, len(name))) + name.encode() + b"\0"
    item += bytes(-len(item) % 4)
    return report + struct.pack("!BBHI", 0x81, _RTCP_SDES, 1 + len(item) // 4, ssrc) + item
