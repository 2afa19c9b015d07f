"""A session in words, so that another process can go on with it; pure. It is stopped before, see ``stop``.

What is private to the objects of a session is read here and written in ``resuming``, and nowhere else; a test holds
that nothing of theirs is left out unseen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from common.media import Kind
from egress.feedback import Feedback
from egress.media.stream import Stream
from egress.media.target import Refusal
from egress.negotiation import Section
from egress.position import Position
from egress.retransmission import Retransmission
from egress.sender import Sender
from egress.succession.states import (
    FeedState,
    GenerationState,
    IceState,
    PairState,
    ReceptionState,
    RepeatState,
    SectionState,
    SenderState,
    SessionState,
    SrtpState,
)
from egress.viewer import Viewer
from egress.wire.ice import Generation, IceAgent
from egress.wire.srtp import MAX_RTP, Srtp
from egress.wire.way import Way


def movable(viewer: Viewer) -> bool:
    """Whether another process can go on with it: media flows, or will as soon as there is any."""
    reach = viewer.reach
    if viewer.ended or not reach.ready or reach.selected is None or not viewer.senders:
        return False
    return reach.dtls.srtp.profile.gcm or all(
        max(_following(sender), sender.retransmission._next) < MAX_RTP for sender in viewer.senders.values()
    )


FLOWS = 2.0  # seconds since something came of a track for which its successor is to have it too


class Silence:
    """A ``Target`` that takes nothing: whatever may yet wake up sends nothing of a session that is told."""

    reliable: Final = False
    stalled: Final = True
    taken: Final = 0
    route: Final = None

    def refused(self, code: int, *, segmented: bool) -> Refusal:
        """See ``Target``."""
        return Refusal.FULL

    def send_run(self, datagrams: memoryview, size: int) -> bool:
        """See ``Target``."""
        return False


@dataclass(frozen=True, slots=True)
class Stopped:
    """A viewer that is sent nothing, and its way."""

    viewer: Viewer
    way: Way

    def go_on(self, now: float) -> None:
        """Go on where the session stopped, as nobody took it."""
        self.viewer.reach.way = self.way
        for sender in self.viewer.senders.values():
            cursor = sender.cursor
            cursor.retarget(self.way)
            cursor.feed.add(cursor)
            if cursor.position is Position.BEHIND:
                sender.wake()
            else:
                cursor.begin(now)

    def forget(self) -> None:
        """Forget a session that another process has now: nothing is ever sent of it again, not even goodbye."""
        for sender in self.viewer.senders.values():
            sender.stop()
        self.viewer.senders.clear()
        self.viewer.showing.close()


def stop(viewer: Viewer) -> Stopped:
    """Send nothing more, of media and of anything else."""
    way = viewer.reach.way
    assert way is not None, "it is movable"
    for sender in viewer.senders.values():
        cursor = sender.cursor
        if cursor.position is Position.LIVE:
            cursor.slow_down(cursor.feed.history.end)  # which tells what has left, and what is next
        cursor.feed.discard(cursor)
        cursor.retarget(Silence())
    viewer.reach.way = None
    return Stopped(viewer, way)


def state_of(viewer: Viewer) -> SessionState:
    """The whole session. ``movable`` says whether there is such a state."""
    quality, feedback, capacity = viewer._quality, viewer.feedback, viewer._quality.capacity
    return SessionState(
        session=viewer.session,
        camera=viewer.showing.camera,
        declined=viewer.showing.declined,
        principal=viewer._holder[0],
        expires=viewer._holder[1],
        started=viewer._started,
        joined_at=viewer.joined_at if viewer.joined_at is not None else viewer.reach.agent.created,
        restarts=viewer._restarts,
        ice_mark=viewer._ice,
        ice=_ice(viewer.reach.agent),
        srtp=_srtp(viewer.reach.dtls.srtp, viewer.reach.dtls.flight),
        sections=tuple(map(_section, viewer.showing.sections)),
        senders=tuple(_sender(viewer, sender) for sender in viewer.senders.values()),
        path=(
            _when(quality._round_trip),
            _when(quality._lossy_until),
            tuple(capacity._rates),
            _when(capacity._at),
        ),
        round_trip=feedback.round_trip,
        bandwidth=feedback.bandwidth,
        counts=(feedback._lost, feedback.garbage, viewer.ignored),
        watched=quality.watched,
    )


def feed_state(stream: Stream, kind: Kind, key: bytes, now: float, revision: int = 0) -> FeedState:
    """A track of a stream as it stands."""
    feed = stream.feeds[kind]
    epoch, sequence = stream.incoming.expects(kind)
    timeline = feed.timeline
    return FeedState(
        rendition=stream.rendition,
        kind=kind,
        codec=feed.codec,
        profile=feed.profile,
        clock_rate=timeline.clock_rate,
        epoch=timeline._epoch if timeline._epoch == epoch else None,
        offset=timeline._offset,
        timestamp=timeline.timestamp,
        capture_ns=timeline.capture_ns,
        end=feed.history.end,
        sequence=sequence,
        flows=feed.pushed_at is not None and now - feed.pushed_at < FLOWS,
        key=key,
        revision=revision,
    )


def _following(sender: Sender) -> int:
    return sender.cursor.upto - sender.lane.base


def _sender(viewer: Viewer, sender: Sender) -> SenderState:
    cursor, playout = sender.cursor, sender.cursor.playout
    spans = cursor.numbering._spans
    kind = sender.feed.kind
    return SenderState(
        kind=kind,
        rendition=viewer.showing.streams[kind].rendition,
        following=_following(sender) if spans else None,
        first=spans[-1][0] if spans else 0,
        next=cursor.next if cursor.position is Position.BEHIND else None,
        packets=sender.lane.packets,
        octets=sender.lane.octets,
        pictured_at=sender.pictured_at,
        playout=(playout._seconds, playout._told),
        counts=(cursor.blocked, sender.stats.stuck, sender.stats.plis),
        repeats=_repeats(sender.retransmission),
        reception=_reception(viewer.feedback, sender.feed.source.ssrc),
    )


def _repeats(again: Retransmission) -> RepeatState:
    stats = again.stats
    return RepeatState(
        next=again._next,
        asked=again._asked,
        nacked=stats.nacked,
        missed=stats.missed,
        retransmitted=stats.retransmitted,
        withheld=stats.withheld,
    )


def _reception(feedback: Feedback, ssrc: int) -> ReceptionState | None:
    if (report := feedback.reports.get(ssrc)) is None:
        return None
    sent, missed = feedback._reported.get(ssrc, (0, 0))
    return ReceptionState(
        fraction_lost=report.fraction_lost,
        lost=report.lost,
        highest=report.highest,
        jitter=report.jitter,
        last_report=report.last_report,
        delay=report.delay,
        sent=sent,
        missed=missed,
    )


def _ice(agent: IceAgent) -> IceState:
    assert agent.selected is not None, "it is movable"
    return IceState(
        created=agent.created,
        current=_generation(agent.current),
        former=_generation(agent.former) if agent.former is not None else None,
        spent=tuple(agent.spent),
        pairs=tuple(
            PairState(
                remote=tuple(pair.path.remote),  # type: ignore[arg-type]  # of one of the three lengths
                local=pair.path.local,
                former=pair.generation is agent.former,
                received=pair.received,
                sent=pair.sent,
                proved_at=_when(pair.proved_at),
                by_handshake=pair.by_handshake,
                transaction=pair.transaction,
                checked_at=_when(pair.checked_at),
                round_trip=pair.round_trip,
            )
            for pair in agent.pairs.values()
        ),
        nominated=tuple(agent.nominated) if agent.nominated is not None else None,  # type: ignore[arg-type]  # as above
        selected=tuple(agent.selected.remote),  # type: ignore[arg-type]  # as above
        selected_local=agent.selected.local,
        answers=agent.answers,
        renewed=agent._renewed,
        tie_breaker=agent._tie_breaker,
    )


def _generation(generation: Generation) -> GenerationState:
    remote = generation.remote
    return GenerationState(remote.ufrag, remote.password, generation.ufrag, generation.password)


def _srtp(srtp: Srtp, flight: tuple[bytes, ...]) -> SrtpState:
    sent, heard = (tuple(sorted(indices.items())) for indices in (srtp.sent.indices, srtp.heard))
    return SrtpState(srtp.profile.name, srtp.ours, srtp.theirs, sent, heard, flight)


def _section(section: Section) -> SectionState:
    return SectionState(**{name: getattr(section, name) for name in Section.__dataclass_fields__})


def _when(seconds: float) -> float | None:
    """Without infinity, which stands for never."""
    return seconds if abs(seconds) < float("inf") else None
