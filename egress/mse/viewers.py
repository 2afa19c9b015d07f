"""All viewers by Media Source Extensions of a process, and the reels that they share.

They are told apart from WebRTC's viewers by the codecs that their offers name, and count as viewers like those.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from common import clock
from common.control import WEBSOCKET, Move, Offer, ViewerReport
from common.log import Quiet
from common.media import Kind, Rendition
from common.sessions import SessionName, public_name
from egress.media.stream import Stream
from egress.media.streams import Streams
from egress.mse.choice import KNOWN, check_renditions, renditions_for
from egress.mse.clock import BEFORE_START
from egress.mse.departures import Departures
from egress.mse.reel import Reel
from egress.mse.viewer import MseViewer


class SharedReels:
    """The reels of a process: each is there for as long as it has a viewer."""

    def __init__(self, streams: Streams, now: Callable[[], float]) -> None:
        self._streams = streams
        self._now = now
        self.origin_ns = clock.unix_ns() - int(BEFORE_START * 1e9)
        self._reels: dict[tuple[Rendition, Kind], Reel] = {}
        self._users: Counter[Reel] = Counter()

    def acquire(self, stream: Stream, kind: Kind) -> Reel:
        """See ``egress.mse.places.Reels``."""
        key = stream.rendition, kind
        reel = self._reels.get(key)
        if reel is None:
            reel = self._reels[key] = Reel(stream, kind, self.origin_ns)
            reel.open(self._now())
        self._users[reel] += 1
        return reel

    def release(self, reel: Reel) -> None:
        """See ``egress.mse.places.Reels``."""
        self._users[reel] -= 1
        if not self._users[reel]:
            del self._users[reel], self._reels[reel.stream.rendition, reel.kind]
            reel.close()
        self._streams.release(reel.stream)


class MseViewers:
    """``on_ended`` is told of a session that ended by itself, and why, ``measure`` how long viewers waited."""

    def __init__(
        self,
        streams: Streams,
        quiet: Quiet,
        now: Callable[[], float],
        on_ended: Callable[[SessionName, str], object],
        measure: Callable[..., None],
    ) -> None:
        self._streams = streams
        self._reels = SharedReels(streams, now)
        self._quiet = quiet
        self._now = now
        self._on_ended = on_ended
        self._measure = measure
        self._viewers: dict[SessionName, MseViewer] = {}
        self._leaving: set[MseViewer] = set()
        self._departures = Departures(self._let_go)
        self._counters: Counter[str] = Counter()  # of what happened, and of what viewers that left were sent

    def __len__(self) -> int:
        return len(self._viewers)

    def __contains__(self, session: SessionName) -> bool:
        return session in self._viewers

    def get(self, session: SessionName) -> MseViewer | None:
        """The viewer of a session that has no connection yet."""
        viewer = self._viewers.get(session)
        return viewer if viewer is not None and viewer.joined_at is None else None

    def accept(self, offer: Offer) -> tuple[Rendition, ...]:
        """Make the viewer; returns the renditions that it is promised. Raises ``RequestError``."""
        takes = frozenset(offer.takes) & KNOWN
        renditions = renditions_for(takes, offer.camera, offer.tracks, offer.convertible)
        check_renditions(renditions, takes, offer.tracks, offer.unconverted)
        streams = {kind: self._streams.acquire(rendition) for kind, rendition in renditions.items()}
        viewer = MseViewer(
            offer.session,
            offer.camera,
            streams,
            takes,
            self._reels,
            holder=(offer.principal, offer.expires),
            now=self._now(),
            started=time.time(),
        )
        self._viewers[offer.session] = viewer
        self._counters["viewers_answered"] += 1
        self._quiet.info("viewer answered", **_names(viewer), way=WEBSOCKET)
        return tuple(renditions.values())

    def joined(self, viewer: MseViewer) -> None:
        """Note a viewer whose connection was handed over."""
        self._counters["viewers_joined"] += 1
        self._measure(connect=self._now() - viewer.created)
        self._quiet.info("viewer joined", **_names(viewer), way=WEBSOCKET, remote=viewer.remote)

    def move(self, message: Move) -> bool:
        """Show a viewer another stream; ``False`` if it is none of these."""
        viewer = self._viewers.get(message.session)
        if viewer is None:
            return False
        renditions = renditions_for(viewer.takes, message.camera, message.tracks, message.convertible)
        streams = {kind: self._streams.acquire(rendition) for kind, rendition in renditions.items()}
        viewer.places.move(message.camera, streams)
        return True

    def hang_up(self, session: SessionName, reason: str = "hung up") -> bool:
        """End a viewer's session; ``False`` if it is none of these."""
        viewer = self._viewers.pop(session, None)
        if viewer is None:
            return False
        report = viewer.report(self._now())
        viewer.close(reason)
        self._counters.update(_sent([report]))
        joined = viewer.joined_at is not None
        self._counters["viewers_left" if joined else "viewers_never_joined"] += 1
        self._quiet.info(
            "viewer left" if joined else "viewer never connected",
            **_names(viewer),
            way=WEBSOCKET,
            reason=viewer.ended,
            remote=viewer.remote,
            seconds=round(self._now() - viewer.created, 1),
            video=report.video,
            audio=report.audio,
            sent_packets=report.packets,
            sent_bytes=report.bytes,
            blocked=report.dropped,
        )
        return True

    def look(self, viewer: MseViewer) -> None:
        """Let it go if it has ended, at once or in one of the loop's next turns."""
        if viewer.ended and self._viewers.get(viewer.session) is viewer and viewer not in self._leaving:
            self._leaving.add(viewer)
            self._departures.see_off(viewer)

    def sweep(self, now: float) -> None:
        """To be called some times a second."""
        for viewer in tuple(self._viewers.values()):
            if viewer.due <= now:
                before = viewer.pictured_at
                viewer.sweep(now)
                if before is None and viewer.pictured_at is not None:
                    self._measure(first_picture=viewer.pictured_at - viewer.created)
            self.look(viewer)

    def _let_go(self, viewer: MseViewer) -> None:
        self._leaving.discard(viewer)
        if self._viewers.get(viewer.session) is viewer:  # else the broker has hung up meanwhile
            self.hang_up(viewer.session)
            self._on_ended(viewer.session, viewer.ended)

    def reports(self, now: float) -> tuple[ViewerReport, ...]:
        """Each viewer as the control plane is told of it."""
        return tuple(viewer.report(now) for viewer in self._viewers.values())

    def counters(self, reports: Collection[ViewerReport]) -> Counter[str]:
        """The counters of all that there ever were; ``reports`` are of those that are there."""
        return self._counters + _sent(reports)

    def close(self) -> None:
        """End all viewers, as the process stops."""
        for session in tuple(self._viewers):
            self.hang_up(session, "this process stops")


def _names(viewer: MseViewer) -> dict[str, Any]:
    return {"session": public_name(viewer.session), "camera": viewer.places.camera}


def _sent(reports: Collection[ViewerReport]) -> Counter[str]:
    return Counter(
        sent_packets=sum(report.packets for report in reports),
        sent_bytes=sum(report.bytes for report in reports),
        sends_blocked=sum(report.dropped for report in reports),
    )
