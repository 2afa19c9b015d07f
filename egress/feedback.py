"""RTCP with one viewer: its feedback is told to its senders and kept for reports, and ours is put together; pure."""

from __future__ import annotations

from collections.abc import Mapping

from common.bucket import TokenBucket
from common.errors import ProtocolError
from common.media import Kind
from egress.path.quality import PathQuality
from egress.sender import Sender
from egress.wire import rtcp
from egress.wire.srtp import Srtp

FEEDBACK_BURST = 20  # SRTCP datagrams at once: more than a browser sends even when much is lost …
FEEDBACK_RATE = 200.0  # … and a second
# Bytes of them at once and a second: arrivals of a camera of 100 Mb/s, or requests for 250 packets each round trip. The
# largest datagrams take 0.9 ms, so without this bound six viewers would fill a core.
FEEDBACK_BYTES_BURST, FEEDBACK_BYTES_RATE = 64_000, 32_000.0
ALARM = 0.1  # share of packets lost that is more than repeating them can mend
MISSED_ALARM = (
    0.2  # the same of packets asked for again before a report says more: what is overtaken is asked for, too …
)
LEAST_MISSED = 10  # … and so many
FLOODED = 3.0  # seconds since an alarm in which a path is taken not to carry what it is sent
ALARM_INTERVAL = 1.0  # seconds between two that the broker hears of at once: each is a report of all viewers


class Feedback:
    """One viewer's feedback on what its ``senders``, by SSRC, send it. ``now`` is in monotonic seconds."""

    def __init__(self, senders: Mapping[int, Sender], quality: PathQuality) -> None:
        self.reports: dict[int, rtcp.ReceptionReport] = {}  # the newest of each SSRC
        self.round_trip: float | None = None  # seconds
        self.bandwidth: int | None = None  # bit/s, as the viewer estimates it
        self.alarming = False  # much was lost: the broker is to hear of it at once
        self._alarmed_at = self._told_at = float("-inf")
        self._lost = 0  # packets, as it was told last
        self.bye = False  # the viewer says that it leaves
        self.garbage = 0  # SRTCP datagrams that were none …
        self.ignored = 0  # … and too many
        self._reported: dict[int, tuple[int, int]] = {}  # by SSRC: packets sent and missed at its newest report
        self._senders = senders
        self._quality = quality
        self._budget = TokenBucket(FEEDBACK_BURST, FEEDBACK_RATE)
        self._bytes = TokenBucket(FEEDBACK_BYTES_BURST, FEEDBACK_BYTES_RATE)

    def flooded(self, now: float) -> bool:
        """Whether much was lost just now."""
        return now - self._alarmed_at < FLOODED

    @property
    def unreported(self) -> bool:
        """Whether something was sent, and the viewer has never reported that anything of it arrived."""
        return not self.reports and any(sender.lane.packets for sender in self._senders.values())

    def lost(self, reported: int) -> int:
        """Packets that were lost: those that reports count, and those asked for since, if many are. It never falls."""
        missed = sum(map(self._missed, self._senders))
        self._lost = max(self._lost, reported + missed)
        return self._lost

    def receive(self, datagram: bytes, srtp: Srtp | None, *, now: float, unix_ns: int, waited: float = 0.0) -> None:
        """Take an SRTCP datagram that arrived at ``unix_ns``, and ``waited`` for us so many seconds since.

        A datagram that is too much, not authentic or no RTCP is counted.
        """
        if self._bytes.fill(now) < len(datagram) or not self._budget.take(now):
            self.ignored += 1
            return
        self._bytes.spend(len(datagram))
        compound = srtp.unprotect_rtcp(datagram) if srtp is not None else None
        try:
            events = rtcp.parse(compound) if compound is not None else None
        except ProtocolError:
            events = None
        if events is None:
            self.garbage += 1
            return
        for event in events:
            self._act(event, now, unix_ns, waited)
        for event in events:  # what is asked for beside a report is counted in it
            if isinstance(event, rtcp.ReceptionReport) and (reported := self._senders.get(event.ssrc)) is not None:
                self._reported[event.ssrc] = reported.lane.packets, reported.retransmission.stats.missed
        for sender in self._senders.values():
            sender.look(now)

    def sender_reports(self, cname: str, unix_ns: int, *, bye: bool = False) -> bytes | None:
        """A compound packet on what was sent until ``unix_ns``; ``None`` if that is nothing."""
        infos = [
            rtcp.SenderInfo(ssrc, sender.feed.timeline.at(unix_ns), sender.lane.packets, sender.lane.octets)
            for ssrc, sender in self._senders.items()
            if sender.lane.packets and sender.feed.pushed_at is not None
        ]
        return rtcp.sender_reports(infos, cname, unix_ns, bye=bye) if infos else None

    def _act(self, event: rtcp.Event, now: float, unix_ns: int, waited: float) -> None:
        senders = self._senders
        match event:
            case rtcp.Nack(ssrc, sequence_numbers) if ssrc in senders:
                before = self._missed(ssrc)
                senders[ssrc].retransmit(sequence_numbers, now)
                if not before and self._missed(ssrc):
                    self._alarm(now)
            case rtcp.PictureLoss(ssrc) if ssrc in senders:
                senders[ssrc].replay(now)
            case rtcp.ReceptionReport(ssrc=ssrc) if ssrc in senders:
                self._take_report(event, now, unix_ns, waited)
            case rtcp.Bandwidth(bitrate):
                self.bandwidth = bitrate
            case rtcp.Arrivals(seconds):
                for sender in senders.values():
                    if sender.feed.kind is Kind.VIDEO and sender.arrived(seconds, now):  # the only one with probes
                        self._tell(now)
            case rtcp.Bye():
                self.bye = True

    def _take_report(self, report: rtcp.ReceptionReport, now: float, unix_ns: int, waited: float) -> None:
        self.reports[report.ssrc] = report
        self._senders[report.ssrc].confirmed(report.highest & 0xFFFF, now, waited)
        self._quality.lost(report.fraction_lost, now)
        if report.fraction_lost >= ALARM:
            self._alarm(now)
        round_trip = rtcp.round_trip(report, unix_ns)
        if round_trip is not None:
            self.round_trip = round_trip
            self._quality.measured(round_trip)

    def _alarm(self, now: float) -> None:
        self._alarmed_at = now
        self._tell(now)

    def _tell(self, now: float) -> None:
        if now - self._told_at >= ALARM_INTERVAL:
            self.alarming, self._told_at = True, now

    def _missed(self, ssrc: int) -> int:
        """Packets that were asked for again since the newest report; 0 where they are no more than some."""
        sender, (sent, missed) = self._senders[ssrc], self._reported.get(ssrc, (0, 0))
        sent, missed = sender.lane.packets - sent, sender.retransmission.stats.missed - missed
        return missed if missed >= max(MISSED_ALARM * sent, LEAST_MISSED) else 0
