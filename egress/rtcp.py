"""RTCP towards and from viewers (RFC 3550 6, RFC 4585): compound packets out, feedback in; pure.

Parsing is aiortc's; this module turns it into the few events that a viewer acts on.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aiortc import rtp

from common.errors import ProtocolError

NTP_UNIX_OFFSET = 2_208_988_800  # seconds from 1900 to 1970
_CNAME = 1  # SDES item, RFC 3550 6.5.1
_TRANSPORT_CC = 15  # feedback message type
_MAX_STATUSES = 2_000  # packets that one compound may tell the arrival of: more is not feedback but an attack
_MAX_NACKS = 64  # entries of 17 packets each
_SMALL_DELTA, _LARGE_DELTA = 1, 2  # packet statuses


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """What a sender report says of one SSRC."""

    ssrc: int
    timestamp: int  # RTP time of the report's moment
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class Nack:
    """Generic NACK: send these sequence numbers again."""

    ssrc: int
    sequence_numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PictureLoss:
    """PLI or FIR: the viewer needs something that it can start decoding with."""

    ssrc: int


@dataclass(frozen=True, slots=True)
class ReceptionReport:
    """How one SSRC arrives at the viewer."""

    ssrc: int
    fraction_lost: float  # since the report before, 0..1
    lost: int  # since the start
    highest: int  # extended sequence number of the newest packet that came
    jitter: int  # RTP timestamp units
    last_report: int  # middle 32 bits of the NTP time of our report, 0: none yet
    delay: int  # 1/65536 s since that report


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Receiver estimated maximum bitrate (REMB), in bit/s."""

    bitrate: int


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Transport-wide feedback: when packets arrived, on a clock of the viewer's own."""

    seconds: dict[int, float]  # by transport-wide sequence number


@dataclass(frozen=True, slots=True)
class Bye:
    """The viewer leaves."""


Event = Nack | PictureLoss | ReceptionReport | Bandwidth | Arrivals | Bye


def parse(compound: bytes) -> list[Event]:
    """Events of a compound packet, unknown types skipped. Raises ``ProtocolError``."""
    try:
        feedback, others = _split(compound)
        events = [event for packet in rtp.RtcpPacket.parse(others) for event in _events(packet)]
        return events + [_arrivals(body) for body in feedback]
    except (ValueError, IndexError, struct.error) as exc:
        raise ProtocolError(f"not RTCP: {exc}") from None


def _events(packet: rtp.AnyRtcpPacket) -> Iterator[Event]:
    if isinstance(packet, rtp.RtcpRrPacket | rtp.RtcpSrPacket):
        for report in packet.reports:
            fraction = report.fraction_lost / 256
            yield ReceptionReport(
                report.ssrc,
                fraction,
                report.packets_lost,
                report.highest_sequence,
                report.jitter,
                report.lsr,
                report.dlsr,
            )
    elif isinstance(packet, rtp.RtcpRtpfbPacket):
        if packet.fmt == rtp.RTCP_RTPFB_NACK:  # aiortc parses every RTPFB as if it were a NACK
            yield Nack(packet.media_ssrc, tuple(number & 0xFFFF for number in packet.lost))
    elif isinstance(packet, rtp.RtcpPsfbPacket):
        if packet.fmt == rtp.RTCP_PSFB_PLI:
            yield PictureLoss(packet.media_ssrc)
        elif packet.fmt == rtp.RTCP_PSFB_FIR:  # RFC 5104 4.3.1: the SSRCs are in the FCI
            for at in range(0, len(packet.fci) - 7, 8):
                yield PictureLoss(int.from_bytes(packet.fci[at : at + 4], "big"))
        elif packet.fmt == rtp.RTCP_PSFB_APP and packet.fci[:4] == b"REMB":
            yield Bandwidth(rtp.unpack_remb_fci(packet.fci)[0])
    elif isinstance(packet, rtp.RtcpByePacket):
        yield Bye()


def _split(compound: bytes) -> tuple[list[bytes], bytes]:
    """Bodies of the transport-wide feedback packets, which aiortc would parse as NACKs, and all other packets."""
    feedback, others = [], b""
    at = statuses = 0
    while at < len(compound):
        end = at + 4 + 4 * int.from_bytes(compound[at + 2 : at + 4], "big")
        if end > len(compound):
            raise ValueError("a packet is longer than what came")
        packet, at = compound[at:end], end
        if packet[1] != rtp.RTCP_RTPFB:
            others += packet
        elif packet[0] & 0x1F == _TRANSPORT_CC:
            feedback.append(packet[12:])
            statuses += int.from_bytes(packet[14:16], "big")
        elif len(packet) <= 12 + 4 * _MAX_NACKS:
            others += packet
    if statuses > _MAX_STATUSES:
        raise ValueError(f"feedback on {statuses} packets")
    return feedback, others


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
    infos = list(infos)
    ntp = ntp_time(unix_ns)
    parts: list[rtp.AnyRtcpPacket] = [
        rtp.RtcpSrPacket(
            info.ssrc,
            rtp.RtcpSenderInfo(ntp, info.timestamp, info.packets & 0xFFFFFFFF, info.octets & 0xFFFFFFFF),
        )
        for info in infos
    ]
    # One chunk a packet: aiortc pads only the last chunk of an SDES, and each has to end on 32 bits (RFC 3550 6.5).
    parts += [rtp.RtcpSdesPacket([rtp.RtcpSourceInfo(info.ssrc, [(_CNAME, cname.encode())])]) for info in infos]
    if bye:
        parts.append(rtp.RtcpByePacket([info.ssrc for info in infos]))
    return b"".join(map(bytes, parts))


def round_trip(report: ReceptionReport, unix_ns: int) -> float | None:
    """Seconds from our report to the viewer and back (RFC 3550 6.4.1), ``None`` if the viewer has had no report."""
    if not report.last_report:
        return None
    ticks = ((ntp_time(unix_ns) >> 16) - report.delay - report.last_report) & 0xFFFFFFFF
    return ticks / 65_536 if ticks < 1 << 31 else 0.0
