"""Cameras that move to ingests which have fewer, bit by bit and where nobody notices: a new ingest takes its share.

* A worker's share is counted by its cameras and their bitrates. One moves from who has most to who has least if these
  differ by more than ``UNEVEN`` of the mean, and if that makes them no more than even: so none moves back.
* It moves as from a worker that drains: the new one first, the old one let go at the new one's keyframe. Those that
  nobody watches go first. One stays that serves one client, that does not play, or that is no RTSP camera: a file or a
  device may be one machine's own.
* ``AT_ONCE`` move, one begins every ``BETWEEN`` seconds, none before the ingests have been the same for ``SETTLED``.
* One that has not arrived within ``ARRIVES_WITHIN`` stays where it plays: the other ingest may not reach it. That gets
  none for a while, which doubles each time. What moved, or could not, stays for ``STAYS``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from broker.director.cameras import Cameras, can_begin
from broker.director.state import Camera, State, Worker
from common.camera_url import RTSP
from common.cameras import CameraName
from common.control import NodeName, Role

UNEVEN = 0.25  # of the mean share, by which two may differ
TYPICAL = 4_000_000  # bit/s that count as much as a camera does by itself
BETWEEN = 1.0  # seconds
AT_ONCE = 2  # each is two sessions at its camera
SETTLED = 10.0  # seconds: a worker that is started again is back before
ARRIVES_WITHIN = 20.0  # seconds: a slow camera's handshake and the longest usual wait for a keyframe
STAYS = 600.0  # seconds
FIRST_DOUBT, LAST_DOUBT = 60.0, 3_600.0  # seconds in which an ingest that a camera did not reach gets none


@dataclass(frozen=True, slots=True)
class _Move:
    """One camera on its way."""

    to: NodeName
    until: float


class Shares:
    """The director's part for even shares of cameras."""

    def __init__(self, state: State, cameras: Cameras) -> None:
        self._state = state
        self._cameras = cameras
        self._moves: dict[CameraName, _Move] = {}
        self._stays: dict[CameraName, float] = {}
        self._doubts: dict[NodeName, tuple[float, float]] = {}  # until when, and for how long that was
        self._ingests: frozenset[tuple[NodeName, str]] = frozenset()
        self._since = state.now  # they are these
        self._next = state.now

    def settle(self) -> None:
        """See to what moves, and let the next begin."""
        now = self._state.now
        for id, move in list(self._moves.items()):
            self._see_to(id, move)
        ingests = [w for w in self._state.workers.values() if w.alive and w.report.role is Role.INGEST]
        names = frozenset((worker.node, worker.report.incarnation) for worker in ingests if worker.takes(Role.INGEST))
        if names != self._ingests or len(names) != len(ingests):  # one of them drains
            self._ingests, self._since = names, now
        if now < max(self._next, self._since + SETTLED) or len(names) < 2 or self._state.gathering:
            return
        self._next = now + BETWEEN
        self._stays = {id: until for id, until in self._stays.items() if until > now}
        self._doubts = {node: doubt for node, doubt in self._doubts.items() if node in self._state.workers}
        if len(self._moves) < AT_ONCE:
            self._begin(ingests)

    def _see_to(self, id: CameraName, move: _Move) -> None:
        """Whether it has arrived, or will not."""
        now, camera = self._state.now, self._state.cameras.get(id)
        if camera is not None and camera.successor == move.to and camera.by_choice:
            if now < move.until:
                return
            self._cameras.stay(camera)
        if camera is not None and camera.worker == move.to:
            self._doubts.pop(move.to, None)
        elif camera is not None and not camera.one_session:
            _, before = self._doubts.get(move.to, (0.0, FIRST_DOUBT / 2))
            pause = min(2 * before, LAST_DOUBT)
            self._doubts[move.to] = now + pause, pause
        self._stays[id] = now + STAYS
        del self._moves[id]

    def _begin(self, ingests: Iterable[Worker]) -> None:
        shares = {worker.node: 0.0 for worker in ingests}
        had: dict[NodeName, list[Camera]] = {node: [] for node in shares}
        for camera in self._state.cameras.values():
            node = camera.successor or camera.worker
            if node in shares:
                shares[node] += _weight(camera)
                had[node].append(camera)
        now = self._state.now
        takers = [node for node in shares if self._doubts.get(node, (0.0, 0.0))[0] <= now]
        if not takers:
            return
        most = max(sorted(shares), key=lambda node: shares[node])
        least = min(sorted(takers), key=lambda node: shares[node])
        gap = shares[most] - shares[least]
        if gap <= UNEVEN * sum(shares.values()) / len(shares):
            return
        fitting = [each for each in had[most] if 2 * _weight(each) <= gap and self._may_move(each)]
        if not fitting:
            return
        camera = min(fitting, key=lambda each: (bool(each.sessions), -_weight(each), each.spec.id))
        self._cameras.move(camera, least)
        self._moves[camera.spec.id] = _Move(least, now + ARRIVES_WITHIN)

    def _may_move(self, camera: Camera) -> bool:
        """Whether a second session with it costs nobody a picture."""
        if camera.successor is not None or camera.one_session or camera.spec.one_session or camera.worker is None:
            return False
        if camera.spec.scheme not in RTSP or camera.failed(self._state.now) or camera.spec.id in self._stays:
            return False
        stream = self._state.workers[camera.worker].streams.get(camera.spec.id)
        return stream is not None and stream.revision == camera.spec.revision and can_begin(stream)


def _weight(camera: Camera) -> float:
    return 1.0 + camera.bitrate / TYPICAL
