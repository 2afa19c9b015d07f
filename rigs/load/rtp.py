"""RTP as a receiver that counts sees it: sequence numbers, gaps in time, keyframes (RFC 3550, RFC 6184)."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field

HEADER = struct.Struct("!BBHII")  # RFC 3550 5.1: V P X CC, M PT, sequence number, timestamp, SSRC
MAX_JUMP = 3_000  # RFC 3550 A.1 MAX_DROPOUT: a larger jump is a new start of the source, not loss
MAX_ARRIVALS = 64  # that are remembered until somebody asks: two seconds of pictures
MAX_MISSING = 512  # sequence numbers remembered as missing; older ones are lost for good


@dataclass(slots=True)
class Stream:
    """Counters of one SSRC's packets.

    The engine's fast path adds to ``packets`` and ``bytes`` and moves ``next`` as long as packets come in order;
    everything else happens in ``disorder`` and ``retransmitted``.
    """

    ssrc: int
    kind: str  # video, audio or rtx
    codec: str
    clock_rate: int  # Hz
    special: bool = False  # every packet needs a look: retransmissions, transport-wide feedback
    next: int = -1  # the 16-bit sequence number that is expected; -1 before the first packet
    packets: int = 0  # everything that arrived, late ones and duplicates included
    bytes: int = 0  # of UDP payload
    frames: int = 0  # packets with the marker bit
    base: int = 0  # extended sequence number of the first packet
    holes: int = 0  # sequence numbers that were skipped
    late: int = 0  # of those, came later after all
    recovered: int = 0  # of those, came by retransmission
    duplicates: int = 0
    restarts: int = 0
    missing: dict[int, int] = field(default_factory=dict)  # 16-bit sequence number: NACKs sent for it
    last_ns: int = 0  # Unix time of the last packet
    arrivals: deque[int] = field(
        default_factory=lambda: deque(maxlen=MAX_ARRIVALS)
    )  # such times, since they were taken
    last_timestamp: int = 0  # RTP timestamp of the last packet
    gap_ns: int = 0  # longest time between two packets
    jitter: float = 0.0  # RFC 3550 6.4.1, in units of the clock; over the first packets of frames
    sample_in: int = 0  # packets until the next one is decrypted
    report_ntp: int = 0  # NTP time of the last sender report, 64 bits
    report_timestamp: int = 0  # RTP time of the same moment
    report_at: float = 0.0  # monotonic time of its arrival, seconds
    expected_before: int = 0  # at our last receiver report
    lost_before: int = 0

    @property
    def expected(self) -> int:
        """Packets there should have been."""
        return self.packets - self.late - self.duplicates + self.holes

    @property
    def lost(self) -> int:
        """Packets that never came, not even late or retransmitted."""
        return self.holes - self.late - self.recovered

    @property
    def highest(self) -> int:
        """Highest extended sequence number (RFC 3550 A.1)."""
        return self.base + self.expected - 1

    def add(self, sequence: int, timestamp: int, size: int, at_ns: int) -> int:
        """Count a packet that the fast path did not; returns how many numbers it skips."""
        holes = self.disorder(sequence) if sequence != self.next else 0
        self.packets += 1
        self.bytes += size
        if self.next == sequence:
            self.next = (sequence + 1) & 0xFFFF
            if self.last_ns:
                self.gap_ns = max(self.gap_ns, at_ns - self.last_ns)
            self.last_ns, self.last_timestamp = at_ns, timestamp
            self.arrivals.append(at_ns)
        return holes

    def disorder(self, first: int) -> int:
        """A packet other than the expected one came; returns how many numbers it skips. Count it afterwards.

        Called before the packet is added to ``packets``; moves ``next`` to ``first`` unless the packet is late, and
        then leaves it alone (``next != first`` tells).
        """
        if self.next < 0:
            self.base = self.next = first
            return 0
        ahead = (first - self.next) & 0xFFFF
        if ahead < MAX_JUMP:
            for number in range(self.next, self.next + ahead):
                self.missing[number & 0xFFFF] = 0
            while len(self.missing) > MAX_MISSING:
                del self.missing[next(iter(self.missing))]
            self.holes += ahead
            self.next = first
            return ahead
        if ahead < 0x10000 - MAX_JUMP:
            self.restarts += 1
            self.missing.clear()
            self.base = (self.base & ~0xFFFF) + ((first - self.expected) & 0xFFFF)
            self.next = first
            return 0
        if self.missing.pop(first, None) is None:
            self.duplicates += 1
        else:
            self.late += 1
        return 0

    def retransmitted(self, sequence: int) -> None:
        """Note a retransmission (RFC 4588) of the packet with this number."""
        if self.missing.pop(sequence, None) is not None:
            self.recovered += 1


def payload_of(packet: bytes) -> bytes:
    """The payload of a decrypted RTP packet: without CSRCs, extension and padding (RFC 3550 5.1, 5.3.1)."""
    start = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    end = len(packet) - (packet[-1] if packet[0] & 0x20 and packet else 0)
    return packet[start:end]


def extensions_of(packet: bytes | memoryview) -> dict[int, bytes]:
    """Header extensions by id, one-byte and two-byte form (RFC 8285 4.2, 4.3); damage ends the walk."""
    at = 12 + 4 * (packet[0] & 0x0F)
    if not packet[0] & 0x10 or len(packet) < at + 4:
        return {}
    profile, words = struct.unpack_from("!HH", packet, at)
    at, end = at + 4, min(at + 4 + 4 * words, len(packet))
    short = profile == 0xBEDE
    found = {}
    while at + (1 if short else 2) <= end:
        number, size, head = (packet[at] >> 4, (packet[at] & 0x0F) + 1, 1) if short else (packet[at], packet[at + 1], 2)
        if packet[at] == 0:  # padding
            at += 1
            continue
        if (short and number == 15) or at + head + size > end:
            break
        found[number] = bytes(packet[at + head : at + head + size])
        at += head + size
    return found


def starts_h264_keyframe(payload: bytes) -> bool:
    """Whether an RTP payload (RFC 6184 5.6, 5.7.1, 5.8) holds an SPS or the start of an IDR slice."""
    if not payload:
        return False
    kind = payload[0] & 0x1F
    if kind == 28 and len(payload) > 1:  # FU-A
        return bool(payload[1] & 0x80) and payload[1] & 0x1F in (5, 7)
    if kind == 24:  # STAP-A
        at = 1
        while at + 2 < len(payload):
            if payload[at + 2] & 0x1F in (5, 7):
                return True
            at += 2 + int.from_bytes(payload[at : at + 2], "big")
        return False
    return kind in (5, 7)
