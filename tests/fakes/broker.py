"""A whole broker in the test's own process and directory, and an HTTP client for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from broker.server import run
from common.config import Config
from common.endpoints import Endpoints
from common.reloader import Reloader
from tests.fakes.private_bus import private_endpoints

PATIENCE = 10.0  # seconds


CAMERAS = {"door": {"url": "rtsp://user:secret@host/door"}, "yard": {"url": "rtsp://host/yard"}}


@dataclass
class RunningBroker:
    """A broker that runs: its addresses, and how to talk to it."""

    endpoints: Endpoints
    url: str
    http: aiohttp.ClientSession
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def json(self, path: str) -> Any:
        """The answer to a GET."""
        async with self.http.get(path) as response:
            return await response.json()

    async def until(self, path: str, condition) -> Any:
        """The first answer that satisfies the condition; asked over and over."""
        async with asyncio.timeout(PATIENCE):
            while not condition(answer := await self.json(path)):  # noqa: ASYNC110 - HTTP has no event to wait for
                await asyncio.sleep(0.01)
        return answer

    async def counter(self, name: str) -> int:
        """How often something has happened in the broker so far."""
        return (await self.json("/api/nodes"))[0]["counters"].get(name, 0)


@asynccontextmanager
async def running_broker(
    config: Config, endpoints: Endpoints, reloader: Reloader | None = None
) -> AsyncIterator[RunningBroker]:
    """Run ``broker.server.run`` until left."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run(config, stop, ready.set_result, reloader))
    done, _ = await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task in done:
        ready.cancel()
        await task  # raises
    try:
        async with aiohttp.ClientSession(ready.result(), connector=aiohttp.TCPConnector(ssl=False)) as http:
            yield RunningBroker(endpoints, ready.result(), http, stop, task)
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


def configuration(directory: Path, endpoints: Endpoints, **sections: Any) -> Config:
    """A configuration for one test: any free port, and everything else in its own directory."""
    document = {
        "http": {"listen": "127.0.0.1:0"},
        "broker": {"address": endpoints.address},
        "store": {"path": directory / "camshaft.db"},
    }
    return Config.model_validate(document | sections)


@asynccontextmanager
async def broker_in(directory: Path, **sections: Any) -> AsyncIterator[RunningBroker]:
    """A broker of the test's own."""
    with private_endpoints() as endpoints:
        async with running_broker(configuration(directory, endpoints, **sections), endpoints) as broker:
            yield broker
