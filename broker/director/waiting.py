"""The renditions and cameras that wait for a transcode worker with room; pure.

Renditions were promised, and nobody makes them yet, which cameras tell of. Of cameras viewers get what comes, until a
worker has room for what is made of it.
"""

from __future__ import annotations

from collections.abc import Callable

from broker.director.state import State
from common.cameras import CameraName
from common.media import Rendition, camera_of, converted_kind


class Waiting:
    """All that waits in one cluster; ``full`` says whether no worker has room now."""

    def __init__(self, state: State, full: Callable[[], bool]) -> None:
        self._state = state
        self._full = full
        self._renditions: set[Rendition] = set()
        self._cameras: set[CameraName] = set()

    def note(self, renditions: set[Rendition]) -> None:
        """Take note of what waits now."""
        for rendition in renditions ^ self._renditions:
            camera, kind = self._state.cameras.get(camera_of(rendition)), converted_kind(rendition)
            if camera is not None and kind is not None:
                (camera.waiting.add if rendition in renditions else camera.waiting.discard)(kind)
                self._state.changed.add(camera.spec.id)
        self._renditions = renditions

    def take(self, new: set[CameraName]) -> list[CameraName]:
        """The cameras whose viewers are to be told now, out of ``new``: these, and those that waited if one has room.

        Where none has, these wait from now on.
        """
        full = self._full()
        told = {*new} if full else new | self._cameras
        self._cameras = self._cameras | new if full else set()
        new.clear()
        return sorted(id for id in told if id in self._state.cameras)
