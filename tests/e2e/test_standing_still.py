"""A worker stands still for ten seconds and goes on: others have its part by then, and nothing is there twice."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from rigs.command import wait_until
from rigs.gst_camera import GstCamera
from rigs.load.crowd import Crowd
from rigs.load.players import Page
from rigs.load.watcher import Watcher, watching
from tests.fakes.parts import Parts

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.timeout(240)]

VIEWERS = 3
STANDS_STILL = 10.0  # seconds
DARK = 6.0  # seconds, on a machine that has much else to do; 1.6 until one that is silent is given up
PATIENCE = 60.0  # seconds


async def test_the_part_of_each_is_anothers_and_is_there_once(
    tmp_path: Path, gst_camera: Callable[..., GstCamera]
) -> None:
    camera = gst_camera(transports=("tcp",))
    with ExitStack() as stack:
        cluster = Parts(stack, tmp_path, camera.url)
        for name in ("relay", "broker", "ingest-1", "egress-1"):
            cluster.start(name)
        await asyncio.to_thread(wait_until, lambda: ready(cluster), "they do not find each other", PATIENCE)
        way = f"ws://{cluster.listen}/ws"
        watchers = [Watcher(Page(way, "front-door")) for _ in range(VIEWERS)]
        async with watching(Crowd(), watchers):
            for name in ("ingest-2", "egress-2"):  # all is with the first ones
                cluster.start(name)
            for victim, anew in (("ingest", 0), ("egress", 1)):
                await settled(cluster, camera, "it does not play")
                since = time.monotonic()
                cluster.signal(f"{victim}-1", signal.SIGSTOP)
                await asyncio.sleep(STANDS_STILL)
                dark = max(watcher.longest(since) for watcher in watchers)
                cluster.signal(f"{victim}-1", signal.SIGCONT)
                await settled(cluster, camera, "something is there twice, or not at all")
                again = max(watcher.longest(since) for watcher in watchers)
                print(f"{victim}: {dark:.2f} s without a picture, {again:.2f} s with what followed")
                assert again < DARK, victim
                assert [watcher.sessions - 1 for watcher in watchers] == [anew] * VIEWERS


def ready(cluster: Parts) -> bool:
    return (cluster.get("/readyz") or {}).get("status") == "ready"


async def settled(cluster: Parts, camera: GstCamera, otherwise: str) -> None:
    await asyncio.to_thread(wait_until, lambda: cluster.is_as_before(camera, VIEWERS), otherwise, PATIENCE)
