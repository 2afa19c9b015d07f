"""RTCP (RFC 3550 section 6): sender reports read, receiver reports written; no I/O.

What cannot be understood is passed over: cameras leave out the end of an SDES, append bytes, and invent types.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

MAX_PACKETS = 32  # of one compound packet that are looked at; cameras send two to four
REPORT_INTERVAL = 5.0  # seconds between receiver reports: RFC 3550 6.2, and what keeps NATs open

_SENDER_REPORT, _RECEIVER_REPORT, _SOURCE_DESCRIPTION, _GOODBYE = 200, 201, 202, 203
_CNAME = 1
_NTP_EPOCH_NS = 2_208_988_800 * 10**9  # 1900 to 1970

_HEADER = Struct("!BBH")
_SENDER_INFO = Struct("!IQI")
_REPORT_BLOCK = Struct("!IIIIII")


@dataclass(frozen=True, slots=True)
class SenderReport:
    """The camera's clock at one RTP timestamp (RFC 3550 6.4.1)."""

    ssrc: int
    ntp: int  # 64 bits: seconds since 1900 and their fraction
    rtp_timestamp: int

    @property
    def ntp_ns(self) -> int:
        """Unix time in nanoseconds, of 1968 to 2104: the seconds wrap in 2036 (RFC 5905 6)."""
        seconds = self.ntp >> 32
        if seconds < 1 << 31:
            seconds += 1 << 32
        return seconds * 10**9 + ((self.ntp & 0xFFFFFFFF) * 10**9 >> 32) - _NTP_EPOCH_NS


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The sources that say they end (RFC 3550 6.6)."""

    ssrcs: tuple[int, ...]


def parse(packet: bytes) -> list[SenderReport | Goodbye]:
    """The sender reports and goodbyes of a compound packet."""
    found: list[SenderReport | Goodbye] = []
    at = 0
    for _ in range(MAX_PACKETS):
        if at + _HEADER.size > len(packet):
            break
        first, kind, words = _HEADER.unpack_from(packet, at)
        if first >> 6 != 2:
            break
        body, at = at + _HEADER.size, at + 4 * (words + 1)
        if kind == _SENDER_REPORT and body + _SENDER_INFO.size <= len(packet):
            found.append(SenderReport(*_SENDER_INFO.unpack_from(packet, body)))
        elif kind == _GOODBYE:
            end = min(body + 4 * (first & 0x1F), at, len(packet))
            words_there = range(body, end - 3, 4)
            found.append(Goodbye(tuple(int.from_bytes(packet[start : start + 4]) for start in words_there)))
    return found


class Reception:
    """A receiver report's content on one source (RFC 3550 6.4.1, A.3, A.8); others before it had so many packets."""

    def __init__(self, clock_rate: int, received: int = 0, lost: int = 0) -> None:
        self._clock_rate = clock_rate
        self._lost_before = lost
        self._transit = 0
        self._jitter = 0.0  # in units of the RTP timestamp
        self._first = True
        self._expected_prior, self._lost_prior = received + lost, lost
        self._last_report: tuple[SenderReport, int] | None = None

    @property
    def jitter(self) -> float:
        """Interarrival jitter in seconds."""
        return self._jitter / self._clock_rate

    def arrived(self, rtp_timestamp: int, arrival_ns: int) -> None:
        """Note a packet (A.8), once a timestamp: what follows in the same burst says nothing about the path."""
        transit = arrival_ns * self._clock_rate // 10**9 - rtp_timestamp & 0xFFFFFFFF
        change = transit - self._transit & 0xFFFFFFFF
        self._transit = transit
        if self._first:
            self._first = False
            return
        self._jitter += (min(change, (1 << 32) - change) - self._jitter) / 16

    def paused(self) -> None:
        """Forget the last arrival, as packets were not looked at since: from it to the next says nothing."""
        self._first = True

    def reported(self, report: SenderReport, arrival_ns: int) -> None:
        """Take a sender report."""
        self._last_report = report, arrival_ns

    def block(self, ssrc: int, highest: int, received: int, lost: int, now_ns: int) -> bytes:
        """The report block; ``highest`` is extended, ``received`` and ``lost`` are those of all sources together."""
        expected = received + lost
        interval, lost_now = expected - self._expected_prior, lost - self._lost_prior
        self._expected_prior, self._lost_prior = expected, lost
        fraction = min((lost_now << 8) // interval, 255) if interval > 0 else 0
        middle = delay = 0
        if self._last_report is not None:
            report, arrival_ns = self._last_report
            middle = report.ntp >> 16 & 0xFFFFFFFF
            delay = min(max(now_ns - arrival_ns, 0) * 65_536 // 10**9, 0xFFFFFFFF)
        cumulative = min(lost - self._lost_before, 0x7FFFFF)
        jitter = min(int(self._jitter), 0xFFFFFFFF)
        return _REPORT_BLOCK.pack(ssrc, fraction << 24 | cumulative, highest & 0xFFFFFFFF, jitter, middle, delay)


def receiver_report(ssrc: int, cname: str, blocks: list[bytes]) -> bytes:
    """A compound packet of a receiver report and the source description that has to go with it (RFC 3550 6.1)."""
    report = _HEADER.pack(0x80 | len(blocks), _RECEIVER_REPORT, 1 + 6 * len(blocks)) + ssrc.to_bytes(4)
    name = cname.encode()[:255]
    item = bytes((_CNAME, len(name))) + name
    chunk = ssrc.to_bytes(4) + item + bytes(4 - len(item) % 4)  # 6.5: ends in one to four zeros
    description = _HEADER.pack(0x81, _SOURCE_DESCRIPTION, len(chunk) // 4) + chunk
    return b"".join((report, *blocks, description))
