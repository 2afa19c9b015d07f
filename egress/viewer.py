"""One viewer's session: ICE, DTLS, its senders, and what it reports. No task and no timer of its own.

Life: answered, then ICE nominates a path, then DTLS gives keys, then the senders start; it ends by close_notify, BYE,
hang-up, or when consent expires. The session outlives its camera: while the camera is away nothing is sent.

How the viewer is reached is told in ``egress.reach``, what it reports in ``egress.feedback``, and what it gets in
``egress.sender``. Here is what joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from common.cameras import NOTHING, CameraName
from common.control import ViewerReport, ViewerState
from common.media import Kind, Rendition, converted
from common.sessions import SessionName
from egress.feedback import Feedback
from egress.handover import Handover, Renditions
from egress.media.stream import Stream
from egress.negotiation import Negotiated, Section
from egress.path.pace import Pace
from egress.path.quality import PathQuality
from egress.position import Position
from egress.reach import Reach, printable
from egress.sender import Sender
from egress.wire.dtls import Identity
from egress.wire.ice import CONNECT_TIMEOUT
from egress.wire.way import Way

RTCP_INTERVAL = 1.0  # seconds between sender reports
FIRST_RTCP_INTERVAL = 0.1  # seconds between sweeps until the first: lip sync and the round trip depend on it
MAX_JITTER = 60.0  # seconds: a report can say thirteen hours
CONVERTED_WITHIN = 5.0  # seconds for the first of what a converter is to make for a session that goes on with it
MEDIA_PAUSE = 2.0  # seconds without media after which a viewer is said to wait


class Viewer:
    """One session. Times are monotonic seconds unless named otherwise."""

    def __init__(
        self,
        session: SessionName,
        camera: CameraName,
        streams: Mapping[Kind, Stream],
        negotiated: Negotiated,
        identity: Identity,
        *,
        cname: str,
        on_behind: Callable[[Sender], None],
        renditions: Renditions,
        declined: CameraName = NOTHING,
        now: float,
        started: float,
    ) -> None:
        self.session = session
        self.camera = camera  # or rather its stream that is sent
        self.streams = dict(streams)
        self.reach = Reach(identity, negotiated, now)
        self.senders: dict[int, Sender] = {}  # by SSRC
        self.ended = ""  # why, once it is over
        self.due = now  # when it is to be swept
        self._quality = PathQuality()
        self.feedback = Feedback(self.senders, self._quality)
        self._pace = Pace(self._quality)
        self._sections = {section.kind: section for section in negotiated.sections}  # all that is kept of the offer
        self._cname = cname
        self._on_behind = on_behind
        self._renditions = renditions
        self._handovers: dict[Kind, Handover] = {}
        self._going = camera  # where it is moved
        self._declined = declined
        self._unplayable: dict[Kind, tuple[str, float]] = {}  # codecs that it goes on without, and since when
        self._started = started  # Unix time

    @property
    def heard(self) -> bool:
        """Whether a check with this session's password has come."""
        return bool(self.reach.agent.pairs)

    @property
    def octets(self) -> int:
        """Bytes of media that were sent."""
        return sum(sender.lane.octets for sender in self.senders.values())

    @property
    def withheld(self) -> int:
        """Packets and groups of pictures that were asked for again and not sent, because it was too much."""
        return sum(sender.retransmission.stats.withheld for sender in self.senders.values())

    @property
    def stuck(self) -> int:
        """How often its path was left alone, as nothing arrived."""
        return sum(sender.stats.stuck for sender in self.senders.values())

    @property
    def ignored(self) -> int:
        """Datagrams of DTLS and SRTCP that were too many."""
        return self.reach.ignored + self.feedback.ignored

    def selected(self, way: Way, now: float) -> None:
        """Media goes this way from now on: the viewer wants it there, and has proved that it receives there."""
        way.settle()
        self.reach.aim(way)
        for sender in self.senders.values():
            sender.retarget(way)
        self.proved(way, now)

    def proved(self, way: Way, now: float) -> None:
        """The viewer receives at the end of this way."""
        self.reach.proved(way)
        self._start(now)

    def receive_dtls(self, datagram: bytes, way: Way, *, now: float, waited: float = 0.0) -> None:
        """A DTLS datagram, perhaps before a path was selected: the answer then goes where it came from.

        It has ``waited`` for us so many seconds.
        """
        dtls = self.reach.dtls
        before = dtls.connected
        proved = self.reach.receive(datagram, way, now, waited)
        if dtls.over:
            self._end(dtls.failure or "closed by the viewer")
        elif dtls.connected and not before:
            if self.reach.round_trip is not None:
                self._quality.measured(self.reach.round_trip)
            if proved:
                self.selected(way, now)
            self._start(now)

    def receive_rtcp(self, datagram: bytes, *, now: float, unix_ns: int) -> None:
        """An SRTCP datagram, which arrived at ``unix_ns``: feedback."""
        dtls = self.reach.dtls
        self.feedback.receive(datagram, dtls.srtp if dtls.connected else None, now=now, unix_ns=unix_ns)
        if self.feedback.bye:
            self._end("closed by the viewer")
        elif self.feedback.alarming:
            self.due = now

    def move(self, camera: CameraName, renditions: Mapping[Kind, Rendition], now: float) -> None:
        """Show another stream of the camera: of each kind that rendition, from the cached or the next keyframe on.

        Until then everything stays as it is. Sound follows the picture, and stays what it is where there is no other.
        Without anything to lead, or if the session takes nothing of what comes, the move is declined: reports say so.
        """
        wanted = {kind: renditions[kind] for kind in self.streams if kind in renditions}
        pending = {kind: handover.stream.rendition for kind, handover in self._handovers.items()}
        if camera == self._going and pending.items() <= wanted.items():
            return
        self._stay()
        self._declined = NOTHING
        if self._lead not in wanted:
            self._declined = camera
            return
        self._going = camera
        for kind, rendition in wanted.items():
            if self.streams[kind].rendition != rendition:
                self._handovers[kind] = Handover(kind, self._renditions.acquire(rendition), self._hand_over)
        if self._lead not in self._handovers:
            self.camera = camera
        if not self.senders:  # nothing was sent that could stay
            for handover in tuple(self._handovers.values()):
                self._complete(handover)
        elif (lead := self._handovers.get(self._lead)) is not None and lead.feed.fresh(now):
            self._hand_over(lead, None)
            if (sender := self._sender(self._lead)) is not None:
                sender.cursor.begin(now)

    @property
    def sections(self) -> Iterable[Section]:
        """Its sections of media."""
        return self._sections.values()

    def deaf_until(self, now: float) -> None:
        """Make nothing of this viewer's silence until now: its packets may have been dropped in a flood of others."""
        for sender in self.senders.values():
            sender.deaf_until(now)

    def sweep(self, *, now: float, unix_ns: int) -> None:
        """When it is ``due``: retransmissions of the handshake, consent, sender reports."""
        agent, dtls = self.reach.agent, self.reach.dtls
        self.due = now + FIRST_RTCP_INTERVAL
        if not self.ended:
            self.ended = agent.expired(now)
        if not dtls.connected:
            if not self.ended and now - agent.created > CONNECT_TIMEOUT:
                self.ended = "DTLS never connected"
            if self.reach.way is not None:
                dtls.retransmit(now)
            return
        if not self.ended and agent.selected is None and now - agent.created > CONNECT_TIMEOUT:
            self.ended = "no address of the viewer answered"
        for sender in self.senders.values():
            sender.look(now)
            if sender.position is Position.UNPLAYABLE:
                self._convert(sender, now)
        for kind, (codec, since) in tuple(self._unplayable.items()):
            if self.streams[kind].feeds[kind].codec:
                del self._unplayable[kind]
            elif now - since > CONVERTED_WITHIN:
                self._give_up(codec)
        if self._send_reports(unix_ns):
            self.due = now + RTCP_INTERVAL

    def close(self, *, unix_ns: int) -> None:
        """Say goodbye (RTCP BYE, close_notify), send nothing more, and give back what was sent."""
        if self.reach.dtls.connected:
            self._send_reports(unix_ns, bye=True)
        for sender in self.senders.values():
            sender.stop()
        self.senders.clear()
        self._stay()
        self._renditions.release(*self.streams.values())
        self.reach.dtls.close()

    def report(self, now: float) -> ViewerReport:
        """The viewer as the control plane is told of it."""
        senders = tuple(self.senders.values())
        video, audio = self._sender(Kind.VIDEO), self._sender(Kind.AUDIO)
        dtls, way, reports = self.reach.dtls, self.reach.way, self.feedback.reports
        capacity = self._quality.capacity.estimate
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
            if reception := reports.get(feed.source.ssrc):
                lost += reception.lost
                jitter = max(jitter, min(reception.jitter / feed.timeline.clock_rate, MAX_JITTER))
        return ViewerReport(
            session=self.session,
            camera=self.camera,
            capacity=int(newest * 8) if (newest := self._quality.capacity.newest(now)) else None,
            declined=self._declined,
            beside=next((each.camera for each in self.streams.values() if each.camera != self.camera), ""),
            state=ViewerState.CONNECTED if dtls.connected else ViewerState.CONNECTING,
            started=self._started,
            remote=printable(way.path) if way is not None else "",
            srtp=dtls.srtp.profile.name if dtls.connected else "",
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
            round_trip=self.feedback.round_trip,
            estimated_bandwidth=int(capacity * 8) if capacity else self.feedback.bandwidth,
        )

    def _start(self, now: float) -> None:
        """Send media, if there are keys and there is a path to send it to."""
        way, dtls = self.reach.selected, self.reach.dtls
        if way is None or self.senders or not dtls.connected or self.ended:
            return
        for section in self._sections.values():
            feed = self.streams[section.kind].feeds[section.kind]
            sender = self.senders[feed.source.ssrc] = Sender(feed, section, dtls.srtp, way, self._pace, self._on_behind)
            sender.start(now)

    def _convert(self, sender: Sender, now: float) -> None:
        """The camera sends what the session does not take: go on with what a converter makes of it."""
        kind, codec = sender.feed.kind, sender.feed.codec
        wanted = converted(self.streams[kind].camera, kind)
        if not self._sections[kind].convertible or self.streams[kind].rendition == wanted:
            self._give_up(codec)
            return
        self._change(kind, self._renditions.acquire(wanted))
        self._unplayable[kind] = codec, now
        sender.cursor.begin(now)

    @property
    def _lead(self) -> Kind:
        """The kind that the others follow."""
        return Kind.VIDEO if Kind.VIDEO in self.streams else Kind.AUDIO

    def _hand_over(self, handover: Handover, index: int | None) -> None:
        """Something that is to be shown can begin in its feed, at ``index`` if that is what comes next."""
        kind, feed = handover.kind, handover.feed
        if kind is not self._lead and self._lead in self._handovers:
            return  # the picture comes first
        section, instead = self._sections[kind], converted(self._going, kind)
        if section.choose(feed.codec, feed.profile) is not None:
            self._complete(handover)
            if (sender := self._sender(kind)) is not None and index is not None:
                sender.cursor.may_start(index)
            return
        self._drop(handover)
        if section.convertible and handover.stream.rendition != instead:
            self._handovers[kind] = Handover(kind, self._renditions.acquire(instead), self._hand_over)
        elif kind is self._lead:
            self._declined = self._going
            self._stay()

    def _complete(self, handover: Handover) -> None:
        """From here on the viewer gets what it was to get of that kind."""
        handover.end()
        del self._handovers[handover.kind]
        if handover.kind is self._lead:
            self.camera = self._going
        self._change(handover.kind, handover.stream)

    def _drop(self, handover: Handover) -> None:
        handover.end()
        del self._handovers[handover.kind]
        self._renditions.release(handover.stream)

    def _change(self, kind: Kind, stream: Stream) -> None:
        """Get that kind from another stream, which was acquired."""
        sender = self._sender(kind)
        before, self.streams[kind] = self.streams[kind], stream
        self._unplayable.pop(kind, None)
        if sender is not None:
            sender.change_feed(stream.feeds[kind])
        self._renditions.release(before)

    def _give_up(self, codec: str) -> None:
        """Only a new offer can help: the page makes one."""
        self.ended = f"the camera changed to {codec}, which this session cannot carry"

    def _stay(self) -> None:
        """Give up a move, as far as it has not happened yet."""
        for handover in tuple(self._handovers.values()):
            self._drop(handover)
        self._going = self.camera

    def _end(self, reason: str) -> None:
        self.ended = reason
        self.due = float("-inf")

    def _send_reports(self, unix_ns: int, *, bye: bool = False) -> bool:
        """Send sender reports, if there is anything to report."""
        compound = self.feedback.sender_reports(self._cname, unix_ns, bye=bye)
        if compound is not None:
            self.reach.send(self.reach.dtls.srtp.protect_rtcp(compound))
        return compound is not None

    def _sender(self, kind: Kind) -> Sender | None:
        stream = self.streams.get(kind)
        return self.senders.get(stream.feeds[kind].source.ssrc) if stream is not None else None

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
