"""RTCP that a receiver sends and the little it reads (RFC 3550 6, RFC 4585, transport-wide feedback, REMB)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

SENDER_REPORT, RECEIVER_REPORT, SOURCE_DESCRIPTION = 200, 201, 202
TRANSPORT_FEEDBACK, PAYLOAD_FEEDBACK = 205, 206
NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
TWCC_TICK_US = 250
TWCC_REFERENCE_US = 64_000


@dataclass(frozen=True, slots=True)
class SenderReport:
    """The part of a sender report that maps RTP time to wall clock time."""

    ssrc: int
    ntp: int  # 64 bits
    timestamp: int


@dataclass(frozen=True, slots=True)
class Block:
    """A report block (RFC 3550 6.4.1)."""

    ssrc: int
    fraction_lost: int  # of 256
    lost: int
    highest: int
    jitter: int
    last_report: int  # middle 32 bits of the last sender report's NTP time
    delay: int  # since then, in 1/65536 s


def packets(compound: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Count field, packet type and body of each packet of a compound one; stops at the first damaged one."""
    at = 0
    while at + 4 <= len(compound):
        first, kind, words = struct.unpack_from("!BBH", compound, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > len(compound):
            return
        yield first & 0x1F, kind, compound[at + 4 : end]
        at = end


def sender_reports(compound: bytes) -> list[SenderReport]:
    """All sender reports in a compound packet."""
    found = []
    for _count, kind, body in packets(compound):
        if kind == SENDER_REPORT and len(body) >= 24:
            ssrc, ntp, timestamp = struct.unpack_from("!IQI", body)
            found.append(SenderReport(ssrc, ntp, timestamp))
    return found


def receiver_report(sender: int, blocks: Iterable[Block], cname: str) -> bytes:
    """A receiver report with SDES, as RFC 3550 6.1 wants every compound packet to have."""
    body = struct.pack("!I", sender)
    count = 0
    for count, block in enumerate(blocks, 1):  # noqa: B007  # the count is needed afterwards
        body += struct.pack(
            "!IIIIII",
            block.ssrc,
            block.fraction_lost << 24 | min(max(block.lost, 0), 0x7FFFFF),
            block.highest & 0xFFFFFFFF,
            block.jitter,
            block.last_report,
            block.delay,
        )
    name = cname.encode()
    items = struct.pack("!IBB", sender, 1, len(name)) + name
    items += bytes(4 - len(items) % 4)  # RFC 3550 6.5: at least one zero ends the chunk
    return _packet(RECEIVER_REPORT, count, body) + _packet(SOURCE_DESCRIPTION, 1, items)


def nack(sender: int, media: int, sequences: list[int]) -> bytes:
    """Ask for lost packets again (RFC 4585 6.2.1). ``sequences`` are 16-bit numbers in order."""
    body = struct.pack("!II", sender, media)
    index = 0
    while index < len(sequences):
        first, mask = sequences[index], 0
        index += 1
        while index < len(sequences) and 1 <= (sequences[index] - first) & 0xFFFF <= 16:
            mask |= 1 << (((sequences[index] - first) & 0xFFFF) - 1)
            index += 1
        body += struct.pack("!HH", first, mask)
    return _packet(TRANSPORT_FEEDBACK, 1, body)


def remb(sender: int, bitrate: int, media: list[int]) -> bytes:
    """Receiver estimated maximum bitrate in bit/s (draft-alvestrand-rmcat-remb)."""
    exponent = max(0, bitrate.bit_length() - 18)
    mantissa = bitrate >> exponent
    body = struct.pack("!II4sI", sender, 0, b"REMB", len(media) << 24 | exponent << 18 | mantissa)
    return _packet(PAYLOAD_FEEDBACK, 15, body + b"".join(struct.pack("!I", ssrc) for ssrc in media))


def transport_feedback(sender: int, media: int, arrivals: dict[int, int], number: int) -> bytes:
    """Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).

    ``arrivals``: arrival in microseconds by transport-wide sequence number, within half of its 16-bit space;
    ``number`` counts the feedback packets. Every status is written in two-bit vector chunks.
    """
    first = next(iter(arrivals))
    ordered = {(number - first + 0x8000 & 0xFFFF): at for number, at in arrivals.items()}
    low, high = min(ordered), max(ordered)
    reference = ordered[low] // TWCC_REFERENCE_US
    clock = reference * TWCC_REFERENCE_US
    symbols, deltas = [], b""
    for position in range(low, high + 1):
        at = ordered.get(position)
        if at is None:
            symbols.append(0)
            continue
        ticks = round((at - clock) / TWCC_TICK_US)
        clock += ticks * TWCC_TICK_US
        symbols.append(1 if 0 <= ticks <= 255 else 2)
        deltas += struct.pack("!B", ticks) if symbols[-1] == 1 else struct.pack("!h", max(-32768, min(32767, ticks)))
    chunks = b""
    for at in range(0, len(symbols), 7):
        chunk = 0xC000
        for index, symbol in enumerate(symbols[at : at + 7]):
            chunk |= symbol << (12 - 2 * index)
        chunks += struct.pack("!H", chunk)
    base = (first + low - 0x8000) & 0xFFFF
    body = struct.pack("!IIHH", sender, media, base, len(symbols))
    body += (reference & 0xFFFFFF).to_bytes(3, "big") + bytes([number & 0xFF]) + chunks + deltas
    return _packet(TRANSPORT_FEEDBACK, 15, body + bytes(-len(body) % 4))


def unix_time(ntp: int) -> float:
    """Unix time in seconds of a 64-bit NTP time."""
    return ntp / (1 << 32) - NTP_EPOCH


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body
