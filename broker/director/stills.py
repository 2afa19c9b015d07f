"""Which transcode worker draws which still, for people who ask for one picture of a camera.

A still waits until its stream plays and a worker has room, and then for that worker's answer: it is given to no second
one, since what its keyframe holds may be what killed the first. A stream whose stills have killed workers gets none for
a while, the longer the more there were. A camera on demand is pulled for a still.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from broker.director.commands import StillRefused, StillTaken
from broker.director.events import Wish
from broker.director.moves import Moves
from broker.director.state import Camera, Session, State, Worker
from common.cameras import CameraName, CameraState
from common.control import NodeName, Role, Snapshot, SnapshotFailed, SnapshotTaken
from common.media import Kind
from common.sessions import SessionName

MOST_EACH = 8  # stills that a worker has at once; the others wait
SUSPENSION = 30.0  # seconds without stills after one has killed its worker; doubled with each further one …
FORGIVEN_AFTER = 600.0  # … unless so many seconds lie between
WITHIN = 10.0  # seconds for a camera to be reached, a keyframe to come, and a picture to be drawn

_NO_WORKER = "no_converter", "Stills need a transcode worker, and none is running (transcode.workers)."
_TIMEOUT = "still_timeout", f"No picture came within {WITHIN:.0f} s; try again."
_DIED = "still_failed", "The transcode worker that was making the picture died; try again in a moment."
_SUSPENDED = (
    "still_failed",
    "The last picture of this camera killed the worker that was making it; try later.",
)


@dataclass(slots=True)
class _Still:
    camera: CameraName  # or rather its stream
    height: int
    deadline: float
    node: NodeName | None = None  # the one that draws it


class Stills:
    """The director's part for stills."""

    def __init__(self, state: State, moves: Moves) -> None:
        self._state = state
        self._moves = moves
        self._wanted: dict[str, _Still] = {}
        self._suspected: dict[CameraName, tuple[int, float]] = {}  # deaths in a row, and until when there is none

    def want(self, request: str, camera: CameraName, wish: Wish) -> None:
        """Have a still of a camera drawn for somebody who asks."""
        if camera not in self._state.cameras:
            self._state.command(StillRefused(request, 404, "unknown_camera", f"There is no camera {camera!r}."))
            return
        name = self._moves.choose(Session(SessionName(request), camera, NodeName(""), wish=wish))
        chosen = self._state.cameras[name]
        chosen.kept_until = max(chosen.kept_until, self._state.now + max(WITHIN, chosen.spec.keep_after))
        self._wanted[request] = _Still(name, wish.height, self._state.now + WITHIN)

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for one."""
        return bool(self._wanted)

    def give_up(self, request: str) -> None:
        """Forget a still that nobody waits for any more."""
        self._wanted.pop(request, None)

    def settle(self) -> None:
        """Have drawn what can be, and refuse what cannot."""
        for request, still in list(self._wanted.items()):
            if still.node is None:
                self._see_to(request, still)
            if self._state.now >= still.deadline:
                self._refuse(request, 503, *_TIMEOUT)

    def taken(self, node: NodeName, taken: SnapshotTaken) -> None:
        """Pass on a still that a worker has drawn."""
        if self._is_for(node, taken.request):
            del self._wanted[taken.request]
            self._state.command(StillTaken(taken.request, taken.jpeg, taken.captured))

    def failed(self, node: NodeName, failed: SnapshotFailed) -> None:
        """Refuse a still that a worker could not draw."""
        if self._is_for(node, failed.request):
            self._refuse(failed.request, 503, "still_failed", f"There is no picture: {failed.reason}.")

    def draws(self, node: NodeName) -> bool:
        """Whether a worker is drawing one now."""
        return any(still.node == node for still in self._wanted.values())

    def undelivered(self, node: NodeName, request: str) -> None:
        """Ask another worker, as the order did not reach this one."""
        if self._is_for(node, request):
            self._wanted[request].node = None

    def bury(self, worker: Worker, *, stopped: bool) -> None:
        """Refuse a dead worker's stills; unless it was ``stopped`` in good order, one of them may be why."""
        now = self._state.now
        for request, still in list(self._wanted.items()):
            if still.node != worker.node:
                continue
            if not stopped:
                deaths, until = self._suspected.get(still.camera, (0, 0.0))
                deaths = deaths + 1 if now < until + FORGIVEN_AFTER else 1
                self._suspected[still.camera] = deaths, now + SUSPENSION * 2 ** min(deaths - 1, 6)
            self._refuse(request, 503, *_DIED)

    def _is_for(self, node: NodeName, request: str) -> bool:
        still = self._wanted.get(request)
        return still is not None and still.node == node

    def _see_to(self, request: str, still: _Still) -> None:
        camera = self._state.cameras.get(still.camera)
        workers = [worker for worker in self._state.workers.values() if worker.takes(Role.TRANSCODE)]
        if camera is None:
            self._refuse(request, 404, "unknown_camera", f"Camera {still.camera!r} no longer exists.")
        elif not self._state.converts and not self._state.starting:
            self._refuse(request, 503, *_NO_WORKER)
        elif self._state.now < self._suspected.get(still.camera, (0, 0.0))[1]:
            self._refuse(request, 503, *_SUSPENDED)
        elif camera.failing:
            self._refuse(request, 503, "camera_failed", "The camera sends no picture right now; its state says why.")
        elif workers and self._plays(camera):
            video = next((track for track in camera.tracks if track.kind is Kind.VIDEO and track.playable), None)
            if video is None:
                self._refuse(request, 503, "no_picture", "The camera has no picture that can be shown.")
                return
            given = Counter(each.node for each in self._wanted.values())
            worker = min(workers, key=lambda each: (given[each.node], each.busy, each.node))
            if given[worker.node] >= MOST_EACH:
                return
            still.node = worker.node
            order = Snapshot(request, still.camera, video, still.height, revision=camera.spec.revision)
            self._state.send(worker.node, order)

    def _plays(self, camera: Camera) -> bool:
        worker = self._state.workers.get(camera.worker) if camera.worker is not None else None
        stream = worker.streams.get(camera.spec.id) if worker is not None else None
        return stream is not None and stream.state is CameraState.PLAYING and bool(camera.tracks)

    def _refuse(self, request: str, status: int, code: str, message: str) -> None:
        if self._wanted.pop(request, None) is not None:
            self._state.command(StillRefused(request, status, code, message))
