"""The fate of each viewer: counted and measured for reports, and told in the log by a line when it joins and leaves.

A viewer is looked at by the sweep, so what it has reached is seen up to a second later; the times are exact all the
same, because the viewer itself notes them. A session's secret name is a right, and stands in no line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from common.control import MAX_WAYS, Handshake, Measured, Tried, ViewerReport
from common.histogram import Histogram, Measure
from common.log import Quiet
from common.media import Kind
from common.sessions import SessionName, public_name
from egress.reach import described
from egress.viewer import Viewer

_SENT = {
    "sent_packets": attrgetter("packets"),
    "sent_bytes": attrgetter("bytes"),
    "sends_blocked": attrgetter("dropped"),
    "repeats_asked": attrgetter("nacked"),
    "repeats_sent": attrgetter("retransmitted"),
    "pictures_asked": attrgetter("plis"),
    "viewer_packets_lost": attrgetter("lost"),
}
"""Counters of a process, and the field of each viewer's report that they add up."""


_HANDSHAKES = {Handshake.NONE: "none came", Handshake.BEGUN: "not completed", Handshake.DONE: "completed"}


class Journal:
    """All viewers of a process, from ``begin`` to ``end``. ``now`` is in monotonic seconds."""

    def __init__(self, quiet: Quiet) -> None:
        self._quiet = quiet
        self._counters: Counter[str] = Counter()  # of what happened, and of what viewers that left were sent
        self._connect = Histogram(Measure.CONNECT)
        self._first_picture = Histogram(Measure.FIRST_PICTURE)
        self._unjoined: set[SessionName] = set()
        self._unseen: set[SessionName] = set()  # those that wait for a first picture

    @property
    def measured(self) -> tuple[Measured, ...]:
        """The times until viewers joined, and until they were sent a picture."""
        return self._connect.measured, self._first_picture.measured

    def counters(self, viewers: Iterable[Viewer], reports: Collection[ViewerReport]) -> Counter[str]:
        """The counters of all viewers that there ever were; ``reports`` are of those that are there."""
        total = self._counters.copy()
        for viewer in viewers:
            _count_dropped(viewer, total)
        _count_sent(reports, total)
        return total

    def measure(self, *, connect: float | None = None, first_picture: float | None = None) -> None:
        """Seconds from the answer until a viewer joined that is told of elsewhere, or until it was sent a picture."""
        if connect is not None:
            self._connect.add(connect)
        if first_picture is not None:
            self._first_picture.add(first_picture)

    def begin(self, viewer: Viewer) -> None:
        """Note a viewer that was answered."""
        self._counters["viewers_answered"] += 1
        self._unjoined.add(viewer.session)
        if Kind.VIDEO in viewer.showing.streams:
            self._unseen.add(viewer.session)
        self._quiet.info("viewer answered", **_names(viewer))

    def inherit(self, viewer: Viewer, now: float) -> None:
        """Go on with a viewer that another process had, and that counted what was before: so it is not counted here."""
        before: Counter[str] = Counter()
        _count_dropped(viewer, before)
        _count_sent((viewer.report(now),), before)
        self._counters.subtract(before)
        if Kind.VIDEO in viewer.showing.streams and viewer.pictured_at is None:
            self._unseen.add(viewer.session)

    def look(self, viewer: Viewer) -> None:
        """See how far a viewer has come since the last look."""
        session, answered_at = viewer.session, viewer.reach.agent.created
        if session in self._unjoined and viewer.joined_at is not None:
            self._unjoined.discard(session)
            self._counters["viewers_joined"] += 1
            self._connect.add(viewer.joined_at - answered_at)
            self._quiet.info("viewer joined", **_names(viewer), **_way(viewer, viewer.joined_at))
        if session in self._unseen and viewer.pictured_at is not None:
            self._unseen.discard(session)
            self._first_picture.add(viewer.pictured_at - answered_at)

    def end(self, viewer: Viewer, reason: str, offered: Sequence[str], now: float) -> None:
        """Note a viewer that leaves, or never came. ``offered`` are our addresses and ports that it was told."""
        self.look(viewer)
        report = viewer.report(now)
        _count_dropped(viewer, self._counters)
        _count_sent((report,), self._counters)
        seconds = round(now - viewer.reach.agent.created, 1)
        if viewer.session not in self._unjoined:
            self._counters["viewers_left"] += 1
            self._quiet.info(
                "viewer left", **_names(viewer), reason=reason, seconds=seconds, **_quality(viewer, report)
            )
        else:
            self._counters["viewers_never_joined"] += 1
            self._quiet.info(
                "viewer never connected", **_names(viewer), reason=reason, seconds=seconds, **_tried(viewer, offered)
            )
        self._unjoined.discard(viewer.session)
        self._unseen.discard(viewer.session)


def _names(viewer: Viewer) -> Mapping[str, Any]:
    return {"session": public_name(viewer.session), "camera": viewer.showing.camera}


def _way(viewer: Viewer, joined_at: float) -> Mapping[str, Any]:
    """The way that media goes, and what went before it."""
    reach = viewer.reach
    return {
        "remote": reach.seen_at[0] if reach.seen_at else "",
        "way": reach.transport,
        "srtp": reach.dtls.srtp.profile.name if reach.dtls.connected else "",
        "seconds": round(joined_at - reach.agent.created, 3),
    }


def _quality(viewer: Viewer, report: ViewerReport) -> Mapping[str, Any]:
    """How it was, as far as it can be told from here: whether the picture froze is known to the player alone."""
    picture = viewer.pictured_at
    return {
        "remote": report.remote,
        "way": viewer.reach.transport,
        "video": report.video,
        "audio": report.audio,
        "first_picture": None if picture is None else round(picture - viewer.reach.agent.created, 3),
        "sent_packets": report.packets,
        "sent_bytes": report.bytes,
        "lost": report.lost,
        "nacked": report.nacked,
        "retransmitted": report.retransmitted,
        "plis": report.plis,
        "blocked": report.dropped,
        "stuck": viewer.stuck,
        "round_trip": None if report.round_trip is None else round(report.round_trip, 4),
        "jitter": round(report.jitter, 4),
    }


def tried_by(viewer: Viewer, offered: Sequence[str]) -> Tried | None:
    """How far a viewer came that was offered these addresses and ports of ours; ``None`` for one that has joined."""
    if viewer.joined_at is not None:
        return None
    reach = viewer.reach
    proved = [described(pair.path) for pair in reach.agent.pairs.values() if pair.proved_at > float("-inf")]
    handshake = Handshake.DONE if reach.dtls.connected else Handshake.BEGUN if reach.dtls.heard else Handshake.NONE
    ours, heard, answered = (tuple(each[:MAX_WAYS]) for each in (offered, reach.seen_at, proved))
    return Tried(ours, heard, answered, handshake)


def _tried(viewer: Viewer, offered: Sequence[str]) -> Mapping[str, Any]:
    """The ways that were tried, for the log."""
    tried = tried_by(viewer, offered)
    assert tried is not None, "it never joined"
    if not tried.heard_from:
        return {
            "tried_from": "nowhere: no check arrived; is a port open on the way, for UDP or TCP?",
            "offered": offered,
        }
    handshake = _HANDSHAKES[tried.handshake]
    return {
        "tried_from": list(tried.heard_from),
        "offered": offered,
        "answered_at": list(tried.answered_at),
        "handshake": handshake,
    }


def _count_dropped(viewer: Viewer, counters: Counter[str]) -> None:
    """Add what was dropped of what the viewer sent, and of what it was to be sent."""
    counters["rtcp_garbage"] += viewer.feedback.garbage
    counters["rtcp_ignored"] += viewer.ignored
    counters["repeats_withheld"] += viewer.withheld
    counters["paths_stuck"] += viewer.stuck


def _count_sent(reports: Collection[ViewerReport], counters: Counter[str]) -> None:
    for name, field in _SENT.items():  # field by field: of a thousand viewers it takes 0.2 ms, every second
        counters[name] += sum(map(field, reports))
