"""The moves of viewers between the streams of their cameras: a session is of the stream that it is to be shown.

What is wanted is compared with what its egress reports, and ordered until the two agree. The stream that a session
is still shown, or gets sound of, is kept until then (``Camera.leaving``). Which is wanted says ``streams``.

A move costs a group of pictures, and what a viewer wishes it may wish fifty times a second: moves of one session have a
pause between them, which doubles while there is no calm.
"""

from __future__ import annotations

from collections.abc import Iterable

from broker.director import streams
from broker.director.conversions import Conversions
from broker.director.state import Camera, Session, State
from broker.director.suspects import Suspects
from common.cameras import MAIN, SUB, CameraName, split_stream, stream_of
from common.control import ViewerReport
from common.media import Kind

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between two moves of a session
CALM = 10.0  # seconds beyond the pause after which the next is a first one again


class Moves:
    """The director's part for which stream each session is shown."""

    def __init__(self, state: State, conversions: Conversions, suspects: Iterable[Suspects]) -> None:
        self._state = state
        self._suspects = tuple(suspects)
        self._conversions = conversions

    def enter(self, session: Session) -> None:
        """Count the session among those of its stream and of its worker from now on."""
        self._state.changed.add(session.camera)
        self._state.workers[session.node].join(session.id, session.camera)
        self._state.cameras[session.camera].sessions.add(session.id)

    def settle(self) -> None:
        """Show each viewer of a camera with several streams the one that it is to see."""
        cameras = self._state.cameras
        for name in [name for name in cameras if split_stream(name)[1] != MAIN]:
            main, _ = split_stream(name)
            for id in sorted(cameras[name].sessions | cameras[main].sessions):
                self.see_to(self._state.sessions[id])

    def see_to(self, session: Session) -> bool:
        """Order a move if one is due. Whether it was, or the session waits for its answer."""
        if session.pending:
            return True
        chosen, now = self.choose(session), self._state.now
        if chosen == session.camera or now < session.may_move_at:
            return False
        calm = now > session.may_move_at + CALM
        session.move_pause = FIRST_PAUSE if calm else min(2 * session.move_pause, LONGEST_PAUSE)
        session.may_move_at = now + session.move_pause
        self.move_to(session, chosen)
        return True

    def move_to(self, session: Session, camera: CameraName) -> None:
        """Count the session among those of another stream from now on; the one it is still shown is kept until then."""
        before = session.camera
        self.depart(session)
        session.camera = camera
        self.enter(session)
        self._state.cameras[before].leaving.add(session.id)
        self._state.cameras[camera].leaving.discard(session.id)
        if not session.pending:
            self.order(session)

    def hear(self, session: Session, report: ViewerReport) -> None:
        """Take in what a session's egress says of it: which streams it still needs, and how its path is."""
        main, _ = split_stream(session.camera)
        cameras = self._state.cameras
        sub = cameras.get(stream_of(main, SUB))
        for stream in (cameras[main], *filter(None, [sub])):
            beside = report.beside == stream.spec.id and _may_sound(stream)
            if stream.spec.id != session.camera and (report.camera == stream.spec.id or beside):
                stream.leaving.add(session.id)
            else:
                stream.leaving.discard(session.id)
        streams.hear(session, report, cameras[main], sub, now=self._state.now)

    def other(self, session: Session) -> Camera | None:
        """The other stream of its camera, if there is one."""
        main, stream = split_stream(session.camera)
        return self._state.cameras.get(stream_of(main, SUB if stream == MAIN else MAIN))

    def order(self, session: Session) -> None:
        """Tell its egress which stream a session is to be shown, and keep nothing of what was promised before."""
        session.renditions = ()
        self._state.send(session.node, self._conversions.move(session.id, session.camera))

    def choose(self, session: Session) -> CameraName:
        """The stream that a session is to be shown now."""
        camera, _ = split_stream(session.camera)
        cameras = self._state.cameras
        sub = cameras.get(stream_of(camera, SUB))
        return streams.choose(session, cameras[camera], sub, now=self._state.now, waits=self.waits)

    def waits(self, camera: CameraName) -> bool:
        """Whether a stream may be what ended its workers, and is given to none now."""
        return any(suspects.waits(camera, self._state.now) for suspects in self._suspects)

    def depart(self, session: Session) -> None:
        """Count the session no longer among those of its stream."""
        self._state.changed.add(session.camera)
        self._state.workers[session.node].leave(session.id, session.camera)
        camera = self._state.cameras[session.camera]
        camera.sessions.remove(session.id)
        if (other := self.other(session)) is not None:
            other.leaving.discard(session.id)
        if not camera.sessions:
            camera.kept_until = self._state.now + camera.spec.keep_after  # and then the next tick releases it


def _may_sound(stream: Camera) -> bool:
    """Whether there is sound in what a stream sends, as far as is known."""
    return not stream.tracks or any(track.kind is Kind.AUDIO and track.playable for track in stream.tracks)
