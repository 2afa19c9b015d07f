"""One viewer's session: ICE, DTLS, its senders, and what it reports. No task and no timer of its own.

Life: answered, then ICE nominates a path, then DTLS gives keys, then the senders start; it ends by close_notify, BYE,
hang-up, or when consent expires. The session outlives its camera: while the camera is away nothing is sent.

The handshake goes where its datagrams come from until a path is selected (``egress.wire.ice``), and only as many bytes
as an address may be sent that has proved nothing; the rest of a flight waits for the proof. Media goes to the selected
path.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from common import clock
from common.control import ViewerReport, ViewerState
from common.errors import ProtocolError
from common.media import Kind
from egress.answer import Negotiated
from egress.media.stream import Stream
from egress.path.pace import Pace
from egress.path.quality import PathQuality
from egress.position import Position
from egress.retransmission import BUDGET_INTERVAL
from egress.sender import Sender
from egress.wire import rtcp
from egress.wire.dtls import DtlsServer, Identity
from egress.wire.ice import CONNECT_TIMEOUT, Address, IceAgent, Pair, Path
from egress.wire.way import Carrier, Way

RTCP_INTERVAL = 1.0  # seconds between sender reports
FIRST_RTCP_INTERVAL = 0.1  # seconds between sweeps until the first: lip sync and the round trip depend on it
MAX_FLIGHTS = 3  # of ours in a handshake: there are two
MAX_FEEDBACK = 20  # SRTCP datagrams in BUDGET_INTERVAL: more than a browser sends even when much is lost
MAX_JITTER = 60.0  # seconds: a report can say thirteen hours
MAX_DTLS = 40  # datagrams of DTLS in that time: a handshake has ten, and repetitions
MEDIA_PAUSE = 2.0  # seconds without media after which a viewer is said to wait


class Viewer:
    """One session. Times are monotonic seconds unless named otherwise."""

    def __init__(
        self,
        session: str,
        stream: Stream,
        negotiated: Negotiated,
        identity: Identity,
        *,
        cname: str,
        on_behind: Callable[[Sender], None],
        now: float,
    ) -> None:
        self.session = session
        self.stream = stream
        self.agent = IceAgent(now, negotiated.ice)
        self.senders: dict[int, Sender] = {}  # by SSRC
        self.ended = ""  # why, once it is over
        self.garbage = 0  # SRTCP datagrams that were none …
        self.ignored = 0  # … and beyond MAX_FEEDBACK, with those of DTLS beyond MAX_DTLS
        self.due = now  # when it is to be swept
        self._feedback_budget = MAX_FEEDBACK
        self._dtls_budget = MAX_DTLS
        self._budget_until = 0.0
        self._target: Way | None = None  # the selected path, or before where the handshake comes from
        self._pair: Pair | None = None  # the latter's
        self._shown: set[Address] = set()  # where our part of the handshake was sent
        self._sections = {section.kind: section for section in negotiated.sections}  # all that is kept of the offer
        self._dtls = DtlsServer(identity, negotiated.fingerprints, self._transmit)
        self._cname = cname
        self._on_behind = on_behind
        self._started = time.time()
        self._reports: dict[int, rtcp.ReceptionReport] = {}
        self._round_trip: float | None = None
        self._bandwidth: int | None = None
        self._quality = PathQuality()
        self._pace = Pace(self._quality)
        self._flights: list[float] = []  # when we answered in the handshake, MAX_FLIGHTS times at most
        self._withheld = False  # something of the handshake, until the address has proved more

    @property
    def heard(self) -> bool:
        """Whether a check with this session's password has come."""
        return bool(self.agent.pairs)

    @property
    def connected(self) -> bool:
        """Whether media could be sent to it."""
        return self._dtls.connected and self.agent.selected is not None

    @property
    def octets(self) -> int:
        """Bytes of media that were sent."""
        return sum(sender.lane.octets for sender in self.senders.values())

    @property
    def seen_at(self) -> list[str]:
        """The addresses that it was heard from, that where media goes first."""
        paths = [pair.path for pair in self.agent.pairs.values()]
        return [_printable(path) for path in sorted(paths, key=lambda path: path != self.agent.selected)]

    @property
    def withheld(self) -> int:
        """What was asked for again and not sent, because it was too much."""
        return sum(sender.retransmission.stats.withheld for sender in self.senders.values())

    def target(self, carrier: Carrier, path: Path) -> Way:
        """What answers along ``path``: where everything is sent to, if that is the way it goes."""
        current = self._target
        return current if current is not None and current.path == path else carrier.way(path)

    @property
    def destination(self) -> Way | None:
        """Where media goes, ``None`` before a path is selected."""
        return self._target if self.agent.selected is not None else None

    def selected(self, target: Way, now: float) -> None:
        """Media goes to this path from now on: the viewer wants it there, and has proved that it receives there."""
        target.settle()
        self._aim(target)
        for sender in self.senders.values():
            sender.retarget(target)
        self.proved(target, now)

    def proved(self, target: Way, now: float) -> None:
        """The viewer receives at this path. What was held back of the handshake can go on."""
        if self._withheld and self._target is not None and self._target.path.remote == target.path.remote:
            self._withheld = False
            self._dtls.repeat()
        self._start(now)

    def receive_dtls(self, datagram: bytes, target: Way, now: float, waited: float = 0.0) -> None:
        """A DTLS datagram, perhaps before a path was selected: the answer then goes where it came from.

        It has ``waited`` for us so many seconds, which is no part of the round trip.
        """
        pair = self.agent.pairs.get(target.path.remote)
        self._renew_budgets(now)
        if pair is None or not self._dtls_budget:
            self.ignored += 1
            return
        self._dtls_budget -= 1
        pair.received += len(datagram)
        if self.agent.selected is None:
            self._aim(target)
        connected = self._dtls.connected
        if self._dtls.receive(datagram) and not connected and len(self._flights) < MAX_FLIGHTS:
            self._flights.append(now)
        if self._dtls.over:
            self._end(self._dtls.failure or "closed by the viewer")
        elif self._dtls.connected and not connected:
            if len(self._flights) == 2:  # a third would be a repetition, and no telling which one was answered
                self._quality.measured(now - waited - self._flights[0])
            if self._shown == {target.path.remote}:
                self.agent.shook_hands(pair, now)
                if self.agent.select(pair, now):
                    self.selected(target, now)
            self._start(now)

    def receive_rtcp(self, datagram: bytes, now: float, waited: float = 0.0) -> None:
        """An SRTCP datagram: feedback. What is too much, not authentic, or not RTCP is counted."""
        self._renew_budgets(now)
        if not self._feedback_budget:
            self.ignored += 1
            return
        self._feedback_budget -= 1
        compound = self._dtls.srtp.unprotect_rtcp(datagram) if self._dtls.connected else None
        try:
            events = rtcp.parse(compound) if compound is not None else None
        except ProtocolError:
            events = None
        if events is None:
            self.garbage += 1
            return
        for event in events:
            self._act(event, now, waited)
        for sender in self.senders.values():
            sender.look(now)

    def deaf_until(self, now: float) -> None:
        """What this viewer sent may have been dropped until now, in a flood of others: its silence proves nothing."""
        for sender in self.senders.values():
            sender.deaf_until(now)

    def sweep(self, now: float) -> None:
        """When it is ``due``: retransmissions of the handshake, consent, sender reports."""
        self.due = now + FIRST_RTCP_INTERVAL
        if not self.ended:
            self.ended = self.agent.expired(now)
        if not self._dtls.connected:
            if not self.ended and now - self.agent.created > CONNECT_TIMEOUT:
                self.ended = "DTLS never connected"
            if self._target is not None:
                self._dtls.retransmit(now)
            return
        if not self.ended and self.agent.selected is None and now - self.agent.created > CONNECT_TIMEOUT:
            self.ended = "no address of the viewer answered"
        for sender in self.senders.values():
            sender.look(now)
            if sender.position is Position.UNPLAYABLE:  # only a new offer can help: the page makes one
                self.ended = f"the camera changed to {sender.feed.codec}, which this session cannot carry"
        if self._report():
            self.due = now + RTCP_INTERVAL

    def close(self) -> None:
        """Say goodbye (RTCP BYE, close_notify) and send nothing more."""
        if self._dtls.connected and self._target is not None:
            infos = self._sender_infos(clock.unix_ns())
            if infos:
                self._transmit(
                    self._dtls.srtp.protect_rtcp(rtcp.sender_reports(infos, self._cname, clock.unix_ns(), bye=True))
                )
        for sender in self.senders.values():
            sender.stop()
        self.senders.clear()
        self._dtls.close()

    def report(self, now: float) -> ViewerReport:
        """For the control plane."""
        senders = tuple(self.senders.values())
        video, audio = self._sender(Kind.VIDEO), self._sender(Kind.AUDIO)
        packets = octets = blocked = nacked = retransmitted = plis = lost = 0
        jitter = 0.0
        for sender in senders:  # a loop, for a thousand viewers are reported every second
            again, lane, feed = sender.retransmission.stats, sender.lane, sender.feed
            packets += lane.packets
            octets += lane.octets
            blocked += sender.cursor.blocked
            nacked += again.nacked
            retransmitted += again.retransmitted
            plis += sender.stats.plis
            if reception := self._reports.get(feed.ssrc):
                lost += reception.lost
                jitter = max(jitter, min(reception.jitter / feed.timeline.clock_rate, MAX_JITTER))
        return ViewerReport(
            session=self.session,
            camera=self.stream.camera,
            state=ViewerState.CONNECTED if self._dtls.connected else ViewerState.CONNECTING,
            started=self._started,
            remote=_printable(self._target.path) if self._target else "",
            srtp=self._dtls.srtp.profile.name if self._dtls.connected else "",
            video=self._codec(Kind.VIDEO, video),
            audio=self._codec(Kind.AUDIO, audio),
            waiting=self._waiting(video or audio, now),
            packets=packets,
            bytes=octets,
            dropped=blocked,
            nacked=nacked,
            retransmitted=retransmitted,
            plis=plis,
            lost=max(0, lost),  # RFC 3550 6.4.1: fewer than none where packets came twice
            jitter=jitter,
            round_trip=self._round_trip,
            estimated_bandwidth=int(capacity * 8) if (capacity := self._quality.capacity.estimate) else self._bandwidth,
        )

    def _start(self, now: float) -> None:
        """Send media, if there are keys and there is a path to send it to."""
        target = self.destination
        if target is None or self.senders or not self._dtls.connected or self.ended:
            return
        for section in self._sections.values():
            feed = self.stream.feeds[section.kind]
            sender = self.senders[feed.ssrc] = Sender(
                feed, section, self._dtls.srtp, target, self._pace, self._on_behind
            )
            sender.start(now)

    def _act(self, event: rtcp.Event, now: float, waited: float) -> None:
        match event:
            case rtcp.Nack(ssrc, sequence_numbers) if ssrc in self.senders:
                self.senders[ssrc].retransmit(sequence_numbers, now)
            case rtcp.PictureLoss(ssrc) if ssrc in self.senders:
                self.senders[ssrc].replay(now)
            case rtcp.ReceptionReport(ssrc=ssrc) if ssrc in self.senders:
                self._take_report(event, now, waited)
            case rtcp.Bandwidth(bitrate):
                self._bandwidth = bitrate
            case rtcp.Arrivals(seconds):
                for sender in self.senders.values():
                    if sender.feed.kind is Kind.VIDEO:  # the only one with probes
                        sender.arrived(seconds)
            case rtcp.Bye():
                self._end("closed by the viewer")

    def _end(self, reason: str) -> None:
        self.ended = reason
        self.due = float("-inf")

    def _take_report(self, report: rtcp.ReceptionReport, now: float, waited: float) -> None:
        self._reports[report.ssrc] = report
        self.senders[report.ssrc].confirmed(report.highest & 0xFFFF, now)
        self._quality.lost(report.fraction_lost, now)
        round_trip = rtcp.round_trip(report, clock.unix_ns() - int(waited * 1e9))
        if round_trip is not None:
            self._round_trip = round_trip
            self._quality.measured(round_trip)

    def _report(self) -> bool:
        """Send sender reports, if there is anything to report."""
        unix_ns = clock.unix_ns()
        infos = self._sender_infos(unix_ns)
        if infos:
            self._transmit(self._dtls.srtp.protect_rtcp(rtcp.sender_reports(infos, self._cname, unix_ns)))
        return bool(infos)

    def _sender_infos(self, unix_ns: int) -> list[rtcp.SenderInfo]:
        return [
            rtcp.SenderInfo(ssrc, sender.feed.timeline.at(unix_ns), sender.lane.packets, sender.lane.octets)
            for ssrc, sender in self.senders.items()
            if sender.lane.packets
        ]

    def _sender(self, kind: Kind) -> Sender | None:
        return self.senders.get(self.stream.feeds[kind].ssrc)

    def _codec(self, kind: Kind, sender: Sender | None) -> str:
        if kind not in self._sections:
            return "not negotiated"
        return sender.format.codec if sender is not None and sender.format is not None else ""

    def _waiting(self, sender: Sender | None, now: float) -> str:
        if sender is None:
            return "for the viewer to connect"
        if sender.feed.pushed_at is None or now - sender.feed.pushed_at > MEDIA_PAUSE:
            return "for the camera"
        if sender.position is Position.ON_HOLD:
            return "for the viewer's path, which seems stuck"
        return "for a keyframe" if sender.position is Position.WAITING else ""

    def _renew_budgets(self, now: float) -> None:
        if now >= self._budget_until:
            self._feedback_budget, self._dtls_budget = MAX_FEEDBACK, MAX_DTLS
            self._budget_until = now + BUDGET_INTERVAL

    def _aim(self, target: Way) -> None:
        self._target, self._pair = target, self.agent.pairs[target.path.remote]

    def _transmit(self, datagram: bytes) -> None:
        if self._target is None or self._pair is None:
            return
        if not self._pair.allows(len(datagram)):
            self._withheld = True
            return
        if not self._dtls.connected:
            self._shown.add(self._pair.path.remote)
        self._target.send(datagram)


def _printable(path: Path) -> str:
    host, port = path.remote[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
