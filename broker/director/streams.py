"""Which stream of its camera a viewer is shown; pure.

A viewer that asks for a stream gets that, if there is one. One that leaves the choice gets the sub-stream

* where it shows the picture no higher than ``ENLARGED`` times that of the sub-stream, or
* where its path does not carry the main stream: it is too narrow, or much of what was sent is lost, or was left out by
  the page's own port. When ``PATIENCE`` has passed, and the path is ``ROOM`` times as wide as it must be, it gets the
  main stream again; if that fails within ``RELAPSE``, twice as much has to pass the next time.

A stream that fails, or waits because it may be what ended its workers, is shown to nobody while the other plays.
"""

from __future__ import annotations

from collections.abc import Callable

from broker.director.events import StreamWish
from broker.director.state import Camera, Session
from common.cameras import NOTHING, CameraName
from common.control import WEBSOCKET, ViewerReport
from common.media import Kind

ENLARGED = 1.25
ASSUMED_HEIGHT = 360  # pixels, of a sub-stream that was never seen
ROOM = 1.5
PATIENCE, LONGEST_PATIENCE = 10.0, 320.0  # seconds
RELAPSE = 60.0  # seconds
SETTLING = 3.0  # seconds in which a viewer is not judged: the first group of pictures comes in a burst
DECLINES = 2  # reports: the first may have been under way when a move was ordered
LOST = 0.1  # share of packets, or of fragments, lost between two reports that is too much …
JUDGED = 30  # … of so many at least


def choose(
    session: Session, main: Camera, sub: Camera | None, *, now: float, waits: Callable[[CameraName], bool]
) -> CameraName:
    """The stream that the viewer is to be shown now; ``waits`` says of one whether no worker is given it now."""
    if sub is None:
        return main.spec.id
    match session.wish.stream:
        case StreamWish.UNKNOWN:
            small = session.home == sub.spec.id
        case StreamWish.AUTO:
            small = _fits(session, sub) or now < session.thin_until
        case wish:
            small = wish is StreamWish.SUB
    streams = [stream for stream in ((sub, main) if small else (main, sub)) if _may_show(session, stream)]
    playing = (stream for stream in streams if not stream.failed(now) and not waits(stream.spec.id))
    chosen = next(playing, next(iter(streams), None))
    return session.camera if chosen is None else chosen.spec.id


def _may_show(session: Session, stream: Camera) -> bool:
    """Whether the viewer takes what the stream sends, as far as its egress has said."""
    return session.declined != (stream.spec.id, stream.tracks)


def _fits(session: Session, sub: Camera) -> bool:
    """Whether the sub-stream's picture is as large as the viewer shows it."""
    video = next((track for track in sub.tracks if track.kind is Kind.VIDEO), None)
    height = video.height if video is not None and video.height else ASSUMED_HEIGHT
    return 0 < session.wish.height <= ENLARGED * height


def hear(session: Session, report: ViewerReport, main: Camera, sub: Camera | None, *, now: float) -> None:
    """Take in what the viewer's egress says of it."""
    before, session.report = session.report, report
    if before is None or report.declined != before.declined:
        declined = next((each for each in (main, sub) if each and each.spec.id == report.declined), None)
        session.declined = (declined.spec.id, declined.tracks) if declined is not None else (NOTHING, ())
    session.declines = session.declines + 1 if report.declined == session.camera != report.camera else 0
    if session.declines >= DECLINES:
        session.declined = session.camera, (main if session.camera == main.spec.id or sub is None else sub).tracks
    on_main = report.camera == main.spec.id
    if before is None or not before.packets or before.camera != report.camera:
        session.settled_at = now + SETTLING
    needed = main.bitrate if on_main else ROOM * main.bitrate
    narrow = report.capacity is not None and report.capacity < needed
    lossy = before is not None and before.camera == report.camera and _lossy(before, report)
    if on_main and (narrow or lossy) and now >= max(session.thin_until, session.settled_at):
        relapse = now < session.thin_until + RELAPSE
        session.patience = min(2 * session.patience, LONGEST_PATIENCE) if relapse else PATIENCE
        session.thin_until = now + session.patience
    elif narrow and now < session.thin_until:
        session.thin_until = max(session.thin_until, now + PATIENCE)


def _lossy(before: ViewerReport, report: ViewerReport) -> bool:
    sent, lost = report.packets - before.packets, report.lost - before.lost
    if report.transport == before.transport == WEBSOCKET:  # where nothing is lost, and what is late is skipped
        lost = report.dropped - before.dropped
        sent += lost
    return sent >= JUDGED and lost >= LOST * sent
