"""Scenarios about single paths: a browser's, a thin one, a dead one. The last two make hosts of their own."""

from __future__ import annotations

import asyncio
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path as FilePath

from bench import floor
from bench.results import Check, Run
from bench.rig import FULL_HD, SETTLE, Plan, Stage, camera, staged
from bench.servers import Server
from bench.servers.camshaft import Camshaft
from rigs import chromium as chromium_rig
from rigs import namespace as namespace_rig
from rigs.chromium import CHROMIUM, Viewing, chromium
from rigs.clip import Clip, access_units
from rigs.load.report import Spread
from rigs.load.signalling import Whep
from rigs.namespace import Link, Namespace, two_hosts
from rigs.path import Path

LONG_GOP = Clip(gop=120)  # 4 s: a viewer that waits for the next keyframe waits long
THIN = Path(rate=10e6, delay=0.03, queue=60_000)  # 48 ms of queue
HEAVY = Clip(noise=20)  # IDR frames of about 150 kB
JOINS = 10


async def browser(plan: Plan) -> None:
    """Join a running stream at random moments, then watch it for a while."""
    if problem := chromium_rig.missing():
        plan.result.skipped.append(problem)
        return
    with camera(plan, LONG_GOP) as source:
        for server in plan.usable([plan.server, *plan.peers]):
            async with staged(server, [source.url], plan.crowd(), camera_pids=[source.pid], tapped=True) as stage:
                await stage.join(plan.viewers or 1)
                plan.result.runs.append(await _watched(plan, stage))
    ours = next((run for run in plan.result.runs if run.server == plan.server.name), None)
    if ours is not None:
        seen = ours.notes
        plan.result.checks += [
            Check("Chromium: click to first picture, median", seen["first_picture_ms"]["median"], 300, "ms"),
            Check("Chromium: frames decoded", seen["decoded_percent"], 95, "%", at_least=True),
            Check("Chromium: freezes", seen["freezes"], 0),
        ]


async def _watched(plan: Plan, stage: Stage) -> Run:
    gather = not isinstance(stage.server, Camshaft)  # it is ICE-lite and needs no candidates of ours
    async with chromium() as visitor:
        first = []
        for _ in range(JOINS):
            await asyncio.sleep(random.uniform(0.0, 1.0))
            viewing = await visitor.whep(_url(stage), gather=gather)
            first.append(await viewing.first_frame_ms())
            await viewing.close()
        viewing = await visitor.whep(_url(stage), gather=gather)
        await viewing.shows(60)
        await viewing.read_codes()
        before, began = await viewing.stats(), time.monotonic()
        async with asyncio.TaskGroup() as group:
            delays = group.create_task(_delays(stage, viewing, access_units(plan.clip(LONG_GOP)), plan.seconds))
            window = group.create_task(stage.window(f"Chromium and {plan.viewers or 1} more", plan.seconds))
        after, passed = await viewing.stats(), time.monotonic() - began
        await viewing.close()
    run, decoded = window.result(), after.frames_decoded - before.frames_decoded
    notes = {
        "first_picture_ms": asdict(Spread.of(first)),
        "camera_to_screen_ms": asdict(Spread.of(delays.result())),
        "decoded_percent": round(decoded / (passed * LONG_GOP.fps) * 100, 1),
        "freezes": after.freezes - before.freezes,
        "srtp_cipher": after.srtp_cipher,
    }
    return replace(run, notes={**run.notes, **notes})


async def _delays(stage: Stage, viewing: Viewing, units: list[bytes], seconds: float) -> list[float]:
    """Milliseconds from the camera's last packet of each frame to its being shown, by the numbers in the picture."""
    assert stage.tap is not None
    found, seen = [], 0.0
    for _ in range(round(seconds)):
        await asyncio.sleep(1.0)
        for frame in await viewing.frames():  # soon enough: the clip's numbers come again after some seconds
            sent = stage.tap.frame_sent_ns(units[frame.code]) if frame.code is not None else None
            if frame.shown > seen and sent is not None:
                seen = frame.shown
                found.append(frame.shown - sent / 1e6)
    return found


async def pacing(plan: Plan) -> None:
    """Send keyframes of 150 kB, at 4 Mb/s, over a thin link: ours, and the floor, which sends all at once."""
    checks = plan.result.checks
    with _hosts(plan) as (_server_host, viewer_host, link, server):  # noqa: SIM117  # the camera is on that host
        with camera(plan, HEAVY) as source, tempfile.TemporaryDirectory(prefix="bench-") as directory:
            async with staged(server, [source.url], plan.crowd(), camera_pids=[source.pid]) as stage:
                with viewer_host.entered():
                    await stage.join(1)
                await asyncio.sleep(2 * SETTLE)
                run, lost = await _over(link, stage, "thin link", plan.seconds)
                plan.result.runs.append(run)
                checks.append(Check("packets lost at the thin link", lost, 0.1, "%"))
                await stage.crowd.leave(stage.crowd.members)
                unpaced = await _unpaced(plan, viewer_host, link, FilePath(directory))
                checks.append(Check("unpaced bursts lose more there", unpaced, lost, "%", at_least=True))
                link.change(down=replace(THIN, loss=0.05, queue=400_000))
                await _frozen(plan, stage, viewer_host, FilePath(directory))


async def _over(link: Link, stage: Stage, label: str, seconds: float) -> tuple[Run, float]:
    """A window, and the share of packets in per cent that the link's full queue lost in it."""
    before = link.counts()["down"]
    run = await stage.window(label, seconds)
    return run, _lost(before, link.counts()["down"])


async def _unpaced(plan: Plan, viewer_host: Namespace, link: Link, directory: FilePath) -> float:
    async with plan.crowd() as crowd:
        with viewer_host.entered():
            audience = floor.invite(crowd, 1, viewer_host.address)
        with floor.running(audience, plan.clip(HEAVY), HEAVY.fps, directory):
            await asyncio.sleep(SETTLE)
            before = link.counts()["down"]
            await asyncio.sleep(plan.seconds)
            return _lost(before, link.counts()["down"])


async def _frozen(plan: Plan, stage: Stage, viewer_host: Namespace, directory: FilePath) -> None:
    if problem := chromium_rig.missing():
        plan.result.skipped.append(problem)
        return
    seconds = 3 * plan.seconds  # a single freeze takes 0.2 s
    async with chromium(viewer_host.wrapper(CHROMIUM, directory)) as visitor:
        viewing: Viewing = await visitor.whep(_url(stage))
        await viewing.shows(60, seconds=30)
        before = await viewing.stats()
        await asyncio.sleep(seconds)
        after = await viewing.stats()
        await viewing.close()
    frozen = (after.freeze_seconds - before.freeze_seconds) / seconds * 100
    plan.result.checks.append(Check("Chromium, 5 % random loss on that link: time frozen", frozen, 1, "%"))


async def stuck(plan: Plan) -> None:
    """Fifty viewers, and one whose packets pile up in the kernel for ever: the shared socket's buffer is the danger."""
    viewers = plan.viewers or 50
    with _hosts(plan, Path()) as (server_host, viewer_host, _link, server), camera(plan, FULL_HD) as source:
        async with staged(server, [source.url], plan.crowd(), camera_pids=[source.pid]) as stage:
            await stage.join(viewers)
            with viewer_host.entered():
                [victim] = await stage.crowd.join(stage.running.streams[0])
            await asyncio.sleep(SETTLE)
            plan.result.runs.append(await stage.window("before", plan.seconds))
            try:
                _clog(server_host)
            except subprocess.CalledProcessError as exc:
                plan.result.skipped.append(f"the path cannot be stuck: {exc.stderr.decode().strip()}")
                return
            run = await stage.window("one path stuck", plan.seconds)
            plan.result.runs.append(run)
    others = [counts for counts in run.window.viewers if counts.number != victim.number]
    gaps = Spread.of(counts.gap_ms for counts in others)
    plan.result.checks += [
        Check("packets lost by the others", sum(counts.lost for counts in others), 0),
        Check("longest gap of the others", gaps.maximum, 100, "ms"),
    ]


def _url(stage: Stage) -> str:
    stream = stage.running.streams[0]
    if not isinstance(stream, Whep):
        raise TypeError(f"{stage.server.name} does not speak WHEP")
    return stream.url


@contextmanager
def _hosts(plan: Plan, down: Path = THIN) -> Iterator[tuple[Namespace, Namespace, Link, Server]]:
    """Two hosts; we are on the server's, and so is everything that is started. The server listens on its address."""
    if problem := namespace_rig.missing():
        raise RuntimeError(problem)
    if not isinstance(plan.server, Camshaft):
        raise TypeError("only Camshaft can be started on another host")
    with two_hosts(down) as (server_host, viewer_host, link), server_host.entered():
        yield server_host, viewer_host, link, replace(plan.server, host=server_host.address)


def _clog(host: Namespace) -> None:
    """Let packets that leave ``host`` wait in the kernel from now on: 64 kbit/s and a queue without bounds."""
    command = "tc qdisc add dev wire root tbf rate 64kbit burst 2kb limit 100mb"
    subprocess.run(host.command(*command.split()), check=True, capture_output=True)


def _lost(before: dict[str, int], after: dict[str, int]) -> float:
    """Per cent of packets that a full queue has lost between two readings."""
    lost = after.get("queue_full", 0) - before.get("queue_full", 0)
    passed = after.get("passed", 0) - before.get("passed", 0)
    return round(lost / max(lost + passed, 1) * 100, 3)
