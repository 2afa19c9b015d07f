"""Remembers what the sessions of a process' cameras taught, for longer than somebody pulls them; no I/O.

A camera that is pulled on demand would otherwise be asked in all ways that it does not like at each viewer's coming.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from common.cameras import CameraSpec, Transport
from ingest.retry import Transports
from ingest.rtsp.habits import Habits
from ingest.rtsp.keepalive import Keepalive
from ingest.rtsp.silence import Pace

MAX_REMEMBERED = 1_000  # cameras, while nobody pulls them


@dataclass(slots=True)
class Learnt:
    """The ways that one camera was found to need."""

    transports: Transports
    keepalive: Keepalive = field(default_factory=Keepalive)
    habits: Habits = field(default_factory=Habits)
    pace: Pace = field(default_factory=Pace)
    muxed: bool = False  # it sends picture and sound as one transport stream


class Memory:
    """All cameras', those that were asked for last."""

    def __init__(self) -> None:
        self._cameras: dict[tuple[str, str, Transport], Learnt] = {}

    def of(self, spec: CameraSpec) -> Learnt:
        """The camera's ways; none yet if it is a new one, or has another URL or transport than before."""
        key = spec.id, spec.url, spec.transport
        learnt = self._cameras.pop(key, None) or Learnt(Transports.of(spec))
        self._cameras[key] = learnt
        if len(self._cameras) > MAX_REMEMBERED:
            del self._cameras[next(iter(self._cameras))]
        return learnt
