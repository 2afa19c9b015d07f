"""The cost of a picture in ingest, from what a read brought to what is kept for the bus, in a loop without sockets.

The compiled shortcut and the way in Python take turns in one process, as one machine's minutes differ more than many
changes do. Cameras take turns as well, so that no camera's memory is warmer than among others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from unittest.mock import patch

from bench.results import Check
from bench.rig import FULL_HD, MIDDLE, Plan
from camshaft.demo_camera.broadcast import BURST, Broadcast, Part
from common.media import Kind, encode_batch
from common.worker.groups import Gop
from ingest import native
from rigs import farm
from rigs.clip import Clip
from rigs.reading import Reading

CAMERAS = 20
TURNS = 7  # of each way
PICTURES = 60  # of a camera in a turn: a group of pictures
TARGETS = ((MIDDLE, 18.0), (FULL_HD, 24.0))  # µs: a third of what they took in Python alone
SHARE = 1 / 3  # of the way in Python


@dataclass(slots=True)
class _Camera:
    """One camera, and an ingest's end of it."""

    source: Broadcast
    reading: Reading
    gop: Gop
    number: int = 0  # of the next picture

    def reads(self, ticks: int) -> Iterator[bytes]:
        """The next picture, as it leaves a camera."""
        pictures, source = self.source.clip.pictures, self.source.sources[Kind.VIDEO]
        payloads = pictures[self.number % len(pictures)]
        assert payloads
        packets = source.packetise(payloads, self.number * ticks, marker_last=True)
        self.number += 1
        for start in range(0, len(packets), BURST):
            yield Part(packets[start : start + BURST], fresh=False).interleaved(0)

    def read(self, data: bytes, now_ns: int) -> None:
        """Take one read, which is measured."""
        for batch in self.reading.read(data, now_ns):
            self.gop.add(batch, encode_batch(batch))


async def reading(plan: Plan) -> None:
    """Both ways in turn, for pictures of 2 and of 4 Mb/s."""
    if not native.BUILT:
        plan.result.skipped.append(f"the compiled way was not built: it needs {native.NEEDS}")
        return
    for clip, limit in TARGETS:
        compiled = _cameras(plan, clip)
        with patch.object(native, "BUILT", False):
            plain = _cameras(plan, clip)
        costs: list[float] = []
        plain_costs: list[float] = []
        for _ in range(TURNS):
            costs.append(_turn(compiled, clip.fps))
            with patch.object(native, "BUILT", False):
                plain_costs.append(_turn(plain, clip.fps))
        label = f"{clip.bitrate // 1_000_000} Mb/s, a picture"
        # The first turn begins before any keyframe has come.
        cost, in_python = median(costs[1:]), median(plain_costs[1:])
        plan.result.checks += [
            Check(f"{label}, compiled", cost, limit, "µs"),
            Check(f"{label}, in Python", in_python, 3 * limit, "µs"),
            Check(f"{label}, compiled against Python", cost / in_python, SHARE, "x"),
        ]


def _cameras(plan: Plan, clip: Clip) -> list[_Camera]:
    sources = farm.cameras(plan.clip(clip), clip.fps, CAMERAS)
    return [_Camera(source, Reading(), Gop()) for source in sources]


def _turn(cameras: Sequence[_Camera], fps: int) -> float:
    """Microseconds of CPU a picture."""
    spent = 0
    for _ in range(PICTURES):
        for camera in cameras:
            now_ns = 1_700_000_000 * 10**9 + camera.number * 10**9 // fps
            for data in camera.reads(90_000 // fps):
                began = time.thread_time_ns()
                camera.read(data, now_ns)
                spent += time.thread_time_ns() - began
    return spent / (PICTURES * len(cameras)) / 1_000
