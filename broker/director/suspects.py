"""Which cameras may be what ends their workers, so that no camera ends one after the other; pure.

What a camera sends may end the ingest that reads it, or the egress that sends it on, by a fault of ours that nobody has
found. That process has told nobody which of its cameras it was, and the camera would end the next one, and every camera
beside it would go dark with it, again and again. So deaths are counted against cameras, those of ingests and those of
egresses apart, and a camera that many count against is tried with care.

* What kills does so soon. A death counts against each camera that the worker had for ``PROBATION`` at most, and whose
  media it had for less than ``WELL``; a camera that stays longer without a death is acquitted.
* The first two may be chance, and cost nothing. After ``DEATHS`` in a row a camera is a suspect, and waits.
* Of all suspects at most half are tried at once, on the workers that have the fewest of them. So half of the innocent
  are acquitted in some six seconds, half of the rest in as many more, and the last of a hundred in 40; the guilty one
  is soon tried alone.
* A death beside other suspects says little: each waits ``SUSPENSION`` alone. Who was the only suspect waits twice as
  long each time.
* A wait is for the others' sake: while no other camera is needed, or watched, no death counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from common.cameras import CameraName
from common.control import NodeName

PROBATION = 5.0  # seconds: connected, keyframe, and some pictures
WELL = 2.0  # seconds with media: as long as a program that ends is started anew at once
DEATHS = 3  # in a row; processes also die of what no camera has done
SUSPENSION = 1.0  # seconds until a suspect is tried again …
MOST_DOUBLED = 8  # … and how often that is doubled at most: four minutes
KEPT = 600.0  # seconds from the last death to when it counts for nothing, if the camera was never tried again
WHY = "each process that got it died soon after; it will be tried again later"

Shown = tuple[CameraName, NodeName]  # a camera, and a worker that has its media


@dataclass(slots=True)
class _Record:
    deaths: int = 0  # in a row
    alone: int = 0  # as the only suspect of its worker
    until: float = float("-inf")  # it is not given to anybody before
    died_at: float = 0.0


class Suspects:
    """All cameras that deaths count against. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._records: dict[CameraName, _Record] = {}
        self._given: dict[CameraName, tuple[NodeName, float]] = {}  # to whom and when, in the last ``PROBATION``
        self._shown: dict[CameraName, float] = {}  # of these, when its worker had said first that it has its media
        self._suspects: set[CameraName] = set()  # of the records, with ``DEATHS`` or more
        self._trials: Counter[NodeName] = Counter()  # suspects that a worker has

    def given(self, camera: CameraName, node: NodeName, now: float) -> None:
        """Note that a worker is told to pull the camera."""
        self.released(camera)
        self._given[camera] = node, now
        if camera in self._suspects:
            self._trials[node] += 1

    def released(self, camera: CameraName) -> None:
        """No worker has it any more, and none died of it."""
        given = self._given.pop(camera, None)
        self._shown.pop(camera, None)
        if given is not None and camera in self._suspects:
            self._trials[given[0]] -= 1

    def declined(self, camera: CameraName, node: NodeName) -> None:
        """Let another worker try the camera, as this one does not take it."""
        if self._given.get(camera, ("", 0.0))[0] == node:
            self.released(camera)

    def left(self, node: NodeName) -> None:
        """Forget what a worker that is gone was given."""
        for camera in [camera for camera, (to, _) in self._given.items() if to == node]:
            self.released(camera)

    def forget(self, camera: CameraName) -> None:
        """Forget a camera that is removed, becomes another one, or is acquitted."""
        self.released(camera)
        self._records.pop(camera, None)
        self._suspects.discard(camera)

    def died(self, node: NodeName, cameras: Collection[CameraName], seen: float, now: float) -> None:
        """Suspect the cameras of a worker that died by itself; it was heard last at ``seen``."""
        counted = [camera for camera in cameras if self._is_new(camera, node, seen)]
        alone = len(self._suspects.intersection(counted)) == 1
        self.left(node)
        for camera in counted:
            record = self._records.setdefault(camera, _Record())
            record.alone += alone and camera in self._suspects
            record.deaths, record.died_at = record.deaths + 1, now
            if record.deaths >= DEATHS:
                self._suspects.add(camera)
                record.until = now + SUSPENSION * 2 ** min(record.alone, MOST_DOUBLED)

    def suited(self, camera: CameraName, nodes: Collection[NodeName], now: float) -> Collection[NodeName]:
        """The workers that may have the camera now: none while it waits.

        Suspects are kept apart from each other, and other cameras from them. A worker that tries one goes on with it
        for as long as it takes anything: where it ends in good order another one tries it.
        """
        if camera in self._suspects and camera in self._given and self._given[camera][0] in nodes:
            return [self._given[camera][0]]
        if not self.may_try(camera, now):
            return ()
        fewest = min((self._trials[node] for node in nodes), default=0)
        return [node for node in nodes if self._trials[node] == fewest]

    def may_try(self, camera: CameraName, now: float) -> bool:
        """Whether the camera may be given to a worker now."""
        if camera not in self._suspects:
            return True
        room = max(len(self._suspects) // 2, 1)
        others = self._trials.total() - (camera in self._given)
        return now >= self._records[camera].until and others < room

    def waits(self, camera: CameraName, now: float) -> bool:
        """Whether it is suspended, and not to be tried yet."""
        return self.suspended(camera) and not self.may_try(camera, now)

    def suspended(self, camera: CameraName) -> bool:
        """Whether the camera waits because it may be what ended its workers."""
        return camera in self._suspects and camera not in self._given

    def settle(
        self, seen: Mapping[NodeName, float], now: float, shown: Callable[[], Collection[Shown]] = tuple
    ) -> None:
        """Acquit those that were with their workers long enough, by when these were heard; forget what is long ago.

        ``shown`` is asked which cameras' media is at which worker, if that can make a difference.
        """
        shows = shown() if self._given.keys() - self._shown.keys() else ()
        for camera, (node, at) in list(self._given.items()):
            if (camera, node) in shows:
                self._shown.setdefault(camera, seen.get(node, now))
            if self._outlived(camera, at, seen.get(node, now)):
                self.forget(camera)
        for camera, record in list(self._records.items()):
            if camera not in self._given and now - record.died_at > KEPT:
                self.forget(camera)

    def _is_new(self, camera: CameraName, node: NodeName, seen: float) -> bool:
        to, at = self._given.get(camera, ("", 0.0))
        return to == node and not self._outlived(camera, at, seen)

    def _outlived(self, camera: CameraName, at: float, seen: float) -> bool:
        """Whether a worker that was given the camera ``at`` this time, and ``seen`` last, did well with it."""
        return seen - at > PROBATION or seen - self._shown.get(camera, seen) >= WELL


def more_than_one(cameras: Iterable[CameraName]) -> bool:
    """Whether there are two cameras of different names, and so one that could be protected from another."""
    names = iter(cameras)
    first = next(names, None)
    return any(name != first for name in names)
