"""A window of time as viewers saw it, in sum and one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from rigs.load.receive import dropped
from rigs.load.viewer import State, Viewer


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles of a quantity; all zero when there was nothing to measure."""

    count: int = 0
    minimum: float = 0.0
    median: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    maximum: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Nearest-rank percentiles."""
        ordered = sorted(values)
        if not ordered:
            return cls()
        shares = (0.0, 0.5, 0.9, 0.99, 1.0)
        return cls(len(ordered), *(round(ordered[max(0, math.ceil(s * len(ordered)) - 1)], 4) for s in shares))


@dataclass(slots=True)
class ViewerCounts:
    """One viewer's counters; those of a window are differences of two of them. Times are from the join, in ms."""

    number: int
    state: str = ""
    problem: str = ""
    profile: str = ""
    packets: int = 0  # of media, retransmissions not included
    bytes: int = 0
    frames: int = 0
    expected: int = 0
    lost: int = 0  # never came
    recovered: int = 0  # came by retransmission
    retransmissions: int = 0
    late: int = 0
    duplicates: int = 0
    restarts: int = 0
    corrupt: int = 0
    checked: int = 0  # packets decrypted and found good
    stray: int = 0
    dropped: int = 0  # in our own socket's buffer
    gap_ms: float = 0.0  # longest silence of the video in the window
    jitter_ms: float = 0.0
    connect_ms: float | None = None
    first_packet_ms: float | None = None
    first_keyframe_ms: float | None = None

    @classmethod
    def of(cls, viewer: Viewer) -> Self:
        """The counters as they stand."""
        counts = cls(viewer.number, viewer.state.name.lower(), viewer.problem, viewer.profile)
        for stream in viewer.streams.values():
            if stream.kind == "rtx":
                counts.retransmissions += stream.packets
                continue
            for name in _OF_STREAMS:
                setattr(counts, name, getattr(counts, name) + getattr(stream, name))
            if stream.kind == "video":
                counts.frames += stream.frames
                counts.gap_ms = round(stream.gap_ns / 1e6, 3)
                counts.jitter_ms = round(stream.jitter / stream.clock_rate * 1000, 3)
        counts.corrupt, counts.checked = viewer.corrupt, viewer.checked
        counts.stray, counts.dropped = viewer.stray, dropped(viewer.socket)
        counts.connect_ms = _ms_since(viewer.started_at, viewer.connected_at)
        counts.first_packet_ms = _ms_since(viewer.started_at, viewer.first_packet_at)
        counts.first_keyframe_ms = _ms_since(viewer.started_at, viewer.first_keyframe_at)
        return counts

    def since(self, before: ViewerCounts) -> ViewerCounts:
        """The counts added after ``before``."""
        values = asdict(self)
        for name in _ADDITIVE:
            values[name] -= getattr(before, name)
        return ViewerCounts(**values)


_OF_STREAMS = ("packets", "bytes", "expected", "lost", "recovered", "late", "duplicates", "restarts")
# What is counted is whole numbers; times, words and the viewer's own number are not differences of anything.
_ADDITIVE = [each.name for each in fields(ViewerCounts) if each.type == "int" and each.name != "number"]


@dataclass(slots=True)
class Window:
    """A window of time. Delays and gaps in milliseconds."""

    seconds: float
    viewers: list[ViewerCounts]
    delay_ms: Spread = field(default_factory=Spread)  # camera to viewer, of the last packet of every frame
    capture_ms: Spread = field(default_factory=Spread)  # capture to viewer, as the server's sender reports have it
    round_trip_ms: Spread = field(default_factory=Spread)  # of STUN consent checks
    load_user: float = 0.0  # seconds of CPU of the load generator itself
    load_system: float = 0.0
    late_ms: float = 0.0  # longest time for which the load generator's own loop was stuck
    failures: list[str] = field(default_factory=list)  # why viewers could not join

    def total(self, name: str) -> int:
        """Sum of a counter over the viewers."""
        return sum(getattr(viewer, name) for viewer in self.viewers)

    def spread(self, name: str) -> Spread:
        """Percentiles of one of the viewers' numbers."""
        values = [getattr(viewer, name) for viewer in self.viewers]
        return Spread.of(value for value in values if value is not None)

    @property
    def connected(self) -> int:
        """Viewers that were connected at the end."""
        return sum(viewer.state == State.CONNECTED.name.lower() for viewer in self.viewers)

    def to_json(self, *, viewers: bool = True) -> dict[str, Any]:
        """Everything, with sums and spreads worked out; ``viewers`` keeps each one's counters too."""
        values = asdict(self)
        values["sum"] = {"connected": self.connected} | {name: self.total(name) for name in _ADDITIVE}
        names = ("gap_ms", "connect_ms", "first_packet_ms", "first_keyframe_ms", "jitter_ms")
        values["spread"] = {name: asdict(self.spread(name)) for name in names}
        if not viewers:
            del values["viewers"]
        return values


def _ms_since(start: float, at: float) -> float | None:
    return round((at - start) * 1000, 2) if at else None


def milliseconds(values: Sequence[float]) -> Spread:
    """The spread of times in seconds, in milliseconds."""
    return Spread.of(value * 1000 for value in values)
