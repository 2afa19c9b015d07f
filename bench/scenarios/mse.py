"""Viewers by the page's own port: their cost beside that of a program that writes the same bytes to as many sockets."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from pathlib import Path

from bench import sockets
from bench.measure import Meter
from bench.results import Check, Run
from bench.rig import FULL_HD, SETTLE, Plan, camera
from rigs.load.report import ViewerCounts, Window

BREATH = 5.0  # seconds between signs of life; the server waits for half a minute
JOINED = 4.0  # seconds for the first group of pictures


async def mse(plan: Plan) -> None:
    """Measure one viewer of a camera with sound, then a hundred; then the floor, with what the first of them got.

    What an egress spends on having the camera at all is no cost of its viewers: it is in the run with one.
    """
    viewers, result = plan.viewers or 100, plan.result
    if not plan.usable([plan.server]):
        return
    with camera(plan, FULL_HD, sound=True) as source, tempfile.TemporaryDirectory(prefix="bench-") as directory:
        folder = Path(directory)
        async with plan.server.started([source.url], folder) as running:
            await asyncio.sleep(SETTLE)
            pids = {**running.pids, "camera": [source.pid]}
            crowd = await sockets.join(running.base_url, "cam0", 1)
            await asyncio.sleep(JOINED)
            alone = await _window(plan, crowd, pids, plan.server.name)
            crowd += await sockets.join(running.base_url, "cam0", viewers - 1)
            await asyncio.sleep(JOINED)
            crowd[0].kept.clear()
            ours = await _window(plan, crowd, pids, plan.server.name)
            messages = [*crowd[0].kept]
            lost = sum(each.over for each in crowd)
            sockets.leave(crowd)
        async with sockets.floor(messages, viewers, folder) as (pid, crowd):
            await asyncio.sleep(SETTLE)
            floor = await _window(plan, crowd, {"server": [pid]}, "floor")
    # Of what they sent: the number of its messages by its bytes, which are the same to both.
    size = sum(len(data) for _, data in messages) / len(messages)
    for run in (alone, ours, floor):
        for viewer in run.window.viewers:
            viewer.packets = round(viewer.bytes / size)
        result.runs.append(run)
    added = ours.measured.of(["egress"]).cpu - alone.measured.of(["egress"]).cpu
    least = (floor.measured.of(["server"]).cpu or nan) * (viewers - 1) / viewers * ours.packets / (floor.packets or nan)
    result.checks.append(Check("egress, what the others cost, against the floor", added / least, 1.5, "x"))
    whole = ours.microseconds("egress") / (floor.microseconds() or nan)
    result.checks.append(Check("the whole egress against the floor", whole, 1.5, "x"))
    front = ours.measured.of(["broker"]).cpu - alone.measured.of(["broker"]).cpu
    result.checks.append(Check("broker, what the others cost", front / ours.measured.seconds * 100, 1.0, "% of a core"))
    least_bytes, most_bytes = (f(viewer.bytes for viewer in ours.window.viewers) for f in (min, max))
    result.checks.append(
        Check("least that a viewer got of what another got", least_bytes / most_bytes, 0.95, "x", at_least=True)
    )
    result.checks.append(Check("viewers that were sent away", lost, 0))


async def _window(plan: Plan, crowd: list[sockets.Reader], pids: Mapping[str, Sequence[int]], name: str) -> Run:
    before = [replace(reader.counts) for reader in crowd]
    meter = Meter({**pids, "load": [os.getpid()]})
    end = time.monotonic() + plan.seconds
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(left, BREATH))
        for reader in crowd:
            reader.breathe()
    measured = meter.read()
    counts: list[ViewerCounts] = [reader.counts.since(was) for reader, was in zip(crowd, before, strict=True)]
    version = plan.server.version() if name == plan.server.name else ""
    return Run(name, version, f"{len(crowd)} viewers", 1, len(crowd), measured, Window(measured.seconds, counts))
