"""A session out of words: the objects of one that another process began, as if they had always been here; pure.

A viewer is ``prepared``, made ``complete``, and begins; nothing is sent before ``begin``. What is private to these
objects is written here and read in ``parting``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from common.cameras import CameraName
from common.errors import ProtocolError
from common.media import Kind, Rendition
from common.sessions import SessionName
from egress.feedback import Feedback
from egress.media.feed import Feed
from egress.media.timeline import Timeline
from egress.negotiation import Section
from egress.path.playout import element
from egress.path.quality import LOSSY_FOR, MOST_PLAYOUT_DELAY
from egress.probing import Probing
from egress.retransmission import RetransmissionStats
from egress.sender import Sender
from egress.showing import Renditions
from egress.succession.parting import Silence
from egress.succession.places import Place
from egress.succession.states import (
    FeedState,
    GenerationState,
    IceState,
    PairState,
    ReceptionState,
    Remote,
    SectionState,
    SenderState,
    SessionState,
    SrtpState,
)
from egress.viewer import Viewer
from egress.wire.certificate import Fingerprint
from egress.wire.dtls import PROFILES, Identity
from egress.wire.ice import Address, Credentials, Generation, IceAgent, Pair, Path, TcpAddress
from egress.wire.rtcp import ReceptionReport
from egress.wire.srtp import MAX_RTP, Srtp
from egress.wire.way import Way

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Kept:
    """See ``egress.negotiation.Terms``."""

    sections: tuple[Section, ...]
    ice: Credentials
    fingerprints: tuple[Fingerprint, ...] = ()


@dataclass(frozen=True, slots=True)
class Here:
    """Everything that sessions are given by the process that goes on with them."""

    identity: Identity
    cname: str
    on_behind: Callable[[Sender], None]
    renditions: Renditions
    resolved: Callable[[], Mapping[str, Sequence[str]]] = dict  # addresses of names that viewers are told


def prepared(state: SessionState, here: Here, now: float) -> Viewer:
    """The viewer, with its senders, as far as media does not change it; for ``complete``, or to be ``discarded``.

    Raises ``ProtocolError`` for a state that none can have.
    """
    sections = tuple(map(_section, state.sections))
    wanted = {each.kind: each for each in state.senders}
    if len(wanted) != len(state.senders) or wanted.keys() != {section.kind for section in sections}:
        raise ProtocolError("a session has one sender for each of its sections")
    agent, srtp = _agent(state.ice, now), _srtp(state.srtp, compiled=here.identity.compiled)
    if not srtp.profile.gcm and any(max(each.following or 0, each.repeats.next) > MAX_RTP for each in state.senders):
        raise ProtocolError("more packets than a session of libsrtp's can go on after")
    streams = {kind: here.renditions.acquire(Rendition(each.rendition)) for kind, each in wanted.items()}
    viewer = Viewer(
        SessionName(state.session),
        CameraName(state.camera),
        streams,
        Kept(sections, agent.remote),
        here.identity,
        cname=here.cname,
        on_behind=here.on_behind,
        renditions=here.renditions,
        declined=CameraName(state.declined),
        holder=(state.principal, state.expires),
        watched=state.watched,
        now=now,
        started=state.started,
    )
    viewer.joined_at, viewer._restarts, viewer._ice = min(state.joined_at, now), state.restarts, state.ice_mark
    viewer.reach.agent = agent
    viewer.reach.dtls.inherit(srtp, state.srtp.flight)
    for section in sections:
        feed = streams[section.kind].feeds[section.kind]
        sender = Sender(feed, section, srtp, Silence(), viewer._pace, here.on_behind)
        sender.cursor.format_changed()
        viewer.senders[feed.source.ssrc] = sender
    return viewer


def complete(
    viewer: Viewer,
    state: SessionState,
    way_along: Callable[[Path], Way | None],
    now: float,
    before: SessionState | None = None,
) -> None:
    """Have what was ``prepared``, by the state ``before`` if not by this one, be as it is now; still nothing is sent.

    ``way_along`` knows the sockets and connections that there are. Raises ``ProtocolError``.
    """
    if before is not None and state.ice is not before.ice:
        viewer.reach.agent = _agent(state.ice, now)
    agent, srtp = viewer.reach.agent, viewer.reach.dtls.srtp
    assert agent.selected is not None, "its state has it"
    if (way := way_along(agent.selected)) is None:
        raise ProtocolError("the session's way is not there")
    if before is not None:
        srtp.go_on_after(state.srtp.sent, state.srtp.heard)
    way.settle()
    viewer.reach.aim(way)
    viewer._quality.watched = state.watched
    _path(viewer, state, way, now)
    viewer.probing = Probing(agent, viewer._quality, viewer.feedback)
    told = {each.kind: each for each in state.senders}
    for ssrc, sender in viewer.senders.items():
        mine = told[sender.feed.kind]
        sender.cursor.retarget(way)
        _number(sender, mine, srtp)
        sender.pictured_at = _past(mine.pictured_at, now)
        _heard(viewer.feedback, ssrc, mine.reception)


def discarded(viewer: Viewer) -> None:
    """Give back what a viewer has that was prepared and is not needed."""
    viewer.senders.clear()
    viewer.showing.close()


def begin(viewer: Viewer, state: SessionState, places: Mapping[tuple[str, Kind], Place | None], now: float) -> None:
    """Go on: where the predecessor stopped, or at a keyframe."""
    of_kind = {each.kind: each for each in state.senders}
    for sender in viewer.senders.values():
        told = of_kind[sender.feed.kind]
        index, first = _place(told, places.get((told.rendition, told.kind)))
        sender.resume(told.following, index, first, now)
        playout = sender.cursor.playout
        playout._seconds, playout._told = told.playout
        if told.playout[0]:
            playout.element = element(sender.cursor.section.playout_delay, min(told.playout[0], MOST_PLAYOUT_DELAY))
    viewer.due = now


def resume_feed(feed: Feed, state: FeedState) -> None:
    """Have a track's timestamps go on; to be called before anything of it comes."""
    feed.know(state.codec, state.profile)
    timeline = feed.timeline = Timeline(state.clock_rate, feed.source.origin)
    timeline._epoch, timeline._offset = state.epoch, state.offset
    timeline.timestamp, timeline.capture_ns = state.timestamp, state.capture_ns


def _place(told: SenderState, place: Place | None) -> tuple[int | None, int]:
    """Our index of its next packet, ``None`` if it is not known, and the first number that can be looked up here."""
    if told.next is None or told.following is None or place is None or told.next < place.oldest:
        return None, 0
    return told.next + place.shift, max(told.first, told.following - (told.next - place.oldest))


def _path(viewer: Viewer, state: SessionState, way: Way, now: float) -> None:
    """Have what is known of its path go on."""
    quality, capacity, feedback = viewer._quality, viewer._quality.capacity, viewer.feedback
    round_trip, lossy_until, rates, seen_at = state.path
    quality.reliable = way.reliable
    quality._round_trip = float("inf") if round_trip is None else round_trip
    quality._lossy_until = NEVER if lossy_until is None else min(lossy_until, now + LOSSY_FOR)
    capacity._rates.extend(rates)
    capacity._newest.extend(rates)
    capacity._at = _at(seen_at, now)
    feedback.round_trip, feedback.bandwidth = state.round_trip, state.bandwidth
    feedback._lost, feedback.garbage, feedback.ignored = state.counts


def _heard(feedback: Feedback, ssrc: int, told: ReceptionState | None) -> None:
    """Have what it reported go on."""
    if told is None:
        return
    feedback.reports[ssrc] = ReceptionReport(
        ssrc, told.fraction_lost, told.lost, told.highest, told.jitter, told.last_report, told.delay
    )
    feedback._reported[ssrc] = told.sent, told.missed


def _number(sender: Sender, told: SenderState, srtp: Srtp) -> None:
    """Have its numbers and counts go on."""
    source, stats, again, repeats = sender.feed.source, sender.stats, sender.retransmission, told.repeats
    srtp.go_on(source.ssrc, told.following or 0)
    srtp.go_on(source.rtx_ssrc, repeats.next)
    sender.lane.count(told.packets, told.octets)
    sender.cursor.blocked, stats.stuck, stats.plis = told.counts
    again._next, again._asked = repeats.next, repeats.asked
    again.stats = RetransmissionStats(repeats.nacked, repeats.missed, repeats.retransmitted, repeats.withheld)


def _agent(state: IceState, now: float) -> IceAgent:
    agent = IceAgent(min(state.created, now), Credentials(state.current.remote_ufrag, state.current.remote_password))
    agent.current = _generation(state.current)
    agent.former = _generation(state.former) if state.former is not None else None
    agent.spent.extend(state.spent)
    for told in state.pairs:
        pair = _pair(told, agent, now)
        agent.pairs[pair.path.remote] = pair
    agent.selected = Path(_remote(state.selected), state.selected_local)
    agent.nominated = _remote(state.nominated) if state.nominated is not None else None
    if len(agent.pairs) != len(state.pairs) or agent.selected.remote not in agent.pairs:
        raise ProtocolError("a pair twice, or none that is selected")
    agent.answers, agent._renewed, agent._tie_breaker = state.answers, state.renewed, state.tie_breaker
    return agent


def _pair(told: PairState, agent: IceAgent, now: float) -> Pair:
    generation: Generation | None = agent.former if told.former else agent.current
    if generation is None or len(told.transaction) not in (0, 12) or len(told.local) not in (0, 4, 16):
        raise ProtocolError("a pair that cannot be")
    pair = Pair(Path(_remote(told.remote), told.local), generation, told.received, told.sent)
    pair.proved_at, pair.checked_at = _at(told.proved_at, now), _at(told.checked_at, now)
    pair.by_handshake, pair.transaction, pair.round_trip = told.by_handshake, told.transaction, told.round_trip
    return pair


def _remote(remote: Remote) -> Address:
    return TcpAddress(*remote) if len(remote) == 3 else remote


def _generation(state: GenerationState) -> Generation:
    return Generation(Credentials(state.remote_ufrag, state.remote_password), state.ufrag, state.password)


def _srtp(state: SrtpState, *, compiled: bool) -> Srtp:
    profile = next((profile for profile in PROFILES if profile.name == state.profile), None)
    if profile is None or {len(state.ours), len(state.theirs)} != {profile.master_size}:
        raise ProtocolError("no SRTP profile of ours, or not its keys")
    return Srtp(profile, state.ours, state.theirs, compiled=compiled, sent=state.sent, heard=state.heard)


def _section(state: SectionState) -> Section:
    return Section(**{name: getattr(state, name) for name in Section.__dataclass_fields__})


def _at(seconds: float | None, now: float) -> float:
    """A moment that has passed; infinitely long ago for never."""
    return NEVER if seconds is None else min(seconds, now)


def _past(seconds: float | None, now: float) -> float | None:
    return None if seconds is None else min(seconds, now)
