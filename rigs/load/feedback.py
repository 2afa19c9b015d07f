"""A viewer's feedback to the server: receiver reports, NACKs, REMB, transport-wide feedback. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from rigs.load import rtcp
from rigs.load.rtp import Stream, extensions_of

NACK_ATTEMPTS = 10  # as Chromium does


@dataclass(slots=True)
class Feedback:
    """Feedback of one viewer; it looks into the viewer's streams when a report is due."""

    ssrc: int
    cname: str
    streams: dict[int, Stream]
    remb: int = 0  # bit/s that is reported as estimate; 0: none
    twcc_id: int = 0  # of the header extension, where both sides want transport-wide feedback
    capture_delays: list[float] = field(default_factory=list)  # seconds, by sender reports
    _arrivals: dict[int, int] = field(default_factory=dict)  # of transport-wide sequence numbers, in microseconds
    _count: int = 0  # of transport-wide feedback

    def collect(self, packet: bytes, at_ns: int) -> None:
        """Remember a packet's transport-wide sequence number for the next report."""
        value = extensions_of(packet).get(self.twcc_id)
        if value is not None and len(value) == 2:
            self._arrivals[int.from_bytes(value, "big")] = at_ns // 1000

    def report(self, now: float) -> bytes:
        """The compound packet that is due; measures how old the last packets are, too."""
        blocks = []
        for stream in self.streams.values():
            if stream.kind != "rtx" and stream.packets:
                blocks.append(_block(stream, now))
                self._measure_delay(stream)
        compound = rtcp.receiver_report(self.ssrc, blocks, self.cname)
        video = [stream.ssrc for stream in self.streams.values() if stream.kind == "video"]
        if self.remb and video:
            compound += rtcp.remb(self.ssrc, self.remb, video)
        if self._arrivals and video:
            compound += rtcp.transport_feedback(self.ssrc, video[0], self._arrivals, self._count)
            self._arrivals.clear()
            self._count += 1
        return compound

    def nack(self, stream: Stream, numbers: list[int]) -> bytes:
        """Ask for these packets again; empty if it was asked for all of them often enough."""
        wanted = [number for number in numbers if stream.missing[number] < NACK_ATTEMPTS]
        for number in wanted:
            stream.missing[number] += 1
        if not wanted:
            return b""
        return rtcp.receiver_report(self.ssrc, [], self.cname) + rtcp.nack(self.ssrc, stream.ssrc, wanted)

    def _measure_delay(self, stream: Stream) -> None:
        """Capture to arrival of the last packet, by the server's sender report (RFC 3550 6.4.1)."""
        if stream.kind == "video" and stream.report_at:
            ticks = (stream.last_timestamp - stream.report_timestamp + (1 << 31) & 0xFFFFFFFF) - (1 << 31)
            captured = rtcp.unix_time(stream.report_ntp) + ticks / stream.clock_rate
            self.capture_delays.append(stream.last_ns / 1e9 - captured)


def _block(stream: Stream, now: float) -> rtcp.Block:
    expected, lost = stream.expected - stream.expected_before, stream.lost - stream.lost_before
    stream.expected_before, stream.lost_before = stream.expected, stream.lost
    fraction = min(255, max(0, lost * 256 // expected)) if expected > 0 else 0
    last, delay = 0, 0
    if stream.report_at:
        last, delay = stream.report_ntp >> 16 & 0xFFFFFFFF, int((now - stream.report_at) * 65_536)
    return rtcp.Block(stream.ssrc, fraction, stream.lost, stream.highest, int(stream.jitter), last, delay)
