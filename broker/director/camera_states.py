"""Cameras' states as people are told them, by what workers report and by who converts what browsers do not play; pure.

Whoever changes something of a camera adds its name to ``State.changed``: here it is told then, and only if it is so.
"""

from __future__ import annotations

from collections.abc import Iterable

from broker.director.cameras import least_loaded_ingest
from broker.director.commands import CameraChanged
from broker.director.conversions import NO_WORKER
from broker.director.state import Camera, State
from broker.director.status import CameraStatus
from broker.director.suspects import WHY, Suspects
from common.cameras import MAIN, SUB, CameraName, CameraState, split_stream, stream_of
from common.control import CONVERTERS_FULL
from common.media import CLOCK_RATES, Kind, Track

_How = tuple[CameraState, str, str]
"""State, detail, and the codec of the picture."""


class CameraStates:
    """The director's part for what is told of cameras."""

    def __init__(self, state: State, suspects: Suspects) -> None:
        self._state = state
        self._suspects = suspects
        self._cameras = state.cameras

    def announce(self) -> None:
        """Tell of every camera whose state changed since it was last told of."""
        changed = self._state.changed | {split_stream(id)[0] for id in self._state.changed}
        for id in sorted(changed & self._cameras.keys()):
            camera = self._cameras[id]
            itself, how = self._how(camera)
            current = *how, self._silence(camera), self._for_all(camera, how)
            camera.saw(itself[0], self._state.now)
            if camera.announced != current:
                camera.announced = current
                self._state.command(CameraChanged(id, *current))
        self._state.changed.clear()

    def converters_changed(self) -> None:
        """Tell what can be shown now, or no more: a transcode worker has come or gone."""
        self._state.changed.update(id for id, camera in self._cameras.items() if any(map(_may_need, camera.tracks)))

    def status(self, id: CameraName) -> CameraStatus | None:
        """How a camera is now."""
        camera = self._cameras.get(id)
        if camera is None:
            return None
        itself, how = self._how(camera)
        viewers = len(camera.sessions) + sum(len(other.sessions) for other in self._beside(camera))
        worker = self._state.workers.get(camera.worker) if camera.worker is not None else None
        stream = worker.streams.get(id) if worker else None
        return CameraStatus(
            *(camera.spec, *how, self._silence(camera), camera.tracks, viewers),
            *(camera.worker, stream, itself, len(camera.sessions), self._for_all(camera, how)),
        )

    def _beside(self, camera: Camera) -> Iterable[Camera]:
        """The further streams of the camera whose main stream this is."""
        name, stream = split_stream(camera.spec.id)
        sub = self._cameras.get(stream_of(name, SUB))
        return () if sub is None or stream != MAIN else (sub,)

    def _how(self, camera: Camera) -> tuple[_How, _How]:
        """How the stream is itself, and what people are told. A camera plays if any of its streams does.

        The state of a sub-stream is its own alone.
        """
        itself = self._how_itself(camera)
        if itself[0] is CameraState.PLAYING:
            return itself, itself
        ways = map(self._how_itself, self._beside(camera))
        return itself, next((way for way in ways if way[0] is CameraState.PLAYING), itself)

    def _how_itself(self, camera: Camera) -> _How:
        video = next((track for track in camera.tracks if track.kind is Kind.VIDEO), None)
        state, detail = self._state_of(camera)
        now = self._state.now
        if state is CameraState.PLAYING and video is not None and not video.playable:
            state, detail = CameraState.NO_PICTURE, video.problem  # a viewer hears it and sees nothing
        elif state is CameraState.PLAYING and video is not None and video.convert and not self._state.converts:
            detail = f"{video.convert}, and no transcode worker is running to convert it"
            if video.codec not in CLOCK_RATES:
                state = CameraState.NO_PICTURE
        elif state is CameraState.PLAYING and (problem := camera.unconverted(Kind.VIDEO, now)):
            detail = problem
            if video is not None and (video.convert or video.codec != "H264"):
                state = CameraState.NO_PICTURE
        elif state is CameraState.PLAYING and (problem := camera.unconverted(Kind.AUDIO, now)):
            detail = detail or problem
        return state, detail, video.codec if video is not None else ""

    def _for_all(self, camera: Camera, how: _How) -> bool:
        """Whether a browser that does not take the codec of its picture has one all the same, see ``CameraChanged``."""
        state, _, codec = how
        if self._state.converts or state is not CameraState.PLAYING or codec in ("", "H264"):
            return True
        return any(map(self._may_be_h264, self._beside(camera)))

    def _may_be_h264(self, sub: Camera) -> bool:
        """Whether a stream has a picture that all take; nothing is known of one that was never pulled."""
        state, _, codec = self._how_itself(sub)
        return not state.failed and (codec == "H264" or not sub.tracks)

    def _silence(self, camera: Camera) -> str:
        """Why the sound of a camera that plays is not heard; empty if it is, or there is none."""
        sound = next((track for track in camera.tracks if track.kind is Kind.AUDIO), None)
        if sound is None or self._state_of(camera)[0] is not CameraState.PLAYING:
            return ""
        if sound.problem or (sound.convert and not self._state.converts):
            return f"The sound is not heard: {sound.problem or f'{sound.convert}, and {NO_WORKER}'}."
        if Kind.AUDIO in camera.waiting:
            return f"The sound is not heard yet: {CONVERTERS_FULL}, and it will be converted as soon as one has room."
        problem = camera.unconverted(Kind.AUDIO, self._state.now)
        return f"The sound is not heard: {problem}." if problem else ""

    def _state_of(self, camera: Camera) -> tuple[CameraState, str]:
        if camera.worker is not None:
            stream = self._state.workers[camera.worker].streams.get(camera.spec.id)
            if stream is not None and stream.revision == camera.spec.revision:
                return stream.state, stream.detail
            return CameraState.CONNECTING, ""
        if not camera.needed(self._state.now):
            return CameraState.IDLE, ""
        if self._suspects.suspended(camera.spec.id):
            return CameraState.CONNECTING, WHY
        if self._state.starting or least_loaded_ingest(self._state.workers.values()):
            return CameraState.CONNECTING, ""
        return CameraState.WAITING, ""


def _may_need(track: Track) -> bool:
    """Whether it is converted for some browsers at least."""
    return bool(track.convert) or (track.kind is Kind.VIDEO and track.codec != "H264")
