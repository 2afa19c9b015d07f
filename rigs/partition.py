"""An ingest that is cut off from its broker, while its camera and the way of its media are not, and clocks differ."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from rigs.cable import Cable, cable
from rigs.command import Command
from rigs.load.crowd import Crowd
from rigs.load.players import Page
from rigs.load.watcher import LOOK, Watcher, watching
from rigs.process import free_port
from rigs.wrong_clock import wrong_clock

PORTS = 4  # of a broker: control, media in, media out, join
PATIENCE = 30.0  # seconds until something is there
LASTS = 20.0  # seconds of the cut
REST = 3.0  # seconds
OTHER = "ingest-2"  # which is not cut off


@dataclass(frozen=True, slots=True)
class Seen:
    """The outcome of a cut, in seconds, packets and sessions."""

    dark: float  # longest time without a picture of any viewer
    twice: float  # for so long the camera had two sessions
    worker: str  # that had the camera in the end
    lost: int
    anew: int  # sessions


async def cut_off(url: str, crowd: Crowd, viewers: int, hours: int) -> Seen:
    """Cut the ingest that pulls the camera at ``url`` off from its broker alone; its clock is ``hours`` ahead."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        wire = await stack.enter_async_context(cable(url))
        bus, front = _free_ports(), free_port()
        control, beside = await stack.enter_async_context(_way_round(bus))

        def start(node: str, address: int, **environ: str) -> None:
            place = directory / node
            place.mkdir()
            if node == "broker":
                document = {"cameras": {"cam0": {"url": wire.url, "transport": "tcp"}}}
                (place / "camshaft.yaml").write_text(json.dumps(document))
            own = {"CAMSHAFT_BROKER_ADDRESS": f"tcp://127.0.0.1:{address}", "CAMSHAFT_NODE": node}
            stack.enter_context(Command(place, node.partition("-")[0], environ=own | environ))

        start("broker", bus, CAMSHAFT_HTTP_LISTEN=f"127.0.0.1:{front}")
        start("egress-1", bus)
        start("ingest-1", beside, **wrong_clock(directory / "clock", hours * 3_600))
        http = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{front}"))
        await _until(http, lambda cameras, _: cameras[0]["state"] == "playing")
        start(OTHER, bus)
        await _until(http, lambda _, nodes: len(nodes) == 4)
        watchers = [Watcher(Page(f"ws://127.0.0.1:{front}/ws", "cam0")) for _ in range(viewers)]
        await stack.enter_async_context(watching(crowd, watchers))
        await asyncio.sleep(REST)
        since, twice = time.monotonic(), 0.0
        with control.cut_meanwhile():
            while time.monotonic() - since < LASTS:
                before = time.monotonic()
                await asyncio.sleep(LOOK)
                twice += time.monotonic() - before if wire.connections > 1 else 0.0
            async with http.get("/api/cameras") as response:
                [found] = await response.json()
        streams = [s for w in watchers for v in w.viewers for s in v.streams.values() if s.kind == "video"]
        return Seen(
            max(watcher.longest(since) for watcher in watchers),
            twice,
            found["worker"],
            sum(stream.lost for stream in streams),
            sum(watcher.sessions - 1 for watcher in watchers),
        )


@asynccontextmanager
async def _way_round(bus: int) -> AsyncIterator[tuple[Cable, int]]:
    """Another way to a broker: the cable of its control plane, and the port that stands for the bus."""
    ways = [Cable(f"tcp://127.0.0.1:{bus + offset}") for offset in range(PORTS)]
    beside = _free_ports()
    async with AsyncExitStack() as stack:
        for offset, way in enumerate(ways):
            await stack.enter_async_context(way.laid(beside + offset))
        yield ways[0], beside


def _free_ports() -> int:
    """The first of as many free ports as a broker takes."""
    for _ in range(100):
        first = free_port()
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + PORTS):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise RuntimeError("no four free ports")


async def _until(http: aiohttp.ClientSession, condition: Callable[[list[dict[str, str]], list[object]], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                async with http.get("/api/cameras") as one, http.get("/api/nodes") as other:
                    if condition(await one.json(), await other.json()):
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
