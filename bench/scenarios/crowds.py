"""Scenarios with crowds of viewers, or of cameras, on loopback."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from math import nan
from statistics import median
from typing import Any

import aiohttp

from bench.results import Check, Run
from bench.rig import BIG_KEYFRAMES, FULL_HD, LOW, MIDDLE, SETTLE, Plan, Stage, camera, floor_run, staged
from bench.servers import Server
from bench.servers.camshaft import Camshaft
from rigs import farm
from rigs.gst_camera import GstCamera
from rigs.load.report import Spread


async def fanout(plan: Plan) -> None:
    """Measure one camera with many viewers: ours, the peers and the floor, in turn before the same camera."""
    viewers = plan.viewers or 100
    result = plan.result
    with camera(plan, FULL_HD) as source:
        for server in plan.usable([plan.server, *plan.peers]):
            result.runs.append(await _watched(plan, server, source, viewers, f"{viewers} viewers"))
        if isinstance(plan.server, Camshaft) and plan.usable([plan.server]):
            plain = replace(plan.server, config={**plan.server.config, "egress": {"compiled": "never"}})
            result.runs.append(await _watched(plan, plain, source, viewers, f"{viewers} viewers, sent by Python"))
    with camera(plan, FULL_HD, sound=True) as source:
        for server in plan.usable([plan.server]):
            result.runs.append(await _watched(plan, server, source, viewers, f"{viewers} viewers, with sound"))
    result.runs.append(await floor_run(plan, FULL_HD, viewers))
    result.runs.append(await floor_run(plan, FULL_HD, viewers, gso=False))
    ours, lowest = _of(result.runs, plan.server.name), result.runs[-2]
    if ours is None:
        return
    if "egress" in ours.measured.roles:
        result.checks.append(Check("egress, CPU a packet and viewer", ours.microseconds("egress"), 3.8, "µs"))
        ratio = ours.microseconds("egress") / lowest.microseconds()
        result.checks.append(Check("egress against the floor", ratio, 2.0, "x"))
    result.checks.append(Check("whole cluster, CPU a packet and viewer", ours.microseconds(), 4.8, "µs"))
    result.checks.append(Check("packets lost", ours.window.total("lost"), 0))
    janus = _of(result.runs, "Janus")
    if janus is not None:
        ratio = janus.microseconds() / ours.microseconds()
        result.checks.append(Check("Janus against the whole cluster", ratio, 6.0, "x", at_least=True))


async def footprint(plan: Plan) -> None:
    """CPU and memory of each process with one camera, picture and sound, and few or many viewers."""
    with camera(plan, FULL_HD, sound=True) as source:
        for server in plan.usable([_spread(plan.server)]):
            for viewers in [1, 10, 100] if plan.viewers is None else [plan.viewers]:
                plan.result.runs.append(await _watched(plan, server, source, viewers, f"{viewers} viewers"))


async def scaling(plan: Plan) -> None:
    """Hold the cost of a packet to be flat: 10 to 500 viewers of one camera, and 20 cameras with 25 viewers each."""
    counts = [10, 50, 100, 200, 500] if plan.viewers is None else [plan.viewers]
    # Ours, and the floor right after it, as the machine's minutes differ.
    pairs: list[tuple[str, Run, Run]] = []
    for server in plan.usable([plan.server, *plan.peers]):
        with camera(plan, FULL_HD) as source:
            for viewers in counts:
                plan.result.runs.append(ours := await _watched(plan, server, source, viewers, "1 camera"))
                if server is plan.server:
                    plan.result.runs.append(least := await floor_run(plan, FULL_HD, viewers))
                    pairs.append((f"{viewers} viewers", ours, least))
    if plan.viewers is None and plan.usable([plan.server]):
        with farm.running(plan.clip(MIDDLE), MIDDLE.fps, 20) as (cameras, pid):
            async with staged(plan.server, cameras, plan.crowd(), camera_pids=[pid]) as stage:
                await stage.join(500)
                await asyncio.sleep(SETTLE)
                plan.result.runs.append(ours := await stage.window("20 cameras", plan.seconds))
        plan.result.runs.append(least := await floor_run(plan, MIDDLE, 500, cameras=20))
        pairs.append(("20 cameras, 25 viewers each", ours, least))
    costs = [ours.microseconds("egress") for _, ours, _ in pairs]
    if len(costs) > 1:
        middle = median(costs)
        spread = max(abs(cost / middle - 1) for cost in costs) * 100
        plan.result.checks.append(Check("egress, deviation of a packet's cost from the median", spread, 20, "%"))
    for (size, _, least), cost in zip(pairs, costs, strict=True):  # the floor is not flat either: caches grow cold
        ratio = cost / (least.microseconds() or nan)
        plan.result.checks.append(Check(f"egress against the floor, {size}", ratio, 2, "x"))


async def thousand(plan: Plan) -> None:
    """Have a thousand viewers at 1 Mb/s on one egress process; then a hundred joins a second while they watch."""
    viewers, checks = plan.viewers or 1000, plan.result.checks
    if not plan.usable([plan.server]):
        return
    with camera(plan, LOW) as source:
        async with staged(plan.server, [source.url], plan.crowd(), camera_pids=[source.pid]) as stage:
            first = min(100, viewers // 2)
            await stage.join(first)
            await asyncio.sleep(SETTLE)
            watching = [viewer.number for viewer in stage.crowd.members]
            meter = stage.meter()
            stage.crowd.begin()
            await stage.join(viewers - first, a_second=100)
            joining = stage.run("while 100 a second join", meter)
            plan.result.runs.append(joining)
            await asyncio.sleep(SETTLE)
            steady = await stage.window("steady", plan.seconds)
            plan.result.runs.append(steady)
    early = Spread.of(viewer.gap_ms for viewer in joining.window.viewers if viewer.number in watching)
    checks.append(Check("viewers connected", steady.window.connected, viewers, at_least=True))
    checks.append(Check("packets lost, not counting our own sockets", _lost(steady) + _lost(joining), 0))
    checks.append(Check("memory of egress a viewer", steady.memory_a_viewer("egress") / 1000, 350, "kB"))
    checks.append(Check("longest gap of those who watched while others joined", early.maximum, 100, "ms"))
    checks.append(Check("cores of egress", steady.measured.of(["egress"]).cpu / steady.measured.seconds, 1.0))


async def latency(plan: Plan) -> None:
    """Delay from the camera to the last datagram of each frame, with a hundred viewers at 4 Mb/s."""
    viewers = plan.viewers or 100
    with camera(plan, FULL_HD) as source:
        for server in plan.usable([_spread(plan.server), *plan.peers]):
            # By UDP the camera sends a frame to us and to the server within some tens of microseconds.
            async with staged(server, [source.url], plan.crowd(), transport="udp", tapped=True) as stage:
                await stage.join(viewers)
                await asyncio.sleep(SETTLE)
                plan.result.runs.append(await stage.window(f"{viewers} viewers", plan.seconds))
    ours = _of(plan.result.runs, plan.server.name)
    if ours is not None:
        delay = ours.window.delay_ms
        plan.result.checks.append(Check("delay, median over frames and viewers", delay.median, 1.5, "ms"))
        plan.result.checks.append(Check("delay, 99th percentile", delay.p99, 8.0, "ms"))


async def ingest(plan: Plan) -> None:
    """Measure a hundred simulated cameras at 2 Mb/s in one ingest process, with one viewer to see that they flow."""
    cameras = plan.viewers or 100
    if not plan.usable([plan.server]):
        return
    with farm.running(plan.clip(MIDDLE), MIDDLE.fps, cameras) as (urls, pid):
        async with staged(plan.server, urls, plan.crowd(), camera_pids=[pid], transport=plan.transport) as stage:
            await stage.crowd.join(stage.running.streams[0])
            await stage.crowd.watching()
            states = await _playing(stage, cameras)
            before = await _arrived(stage)
            run = await stage.window(f"{cameras} cameras", plan.seconds, camera_states=states)
            packets = await _arrived(stage) - before  # a report a second: off by one of them at the most
    cost = round(run.measured.of(["ingest"]).cpu / max(packets, 1) * 1e6, 2)
    plan.result.runs.append(replace(run, notes={**run.notes, "ingest_us_a_packet": cost}))
    share = {role: usage.cpu / run.measured.seconds * 100 for role, usage in run.measured.roles.items()}
    plan.result.checks.append(Check("cameras playing", states.get("playing", 0), cameras, at_least=True))
    plan.result.checks.append(Check("ingest, share of a core", share.get("ingest", 0.0), 60, "%"))
    between = share.get("broker", 0.0) + share.get("relay", 0.0)
    plan.result.checks.append(Check("broker and relay, share of a core", between, 25, "%"))


async def keyframes(plan: Plan) -> None:
    """Keyframes of 200 kB to 300 viewers, beside viewers of a quiet camera; then with viewers whose path is dead."""
    viewers = plan.viewers or 300
    if not plan.usable([plan.server]):
        return
    crowd = plan.crowd(consent=0.5)
    with ExitStack() as stack:
        loud = stack.enter_context(camera(plan, BIG_KEYFRAMES))
        quiet = stack.enter_context(camera(plan, LOW))
        pids = [loud.pid, quiet.pid]
        async with staged(plan.server, [quiet.url, loud.url], crowd, camera_pids=pids, tapped=True) as stage:
            await crowd.join(stage.running.streams[0], 10)
            await crowd.join(stage.running.streams[1], viewers, a_second=50)
            await crowd.watching()
            await asyncio.sleep(SETTLE)
            busy = await stage.window("big keyframes", plan.seconds)
            dead = crowd.members[10 : 10 + viewers // 10]
            crowd.deafen(dead)
            deaf = await stage.window(f"{len(dead)} of them deaf", plan.seconds)
            plan.result.runs += [busy, deaf]
    # Delays are those of the quiet camera, the only one that is tapped.
    for run in (busy, deaf):
        trips, delay = run.window.round_trip_ms, run.window.delay_ms
        plan.result.checks.append(Check(f"{run.label}: STUN round trip, 99th percentile", trips.p99, 20, "ms"))
        plan.result.checks.append(Check(f"{run.label}: delay of the quiet camera, p99", delay.p99, 20, "ms"))
    alive = [viewer.lost for viewer in deaf.window.viewers if viewer.number not in {d.number for d in dead}]
    plan.result.checks.append(Check("packets lost by the others", sum(alive), 0))


async def feedback(plan: Plan) -> None:
    """Viewers report an estimate of their bandwidth, by REMB and by transport-wide feedback; the API shows it."""
    estimate = 3_000_000
    if not plan.usable([plan.server]):
        return
    with camera(plan, FULL_HD) as source:
        for label, options in (("REMB", {"remb": estimate}), ("TWCC", {"twcc": True})):
            async with staged(plan.server, [source.url], plan.crowd(**options), camera_pids=[source.pid]) as stage:
                await stage.crowd.join(stage.running.streams[0], plan.viewers or 5)
                await stage.crowd.watching()
                run = await stage.window(label, max(5.0, plan.seconds / 2))
                shown = [viewer.get("estimated_bandwidth") for viewer in await _api(stage, "viewers")]
                plan.result.runs.append(replace(run, notes={"estimated_bandwidth": shown}))
                known = [value for value in shown if value]
                share = len(known) / max(len(shown), 1) * 100
                plan.result.checks.append(Check(f"{label}: viewers with an estimate", share, 100, "%", at_least=True))
                if label == "REMB" and known:
                    off = max(abs(value / estimate - 1) for value in known) * 100
                    plan.result.checks.append(Check("REMB: estimate against what was reported", off, 1, "%"))


async def _watched(plan: Plan, server: Server, source: GstCamera, viewers: int, label: str) -> Run:
    """A steady window of viewers before one camera."""
    async with staged(server, [source.url], plan.crowd(), camera_pids=[source.pid], tapped=True) as stage:
        await stage.join(viewers)
        await asyncio.sleep(SETTLE)
        return await stage.window(label, plan.seconds)


def _spread(server: Server) -> Server:
    """With two egress processes at least: the last viewer's delay is the time that all before him take."""
    return replace(server, egress=max(2, server.egress)) if isinstance(server, Camshaft) else server


def _of(runs: list[Run], name: str) -> Run | None:
    return next((run for run in runs if run.server == name), None)


def _lost(run: Run) -> int:
    return max(0, run.window.total("lost") - run.window.total("dropped"))


async def _api(stage: Stage, what: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as http, http.get(f"{stage.running.base_url}/api/{what}") as response:
        response.raise_for_status()
        body = await response.json()
        entries: list[dict[str, Any]] = body if isinstance(body, list) else body[what]
        return entries


async def _arrived(stage: Stage) -> int:
    """Packets that ingest has had from all cameras."""
    return sum(track["packets"] for entry in await _api(stage, "cameras") for track in entry["statistics"])


async def _playing(stage: Stage, cameras: int) -> dict[str, int]:
    """How many cameras are in which state, once all play or half a minute has passed."""
    states: dict[str, int] = {}
    for _ in range(60):
        entries = await _api(stage, "cameras")
        states = {}
        for entry in entries:
            state = str(entry.get("state"))
            states[state] = states.get(state, 0) + 1
        if states.get("playing", 0) == cameras:
            break
        await asyncio.sleep(0.5)
    return states
