"""Viewers by TCP (RFC 6544): their cost beside that of viewers by UDP, and the harm that stalled ones do to others."""

from __future__ import annotations

import asyncio
from math import nan

from bench.results import Check, Run
from bench.rig import FULL_HD, SETTLE, Plan, camera, staged
from rigs.gst_camera import GstCamera
from rigs.load.report import Spread


async def tcp(plan: Plan) -> None:
    """Measure a hundred viewers by UDP, then a hundred by TCP; then some of these stop reading."""
    viewers, checks = plan.viewers or 100, plan.result.checks
    if not plan.usable([plan.server]):
        return
    with camera(plan, FULL_HD) as source:
        by_udp, _ = await _watched(plan, source, viewers, tcp=False)
        by_tcp, stalled = await _watched(plan, source, viewers, tcp=True)
    assert stalled is not None, "there is a second window by TCP"
    plan.result.runs += [by_udp, by_tcp, stalled]
    ratio = by_tcp.microseconds("egress") / (by_udp.microseconds("egress") or nan)
    checks.append(Check("egress, CPU a packet by TCP against UDP", ratio, 3.0, "x"))
    checks.append(Check("packets lost by TCP", by_tcp.window.total("lost"), 0))
    # A stalled viewer counts nothing: its gap would be that of the window. What else the machine does makes gaps, too.
    alive = [viewer for viewer in stalled.window.viewers if viewer.frames]
    before, after = (Spread.of(each.gap_ms for each in seen).maximum for seen in (by_tcp.window.viewers, alive))
    checks.append(Check("gap of the others, longer than before by", after - before, 50, "ms"))
    checks.append(Check("packets lost by the others", sum(viewer.lost for viewer in alive), 0))


async def _watched(plan: Plan, source: GstCamera, viewers: int, *, tcp: bool) -> tuple[Run, Run | None]:
    """A steady window; by TCP a second one, in which a tenth of the viewers is stalled."""
    crowd = plan.crowd(tcp=tcp)
    async with staged(plan.server, [source.url], crowd, camera_pids=[source.pid]) as stage:
        await stage.join(viewers)
        await asyncio.sleep(SETTLE)
        run = await stage.window(f"{viewers} viewers by {'TCP' if tcp else 'UDP'}", plan.seconds)
        if not tcp:
            return run, None
        dead = crowd.members[: max(1, viewers // 10)]
        crowd.deafen(dead)
        return run, await stage.window(f"{len(dead)} of them stalled", plan.seconds)
