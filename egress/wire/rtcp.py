"""RTCP to and from viewers (RFC 3550 6, RFC 4585): compound packets out, feedback in; pure.

Hand-written because every viewer sends and gets a compound packet a second, and a process that wakes up for one finds
its caches cold: what counts is how much code it runs through. Only what egress acts on is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from common.errors import ProtocolError

NTP_UNIX_OFFSET = 2_208_988_800  # seconds from 1900 to 1970
_SENDER_REPORT, _RECEIVER_REPORT, _SOURCE_DESCRIPTION, _BYE = 200, 201, 202, 203  # packet types, RFC 3550 12.1 …
_TRANSPORT_FEEDBACK, _PAYLOAD_FEEDBACK = 205, 206  # … and RFC 4585 6.1
_CNAME = 1  # SDES item, RFC 3550 6.5.1
_NACK, _TRANSPORT_CC = 1, 15  # transport-layer feedback message types, RFC 4585 6.2
_PLI, _FIR, _APPLICATION = 1, 4, 15  # payload-specific ones, RFC 4585 6.3, RFC 5104 4.3.1
_MAX_STATUSES = 2_000  # packets that one compound may tell the arrival of: more is not feedback but an attack
_MAX_NACKS = 64  # entries of 17 packets each
_MAX_BITRATE = 1 << 40  # bit/s: a REMB can say 2**81, which no path carries and no report holds
_MAX_ROUND_TRIP = 60.0  # seconds: a viewer's last report and delay can make any of up to nine hours
_SMALL_DELTA, _LARGE_DELTA = 1, 2  # packet statuses

_head = struct.Struct("!BBH").unpack_from
_report_block = struct.Struct("!IB3sIIII")  # RFC 3550 6.4.1
_nack_entry = struct.Struct("!HH")  # RFC 4585 6.2.1
_sender_report = struct.Struct("!BBHIQIII").pack
_description = struct.Struct("!BBHIBB").pack


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """One SSRC in a sender report (RFC 3550 6.4.1)."""

    ssrc: int
    timestamp: int  # RTP time of the report's moment
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class Nack:
    """The viewer asks for these packets again (generic NACK, RFC 4585 6.2.1)."""

    ssrc: int
    sequence_numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PictureLoss:
    """The viewer needs something that it can start decoding with (PLI, RFC 4585 6.3.1; FIR, RFC 5104 4.3.1)."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class ReceptionReport:
    """How one SSRC arrives at the viewer (RFC 3550 6.4.1)."""

    ssrc: int
    fraction_lost: float  # since the report before, 0..1
    lost: int  # since the start
    highest: int  # extended sequence number of the newest packet that came
    jitter: int  # RTP timestamp units
    last_report: int  # middle 32 bits of the NTP time of our report, 0: none yet
    delay: int  # 1/65536 s since that report


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """The viewer's estimate of what its path carries (REMB), in bit/s."""

    bitrate: int


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When packets arrived, by transport-wide feedback and on a clock of the viewer's own."""

    seconds: dict[int, float]  # by transport-wide sequence number


@dataclass(frozen=True, slots=True)
class Bye:
    """The viewer leaves."""


Event = Nack | PictureLoss | ReceptionReport | Bandwidth | Arrivals | Bye


def parse(compound: bytes) -> list[Event]:
    """Events of a compound packet, unknown types skipped. Raises ``ProtocolError``."""
    try:
        return [event for packet in _packets(compound) for event in _events(compound, *packet)]
    except (ValueError, IndexError, struct.error) as exc:
        raise ProtocolError(f"not RTCP: {exc}") from None


def _packets(compound: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Each packet's type, the count or format in its first byte, and where its body starts and ends."""
    at = statuses = 0
    while at < len(compound):
        first, kind, words = _head(compound, at)
        body, at = at + 4, at + 4 + 4 * words
        if first >> 6 != 2 or at > len(compound):
            raise ValueError("wrong version, or longer than what came")
        padding = compound[at - 1] if first & 0x20 else 0  # RFC 3550 6.4.1: its last byte tells its size
        if first & 0x20 and not 1 <= padding <= at - body:
            raise ValueError("more padding than there is, or none")
        count = first & 0x1F
        if kind == _TRANSPORT_FEEDBACK and count == _TRANSPORT_CC:
            statuses += int.from_bytes(compound[body + 10 : body + 12], "big")
            if statuses > _MAX_STATUSES:
                raise ValueError(f"feedback on {statuses} packets")
        yield kind, count, body, at - padding


def _events(compound: bytes, kind: int, count: int, body: int, end: int) -> Sequence[Event]:
    if kind == _RECEIVER_REPORT:
        return _reports(compound, body + 4, end, count)
    if kind == _SENDER_REPORT:
        return _reports(compound, body + 24, end, count)
    if kind == _TRANSPORT_FEEDBACK and count == _NACK:
        return _nack(compound, body, end)
    if kind == _TRANSPORT_FEEDBACK and count == _TRANSPORT_CC:
        return [_arrivals(compound[body + 8 : end])]
    if kind == _PAYLOAD_FEEDBACK:
        return _payload_feedback(compound[body:end], count)
    return [Bye()] if kind == _BYE else []


def _reports(compound: bytes, start: int, end: int, count: int) -> list[ReceptionReport]:
    if start + count * _report_block.size > end:
        raise ValueError("fewer reports than announced")
    blocks = (_report_block.unpack_from(compound, start + at * _report_block.size) for at in range(count))
    return [
        ReceptionReport(ssrc, fraction / 256, int.from_bytes(lost, "big", signed=True), *rest)
        for ssrc, fraction, lost, *rest in blocks
    ]


def _nack(compound: bytes, body: int, end: int) -> list[Nack]:
    start = body + 8
    if end < start or (end - start) % _nack_entry.size:
        raise ValueError("not whole entries")
    if end - start > _MAX_NACKS * _nack_entry.size:
        return []
    numbers: list[int] = []
    for number, mask in _nack_entry.iter_unpack(compound[start:end]):
        numbers.append(number)
        numbers += [number + bit & 0xFFFF for bit in range(1, 17) if mask >> (bit - 1) & 1]
    return [Nack(int.from_bytes(compound[body + 4 : start], "big"), tuple(numbers))]


def _payload_feedback(body: bytes, kind: int) -> list[Event]:
    if len(body) < 8:
        raise ValueError("no SSRCs")
    if kind == _PLI:
        return [PictureLoss(int.from_bytes(body[4:8], "big"))]
    if kind == _FIR:  # the SSRCs are in the entries
        return [PictureLoss(int.from_bytes(body[at : at + 4], "big")) for at in range(8, len(body) - 7, 8)]
    if kind == _APPLICATION and body[8:12] == b"REMB":
        return [_remb(body)]
    return []


def _remb(body: bytes) -> Bandwidth:
    """draft-alvestrand-rmcat-remb-03, 2.2. Raises ``ValueError`` or ``IndexError``."""
    if len(body) < 16 + 4 * body[12]:
        raise ValueError("fewer SSRCs than announced")
    exponent, mantissa = divmod(int.from_bytes(body[13:16], "big"), 1 << 18)
    return Bandwidth(min(mantissa << exponent, _MAX_BITRATE))


def _arrivals(body: bytes) -> Arrivals:
    """draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1. Raises ``struct.error`` or ``ValueError``."""
    number, count, reference = struct.unpack_from("!HHI", body)
    statuses: list[int] = []
    at = 8
    while len(statuses) < count:
        (chunk,) = struct.unpack_from("!H", body, at)
        at += 2
        if not chunk & 0x8000:  # run length: one status many times
            statuses += [chunk >> 13] * min(chunk & 0x1FFF, count)
        elif not chunk & 0x4000:  # 14 statuses of one bit
            statuses += [chunk >> shift & 1 for shift in range(13, -1, -1)]
        else:  # 7 statuses of two bits
            statuses += [chunk >> shift & 3 for shift in range(12, -1, -2)]
    time = (reference >> 8) * 64_000  # microseconds, modulo 2**24 * 64 ms
    seconds = {}
    for offset, status in enumerate(statuses[:count]):
        if status == _SMALL_DELTA:
            time += body[at] * 250
            at += 1
        elif status == _LARGE_DELTA:
            time += struct.unpack_from("!h", body, at)[0] * 250
            at += 2
        else:
            continue
        seconds[(number + offset) & 0xFFFF] = time / 1e6
    return Arrivals(seconds)


def ntp_time(unix_ns: int) -> int:
    """64-bit NTP timestamp (RFC 5905 6)."""
    seconds, rest = divmod(unix_ns, 1_000_000_000)
    return ((seconds + NTP_UNIX_OFFSET) << 32) | ((rest << 32) // 1_000_000_000)


def sender_reports(infos: Iterable[SenderInfo], cname: str, unix_ns: int, *, bye: bool = False) -> bytes:
    """A compound packet: a sender report for each SSRC, their common CNAME, and BYE if they end."""
    infos, name, ntp = list(infos), cname.encode(), ntp_time(unix_ns)
    parts = [
        _sender_report(
            0x80, _SENDER_REPORT, 6, info.ssrc, ntp, info.timestamp, info.packets & 0xFFFFFFFF, info.octets & 0xFFFFFFFF
        )
        for info in infos
    ]
    item = name + bytes(4 - (len(name) + 2) % 4)  # the list of items ends with zeros, at 32 bits (RFC 3550 6.5)
    words = (6 + len(item)) // 4
    parts += [_description(0x81, _SOURCE_DESCRIPTION, words, info.ssrc, _CNAME, len(name)) + item for info in infos]
    if bye:
        ssrcs = b"".join(info.ssrc.to_bytes(4, "big") for info in infos)
        parts.append(struct.pack("!BBH", 0x80 | len(infos), _BYE, len(infos)) + ssrcs)
    return b"".join(parts)


def round_trip(report: ReceptionReport, unix_ns: int) -> float | None:
    """Seconds from our report to the viewer and back (RFC 3550 6.4.1).

    ``None`` if the viewer has had no report, or if the time cannot be true, as with a report that was never ours.
    """
    if not report.last_report:
        return None
    ticks = ((ntp_time(unix_ns) >> 16) - report.delay - report.last_report) & 0xFFFFFFFF
    seconds = ticks / 65_536 if ticks < 1 << 31 else 0.0
    return seconds if seconds <= _MAX_ROUND_TRIP else None
