"""A new ingest takes its share of the cameras while people watch: nobody misses a picture."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from broker.director import shares
from rigs.command import Command
from rigs.load.crowd import Crowd
from rigs.load.signalling import Whep
from rigs.process import ROOT, free_port
from tests.fakes.broker import broker_in

pytestmark = [pytest.mark.e2e, pytest.mark.quiet]

PATIENCE = 60.0  # seconds
LONGEST_GAP = (
    1_000.0  # ms between two pictures, on a machine that is busy with other tests; a camera that is let go takes more
)
CAMERAS = ("a", "b", "c", "d")


async def test_a_new_ingest_takes_its_share_and_no_viewer_misses_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "SETTLED", 1.0)
    address = f"127.0.0.1:{free_port()}"
    cameras = {name: {"url": f"rtsp://{address}/"} for name in CAMERAS}
    with ExitStack() as stack:

        def start(name: str, *arguments: str, **environ: str) -> None:
            (tmp_path / name).mkdir()
            stack.enter_context(Command(tmp_path / name, *arguments, environ={"PYTHONPATH": str(ROOT)} | environ))

        start("camera", "demo-camera", "--listen", address, "--size", "320x240")
        async with broker_in(tmp_path, cameras=cameras) as broker:
            bus = {"CAMSHAFT_BROKER_ADDRESS": broker.endpoints.address}
            for node in ("ingest-1", "egress-1"):
                start(node, node[:-2], CAMSHAFT_NODE=node, **bus)

            async def until_cameras_are_at(*counts: int) -> None:
                async with asyncio.timeout(PATIENCE):
                    while True:
                        cameras = await broker.json("/api/cameras")
                        playing = [camera["worker"] for camera in cameras if camera["state"] == "playing"]
                        if sorted(map(playing.count, set(playing))) == list(counts):
                            return
                        await asyncio.sleep(0.1)

            await until_cameras_are_at(4)
            async with Crowd() as crowd, asyncio.timeout(PATIENCE):
                for name in CAMERAS:
                    while not await crowd.join(Whep(f"{broker.url}whep/{name}")):  # noqa: ASYNC110 - HTTP has no event
                        await asyncio.sleep(0.1)
                await crowd.watching(seconds=PATIENCE)
                crowd.begin()
                start("ingest-2", "ingest", CAMSHAFT_NODE="ingest-2", **bus)
                await until_cameras_are_at(2, 2)
                await asyncio.sleep(1)  # pictures of all
                found = crowd.end().viewers
                print([(viewer.frames, viewer.gap_ms) for viewer in found])
                assert [(viewer.state, viewer.lost, viewer.restarts) for viewer in found] == [("connected", 0, 0)] * 4
                assert all(viewer.gap_ms < LONGEST_GAP for viewer in found)
