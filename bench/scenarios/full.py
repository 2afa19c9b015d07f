"""An egress that is filled until it refuses: what those see that watch when refusals begin (limits.egress_load)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bench.results import Check, Run
from bench.rig import FULL_HD, SETTLE, Plan, Stage, camera, staged
from rigs.load.report import Spread, Window

HEAVY = replace(FULL_HD, bitrate=20_000_000)  # a core has room for two hundred such viewers, not for thousands
FIRST = 90  # viewers: half of what a core of the machine serves that this was written on
STEP = 10  # viewers that come at once …
PAUSE = 2.0  # … and seconds until the next: the egress judges by five
MOST = 1_000
INSISTING = 10.0  # seconds for which others go on asking once the first was refused


async def full(plan: Plan) -> None:
    """Viewers of a camera of 20 Mb/s come until they are refused, and go on asking."""
    if not plan.usable([plan.server]):
        return
    with camera(plan, HEAVY) as source:
        async with staged(plan.server, [source.url], plan.crowd(), camera_pids=[source.pid]) as stage:
            await stage.join(FIRST)
            await asyncio.sleep(SETTLE)
            few = await stage.window(f"{FIRST} viewers", plan.seconds)
            before = await _fill(stage)
            insisting = await _insist(stage)
            steady = await stage.window("full, and nobody asks", plan.seconds)
    plan.result.runs += [run for run in (few, before, insisting, steady) if run is not None]
    checks = plan.result.checks
    checks.append(Check("viewers until one was refused", float(len(steady.window.viewers)), float(MOST), ""))
    checks.append(
        Check("packets lost by those that watch", sum(run.window.total("lost") for run in plan.result.runs), 0)
    )
    # A keyframe for all of them takes its time, the longer the more there are: what refusals add to that is theirs.
    longer = _gap(insisting.window) - _gap(steady.window)
    checks.append(Check("gap while others are refused, longer than without by", longer, 50, "ms"))


async def _fill(stage: Stage) -> Run | None:
    """Let viewers join until one is refused; the window of the last that came."""
    before: Run | None = None
    while len(stage.crowd.members) < MOST:
        meter, there = stage.meter(), len(stage.crowd.members)
        stage.crowd.begin()
        await stage.join(STEP, a_second=float(STEP))
        await asyncio.sleep(PAUSE)
        run = stage.run(f"{there} to {len(stage.crowd.members)} viewers", meter)
        if run.notes.get("failures"):
            return before if before is not None else run
        before = run
    return before


async def _insist(stage: Stage) -> Run:
    """Have others go on asking, ten a second."""
    meter, there = stage.meter(), len(stage.crowd.members)
    stage.crowd.begin()
    await stage.join(int(INSISTING * STEP), a_second=float(STEP))
    return stage.run(f"{there} viewers and {INSISTING * STEP:.0f} more that ask", meter)


def _gap(window: Window) -> float:
    """The longest silence of the picture, in ms, of anybody who watched; one picture in 33 ms is none."""
    return Spread.of(viewer.gap_ms for viewer in window.viewers if viewer.frames).maximum
