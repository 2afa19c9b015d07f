"""The ingest worker that pulls each camera, and its way from one to another.

A camera is free, given to one worker, or moving from that to a successor, and no method but those named here moves it:

======  =======================================================================  ======  =============================
from    when                                                                     to      by
======  =======================================================================  ======  =============================
free    it is needed, workers have gathered, and none is expected back with it   given   ``settle_one``, least loaded
free    a worker reports it that may keep it (``trusting``, or had it before)    given   ``_adopt``
given   its worker drains while another takes cameras                            moving  ``_move_away``
given   another has clearly fewer (``broker.director.shares``)                   moving  ``move``
moving  it was for that, and it does not arrive, or serves one session alone     given   ``stay``
given   its worker drains, and nobody takes it or it serves one session alone    free    ``_move_away``
moving  the successor has a keyframe of it, or sees that it serves one session   given   ``_arrive``
moving  either of its workers is dead: the other one has it                      given   ``bury``
moving  the successor drains as well                                             given   ``_move_away``
given   it is not needed any more, or is no longer wanted                        free    ``_release``
moving  it is not needed any more, or is no longer wanted                        free    ``_release``
given   its worker is dead                                                       free    ``bury``
======  =======================================================================  ======  =============================

Otherwise it stays with its worker until that dies, leaves or drains: so the first are given away only when the workers
that start together are there (``State.gathering``). One that moves is pulled by both, so that no picture is missing:
egresses go over at the successor's keyframe, whose epoch is the newer one. A camera that serves no second session is
taken from the one before it is given to the other: by its setting, or once it was seen to refuse. One that may be what
ends its workers waits before it is given again (``broker.director.suspects``).

What a worker reports is compared with what it should have, and the difference is sent: an ``Assign`` or ``Release``
that was lost is sent again at the next report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from broker.director.commands import CameraRemoved, RememberTracks, RememberWorker
from broker.director.state import GRACE, Camera, State, Worker
from broker.director.suspects import Shown, Suspects, more_than_one
from common.cameras import MAIN, SUB, CameraName, CameraSpec, CameraState, split_stream, stream_of
from common.control import Assign, NodeName, Release, Role, StreamReport
from common.media import Kind, Track


def least_loaded_ingest(workers: Iterable[Worker]) -> Worker | None:
    """The ingest worker that gets the next camera."""
    return min((w for w in workers if w.takes(Role.INGEST)), key=lambda w: (w.busy, w.node), default=None)


class Cameras:
    """The director's part for cameras. ``tracks`` and ``last_workers`` are remembered from an earlier broker."""

    def __init__(
        self,
        state: State,
        specs: Mapping[CameraName, CameraSpec],
        tracks: Mapping[CameraName, tuple[Track, ...]],
        last_workers: Mapping[CameraName, NodeName],
        *,
        trusting: bool = True,
    ) -> None:
        self.to_convert: set[CameraName] = set()  # those of which a track turned out to be nothing for browsers
        self.suspects = Suspects()
        self.egress_suspects = Suspects()  # likewise of what viewers are sent; here they are only forgotten
        self._trusting = trusting
        self._state = state
        self._cameras = state.cameras
        for id, spec in specs.items():
            self._cameras[id] = Camera(spec, tracks.get(id, ()), last_workers.get(id))
        state.changed.update(self._cameras)

    def want(self, specs: Mapping[CameraName, CameraSpec]) -> None:
        """Take over the operator's list. What has been removed from it must have no sessions left."""
        for id in self._cameras.keys() - specs.keys():
            self._release(self._cameras.pop(id))
            _forget(id, self.suspects, self.egress_suspects)
            self._state.command(CameraRemoved(id))
        for id, spec in specs.items():
            camera = self._cameras.get(id)
            if camera is None:
                self._cameras[id] = Camera(spec)
            elif camera.spec != spec:
                self._change(camera, spec)
        self.settle()

    def reconcile(self, worker: Worker) -> None:
        """Compare what an ingest worker reports with what it should have."""
        self._state.changed.update(worker.streams)
        worker.streams = {stream.camera: stream for stream in worker.report.served}
        self._state.changed.update(worker.streams)
        for id, stream in worker.streams.items():
            camera = self._cameras.get(id)
            if camera is not None and camera.worker == worker.node:
                camera.count(sum(track.bytes for track in stream.stats), self._state.now)
            self._state.heard_fence(stream.fence)
            if camera is not None and camera.worker is None and self._may_keep(camera, worker):
                self._adopt(camera, worker)
            if camera is None or worker.node not in (camera.worker, camera.successor):
                self._state.send(worker.node, Release(id))
            elif stream.revision == camera.spec.revision and stream.tracks not in ((), camera.tracks):
                if _needs_more(camera.tracks, stream.tracks) and self._state.converts:
                    self.to_convert.add(id)
                camera.tracks = stream.tracks
                camera.fruitless.clear()
                self._state.command(RememberTracks(id, stream.tracks))
        for id in sorted(worker.cameras if not worker.report.partial else worker.streams.keys() & worker.cameras):
            camera = self._cameras[id]
            if id not in worker.streams or worker.streams[id].revision != camera.spec.revision:
                self._state.send(worker.node, Assign(camera.spec, fence=camera.fence))
            elif camera.successor == worker.node:
                self._arrive(camera, worker)
        if worker.report.draining:
            for camera in [self._cameras[id] for id in sorted(worker.cameras)]:
                self._move_away(camera, worker)

    def bury(self, worker: Worker, *, stopped: bool) -> None:
        """Free a dead worker's cameras. One of them may be why it died, unless it ``stopped`` in good order."""
        worker.streams.clear()
        if not stopped and more_than_one(id for id, each in self._cameras.items() if each.needed(self._state.now)):
            self.suspects.died(worker.node, worker.cameras, worker.seen, self._state.now)
        self.suspects.left(worker.node)
        for id in worker.cameras:
            camera = self._cameras[id]
            if camera.worker == worker.node:
                self._set_worker(camera, camera.successor)
            camera.successor = None
        worker.cameras.clear()

    def settle(self) -> None:
        """Give every camera that is needed a worker, and take those that are not needed from theirs.

        Those that somebody watches come first: workers begin with what they are told first.
        """
        workers = self._state.workers.values()
        self.suspects.settle({each.node: each.seen for each in workers}, self._state.now, partial(_shown, workers))
        for watched in (True, False):
            for camera in self._cameras.values():
                if bool(camera.sessions) is watched:
                    self.settle_one(camera)

    def settle_all_of(self, name: CameraName) -> None:
        """See to all streams of the camera that has a stream of this name, if there is one."""
        camera, _ = split_stream(name)
        for stream in (MAIN, SUB):
            if (found := self._cameras.get(stream_of(camera, stream))) is not None:
                self.settle_one(found)

    def settle_one(self, camera: Camera) -> None:
        """Give one camera a worker if it is needed, or take it from its worker if it is not."""
        self._state.changed.add(camera.spec.id)
        if not camera.needed(self._state.now):
            self._release(camera)
        elif camera.worker is None and not self._state.gathering and not self._expected_back(camera):
            nodes = [worker.node for worker in self._state.workers.values() if worker.takes(Role.INGEST)]
            suited = self.suspects.suited(camera.spec.id, nodes, self._state.now)
            worker = least_loaded_ingest(self._state.workers[node] for node in suited)
            if worker is not None:
                self._give(camera, worker)
                self._assign(camera, worker.node)
                self.suspects.given(camera.spec.id, worker.node, self._state.now)

    def move(self, camera: Camera, node: NodeName) -> None:
        """Let another worker take it over from its own, which goes on if that does not come about."""
        self._begin_move(camera, self._state.workers[node])
        camera.by_choice = True

    def stay(self, camera: Camera) -> None:
        """Leave the camera where it is after all."""
        assert camera.successor is not None, "it moves"
        self._leave(camera, camera.successor)
        camera.successor = None

    def _expected_back(self, camera: Camera) -> bool:
        """Whether the worker that had the camera under an earlier broker may still report it."""
        return self._state.starting and camera.last_worker is not None and camera.last_worker not in self._state.workers

    def _adopt(self, camera: Camera, worker: Worker) -> None:
        """Let a worker keep a camera that it has. At first the viewers of one on demand may not be known yet."""
        if self._state.starting:
            camera.kept_until = self._state.now + max(camera.spec.keep_after, GRACE)
        if camera.needed(self._state.now):
            self._give(camera, worker)
            camera.fence = worker.streams[camera.spec.id].fence

    def _may_keep(self, camera: Camera, worker: Worker) -> bool:
        """Whether a worker that reports a camera that is free may go on with it."""
        if worker.report.draining and not self._state.starting:  # it has not read yet that it is to let it go
            return False
        return self._trusting or camera.last_worker == worker.node

    def _move_away(self, camera: Camera, worker: Worker) -> None:
        """The camera's worker or successor drains: let another one take it over, and then take it from this one."""
        if camera.successor == worker.node:
            self._leave(camera, worker.node)
            camera.successor = None
        if camera.worker != worker.node or camera.successor is not None:
            camera.by_choice = False  # now it has to
            return
        other = least_loaded_ingest(self._state.workers.values())
        if other is None and self._state.starting:
            return  # those that an earlier broker had are on their way
        if other is None or camera.one_session or camera.spec.one_session:
            self._release(camera)
            self.settle_one(camera)
            return
        self._begin_move(camera, other)

    def _begin_move(self, camera: Camera, to: Worker) -> None:
        camera.successor, camera.by_choice = to.node, False
        to.cameras.add(camera.spec.id)
        self._assign(camera, to.node)

    def _arrive(self, camera: Camera, successor: Worker) -> None:
        """The successor has told of it: go over if it plays, or if it cannot before the other one has let go."""
        stream = successor.streams[camera.spec.id]
        if stream.state is CameraState.FULL:
            camera.one_session = True
            if camera.by_choice:
                self.stay(camera)
                return
        elif not can_begin(stream):
            return
        if camera.worker is not None:
            self._leave(camera, camera.worker)
        camera.successor = None
        self._set_worker(camera, successor.node)
        self._state.send(successor.node, Assign(camera.spec, fence=camera.fence))  # and its key to all that take it

    def _assign(self, camera: Camera, node: NodeName) -> None:
        """A new assignment: what is published by it is newer than all else."""
        camera.fence = self._state.next_fence()
        self._state.send(node, Assign(camera.spec, fence=camera.fence))

    def _leave(self, camera: Camera, node: NodeName) -> None:
        self._state.send(node, Release(camera.spec.id))
        self._state.workers[node].cameras.remove(camera.spec.id)

    def _give(self, camera: Camera, worker: Worker) -> None:
        worker.cameras.add(camera.spec.id)
        self._set_worker(camera, worker.node)

    def _release(self, camera: Camera) -> None:
        for node in (camera.worker, camera.successor):
            if node is not None:
                self._leave(camera, node)
        camera.successor = None
        self.suspects.released(camera.spec.id)
        if camera.worker is not None:
            self._set_worker(camera, None)

    def _set_worker(self, camera: Camera, node: NodeName | None) -> None:
        camera.worker = node
        if camera.last_worker != node:
            camera.last_worker = node
            self._state.command(RememberWorker(camera.spec.id, node))

    def _change(self, camera: Camera, spec: CameraSpec) -> None:
        if camera.spec.url != spec.url:  # it may be another camera
            camera.tracks, camera.one_session = (), False
            _forget(camera.spec.id, self.suspects, self.egress_suspects)
            camera.fruitless.clear()
        anew = camera.spec.revision != spec.revision  # else only when it is pulled has changed
        camera.spec = spec
        camera.failures, camera.failed_until = 0, float("-inf")
        if camera.worker is not None:
            camera.kept_until = self._state.now + spec.keep_after
            for node in (camera.worker, camera.successor) if anew else ():
                if node is not None:
                    self._assign(camera, node)


def _shown(workers: Iterable[Worker]) -> set[Shown]:
    """The cameras that play at these workers, and no picture is awaited of them."""
    streams = ((worker.node, stream) for worker in workers for stream in worker.streams.values())
    return {(each.camera, node) for node, each in streams if each.state is CameraState.PLAYING and not each.detail}


def _forget(id: CameraName, *suspects: Suspects) -> None:
    """Hold nothing of what the camera had done against the next one of the name."""
    for each in suspects:
        each.forget(id)


def can_begin(stream: StreamReport) -> bool:
    """Whether a viewer can begin with what a worker has of a camera: a keyframe, or sound where there is no picture."""
    pictures = [track.keyframes for track in stream.stats if track.kind is Kind.VIDEO]
    return stream.state is CameraState.PLAYING and all(pictures)


def _needs_more(before: tuple[Track, ...], after: tuple[Track, ...]) -> bool:
    """Whether a track that browsers were thought to take as it comes has to be converted after all.

    Of a camera of which nothing is known viewers are promised everything as it comes.
    """
    plain = {track.kind for track in before if not track.convert} if before else set(Kind)
    return any(track.convert and track.kind in plain for track in after)
