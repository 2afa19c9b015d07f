"""A cluster of separate processes whose workers join by tokens, as on several machines: a viewer gets pictures."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rigs.command import BOUND, ROOT, Command, wait_until
from rigs.process import free_port
from tests.fakes.private_bus import free_tcp_endpoints

pytestmark = pytest.mark.e2e


def token(directory: Path, role: str) -> str:
    command = [sys.executable, "-P", "-m", "camshaft", "token", "worker", "--role", role, "--uses", "1"]
    made = subprocess.run(
        command, cwd=directory, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=BOUND, check=True
    )
    return made.stdout.strip()


def count(cluster: Command, name: str) -> int:
    """A counter of all nodes together."""
    return sum(node["counters"].get(name, 0) for node in cluster.get("/api/nodes") or ())


class Machines:
    """The broker's machine and those of its workers, each with a directory of its own."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._bus = {"CAMSHAFT_BROKER_ADDRESS": free_tcp_endpoints().address}
        self.front = f"127.0.0.1:{free_port()}"
        camera = f"127.0.0.1:{free_port()}"
        (directory / "broker").mkdir()
        self.tokens = {role: token(directory / "broker", role) for role in ("ingest", "egress")}
        self.start("camera", "demo-camera", "--listen", camera, "--size", "320x240")
        self.broker = self.start_broker(camera)
        self.workers = {
            role: self.start(role, role, CAMSHAFT_NODE=f"{role}-1", CAMSHAFT_CLUSTER_TOKEN=self.tokens[role])
            for role in self.tokens
        }

    def start(self, place: str, *arguments: str, **environ: str) -> Command:
        directory = self._directory / place
        directory.mkdir(exist_ok=True)
        return self._stack.enter_context(Command(directory, *arguments, environ=self._bus | environ))

    def start_broker(self, camera: str) -> Command:
        broker = self.start(
            "broker", "broker", CAMSHAFT_HTTP_LISTEN=self.front, CAMSHAFT_CAMERA=f"door=rtsp://{camera}/"
        )
        broker.page = f"http://{self.front}"
        return broker

    def camera_plays(self) -> bool:
        return [each["state"] for each in self.broker.get("/api/cameras") or ()] == ["playing"]

    def count(self, name: str) -> int:
        return count(self.broker, name)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(tmp_path, stack)


async def watch(front: str) -> RTCPeerConnection:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", "recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"http://{front}/whep/door",
            data=peer.localDescription.sdp,
            headers={"Content-Type": "application/sdp"},
        ) as response,
    ):
        assert response.status == 201, await response.text()
        await peer.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
    return peer


async def test_a_viewer_gets_pictures(machines: Machines) -> None:
    await asyncio.to_thread(wait_until, machines.camera_plays, "the camera does not play")
    peer = await watch(machines.front)
    video = peer.getReceivers()[0].track
    async with asyncio.timeout(BOUND):
        for _ in range(30):
            frame = await video.recv()
    assert (frame.width, frame.height) == (320, 240)
    assert machines.count("media_forged") == 0
    await peer.close()


async def test_a_token_that_is_used_up_lets_no_other_worker_in_and_it_says_so(
    machines: Machines, tmp_path: Path
) -> None:
    await asyncio.to_thread(wait_until, lambda: machines.count("joined") == 2, "the workers do not join")
    late = machines.start("late", "egress", CAMSHAFT_NODE="late", CAMSHAFT_CLUSTER_TOKEN=machines.tokens["egress"])
    assert await asyncio.to_thread(late.process.wait, BOUND) == 2
    assert "has been used as often as it may be; make another with `camshaft token worker`" in late.stderr


def test_serve_lets_its_own_workers_in(tmp_path: Path) -> None:
    token(tmp_path, "egress")
    address = free_tcp_endpoints().address
    with Command(tmp_path, "serve", environ={"CAMSHAFT_BROKER_ADDRESS": address}) as cluster:
        cluster.ready()  # which does not wait for a worker that converts
        wait_until(lambda: count(cluster, "joined") == 4, "the workers and the relay do not join")
