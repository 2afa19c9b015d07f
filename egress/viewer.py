"""One viewer's session: ICE, DTLS, its senders, and what it reports. No task and no timer of its own.

Life: answered, then ICE nominates a path, then DTLS gives keys, then the senders start; it ends by close_notify, BYE,
hang-up, or when consent expires. The session outlives its camera: while the camera is away nothing is sent.

How the viewer is reached is told in ``egress.reach``, what it reports in ``egress.feedback``, which streams it is shown
in ``egress.showing``, and how it gets each of them in ``egress.sender``. Here is what joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from common.cameras import NOTHING, CameraName
from common.control import ViewerReport, ViewerState
from common.media import Kind
from common.sessions import SessionName, ice_mark
from egress.feedback import Feedback
from egress.media.stream import Stream
from egress.negotiation import Terms
from egress.path.pace import Pace
from egress.path.quality import PathQuality
from egress.position import Position
from egress.probing import Probing
from egress.reach import Reach, other_end
from egress.sender import Sender
from egress.showing import Renditions, Showing
from egress.totals import total
from egress.wire.dtls import Identity
from egress.wire.ice import CONNECT_TIMEOUT, Credentials
from egress.wire.way import Way

RTCP_INTERVAL = 1.0  # seconds between sender reports
FIRST_RTCP_INTERVAL = 0.1  # seconds between sweeps until the first: lip sync and the round trip depend on it
MEDIA_PAUSE = 2.0  # seconds without media after which a viewer is said to wait


class Viewer:
    """One session. Times are monotonic seconds unless named otherwise."""

    def __init__(
        self,
        session: SessionName,
        camera: CameraName,
        streams: Mapping[Kind, Stream],
        negotiated: Terms,
        identity: Identity,
        *,
        cname: str,
        on_behind: Callable[[Sender], None],
        renditions: Renditions,
        declined: CameraName = NOTHING,
        holder: tuple[str, float | None] = ("", None),
        watched: bool = False,
        now: float,
        started: float,
    ) -> None:
        self.session = session
        self.reach = Reach(identity, negotiated, now)
        self.senders: dict[int, Sender] = {}  # by SSRC
        self.ended = ""  # why, once it is over
        self.due = now  # when it is to be swept
        self.hurry: Callable[[], object] = lambda: None  # called when that is at once
        self.joined_at: float | None = None  # when media could flow for the first time
        self._quality = PathQuality(watched=watched)
        self.feedback = Feedback(self.senders, self._quality)
        self._pace, self.probing = Pace(self._quality), Probing(self.reach.agent, self._quality, self.feedback)
        self.showing = Showing(camera, streams, negotiated.sections, self.senders, renditions, declined)
        self._cname = cname
        self._on_behind = on_behind
        self._started = started  # Unix time
        self._restarts, self._ice = 0, ""  # of its ICE, and the mark of the newest
        self._holder = holder  # by whose right it is, and the Unix time at which that runs out

    @property
    def heard(self) -> bool:
        """Whether a check with this session's password has come."""
        return bool(self.reach.agent.pairs)

    @property
    def octets(self) -> int:
        """Bytes of media that were sent."""
        return sum(sender.lane.octets for sender in self.senders.values())

    @property
    def pictured_at(self) -> float | None:
        """When it had been sent a first whole picture, by monotonic time."""
        sender = self.showing.sender(Kind.VIDEO)
        return sender.pictured_at if sender is not None else None

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
        """Datagrams of DTLS and SRTCP beyond the limit."""
        return self.reach.ignored + self.feedback.ignored

    def selected(self, way: Way, now: float) -> None:
        """Send media this way from now on: the viewer wants it there, and has proved that it receives there."""
        way.settle()
        before = self.reach.way
        if self.senders and before is not None and before.path.remote[0] != way.path.remote[0]:
            self._quality.moved()
            if (round_trip := self.reach.agent.pairs[way.path.remote].round_trip) is not None:
                self._quality.measured(round_trip)
        self._quality.reliable = way.reliable
        self.reach.aim(way)
        for sender in self.senders.values():
            sender.retarget(way, now)
        self.proved(way, now)

    def restart(self, remote: Credentials, now: float) -> bool:
        """Take other ICE credentials of the viewer's (RFC 8445 9); ``False`` if it had too many of late."""
        restarted = self.reach.agent.restart(remote, now)
        if restarted:
            self._restarts += 1
            self._ice = ice_mark(self.session, remote.ufrag)
        return restarted

    def proved(self, way: Way, now: float) -> None:
        """Note that the viewer receives at the end of this way."""
        self.reach.proved(way)
        self._start(now)

    def receive_dtls(self, datagram: bytes, way: Way, *, now: float, waited: float = 0.0) -> None:
        """Take a DTLS datagram that ``waited`` so many seconds. The answer goes back there if no path is selected."""
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

    def receive_rtcp(self, datagram: bytes, *, now: float, unix_ns: int, waited: float = 0.0) -> None:
        """Take feedback, an SRTCP datagram that arrived at ``unix_ns`` and has ``waited`` so many seconds since."""
        dtls = self.reach.dtls
        srtp = dtls.srtp if dtls.connected else None
        self.feedback.receive(datagram, srtp, now=now, unix_ns=unix_ns, waited=waited)
        if self.feedback.bye:
            self._end("closed by the viewer")
        elif self.feedback.alarming:
            self.due = now
            self.hurry()

    def deaf_until(self, now: float) -> None:
        """Make nothing of this viewer's silence until now: its packets may have been dropped in a flood of others."""
        for sender in self.senders.values():
            sender.deaf_until(now)

    def sweep(self, *, now: float, unix_ns: int) -> None:
        """When it is ``due``: retransmissions of the handshake, consent, sender reports."""
        agent, dtls = self.reach.agent, self.reach.dtls
        self.due = now + (FIRST_RTCP_INTERVAL if self.heard else RTCP_INTERVAL)
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
            refused = sender.position is Position.UNPLAYABLE and sender.feed.came_since(self.joined_at)
            if refused and not self.showing.convert(sender, now):
                self._give_up(sender.feed.codec)
        if codec := self.showing.overdue(now):
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
        self.showing.close()
        self.reach.dtls.close()

    def report(self, now: float) -> ViewerReport:
        """The viewer as the control plane is told of it."""
        sent = total(self.senders.values(), self.feedback.reports)
        dtls, way = self.reach.dtls, self.reach.way
        capacity = self._quality.capacity.estimate
        return ViewerReport(
            session=self.session,
            camera=self.showing.camera,
            capacity=int(newest * 8) if (newest := self._quality.capacity.newest(now)) else None,
            declined=self.showing.declined,
            principal=self._holder[0],
            expires=self._holder[1],
            beside=self.showing.beside,
            state=ViewerState.CONNECTED if dtls.connected else ViewerState.CONNECTING,
            started=self._started,
            remote=other_end(way.path) if way is not None else "",
            transport=way.path.transport if way is not None else "",
            ice=self._ice,
            restarts=self._restarts,
            srtp=dtls.srtp.profile.name if dtls.connected else "",
            video=self.showing.codec(Kind.VIDEO),
            audio=self.showing.codec(Kind.AUDIO),
            waiting=_waiting(self.showing.sender(Kind.VIDEO) or self.showing.sender(Kind.AUDIO), now),
            packets=sent.packets,
            bytes=sent.bytes,
            dropped=sent.dropped,
            nacked=sent.nacked,
            retransmitted=sent.retransmitted,
            plis=sent.plis,
            lost=self.feedback.lost(sent.lost),
            jitter=sent.jitter,
            datagram=self._quality.sizes.bound,
            round_trip=self.feedback.round_trip,
            estimated_bandwidth=int(capacity * 8) if capacity else self.feedback.bandwidth,
        )

    def _start(self, now: float) -> None:
        """Send media, if there are keys and there is a path to send it to."""
        way, dtls = self.reach.selected, self.reach.dtls
        if way is None or self.senders or not dtls.connected or self.ended:
            return
        self.joined_at = now
        for section in self.showing.sections:
            feed = self.showing.streams[section.kind].feeds[section.kind]
            sender = self.senders[feed.source.ssrc] = Sender(feed, section, dtls.srtp, way, self._pace, self._on_behind)
            sender.start(now)

    def _give_up(self, codec: str) -> None:
        """Only a new offer can help: the page makes one."""
        self.ended = f"the camera changed to {codec}, which this session cannot carry"

    def _end(self, reason: str) -> None:
        self.ended, self.due = reason, float("-inf")
        self.hurry()

    def _send_reports(self, unix_ns: int, *, bye: bool = False) -> bool:
        """Send sender reports, if there is anything to report."""
        compound = self.feedback.sender_reports(self._cname, unix_ns, bye=bye)
        if compound is not None:
            self.reach.send(self.reach.dtls.srtp.protect_rtcp(compound))
        return compound is not None


def _waiting(sender: Sender | None, now: float) -> str:
    """The thing that a viewer waits for, as people are told; empty if media flows."""
    if sender is None:
        return "for the viewer to connect"
    if sender.feed.pushed_at is None or now - sender.feed.pushed_at > MEDIA_PAUSE:
        return "for the camera"
    if sender.position is Position.ON_HOLD:
        return "for the viewer's path, which seems to be stuck"
    return "for a keyframe" if sender.position is Position.WAITING else ""
