"""Pictures do not pass the front door: the broker stands still, dies and comes back, and no batch is missing.

It stands still under load, for half a minute, which leaves no process with more memory than before.

Each process is started by its own command, as on several machines: TCP and CURVE between them.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from rigs.bystander import GROWTH, SLACK
from rigs.clip import SMALL
from rigs.command import wait_until
from rigs.gst_camera import GstCamera
from rigs.load.crowd import Crowd
from rigs.load.signalling import Whep
from tests.fakes.parts import Parts

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.timeout(240)]

VIEWERS = 3
STANDS_STILL = 30.0  # seconds, under load
STOPPED = 25 * SMALL.fps  # pictures that are watched meanwhile
STRANGERS = 40  # of each kind
PATIENCE = 60.0  # seconds


@pytest.fixture
def parts(tmp_path: Path, gst_camera: Callable[..., GstCamera]) -> Iterator[tuple[Parts, GstCamera]]:
    camera = gst_camera(transports=("tcp",))
    with ExitStack() as stack:
        cluster = Parts(stack, tmp_path, camera.url)
        for name in ("relay", "broker", "ingest", "egress"):
            cluster.start(name)
        wait_until(lambda: (cluster.get("/readyz") or {}).get("status") == "ready", "they do not find each other")
        yield cluster, camera


async def test_a_broker_that_stands_still_or_dies_costs_no_batch_and_nothing_is_there_twice(
    parts: tuple[Parts, GstCamera],
) -> None:
    cluster, camera = parts

    async def settled(what: str) -> None:
        await asyncio.to_thread(wait_until, lambda: cluster.is_as_before(camera, VIEWERS), what, PATIENCE)

    async with Crowd() as crowd:
        assert len(await crowd.join(Whep(f"http://{cluster.listen}/whep/front-door"), VIEWERS)) == VIEWERS
        await crowd.watching(seconds=PATIENCE)
        await settled("it does not play")

        async def shown(pictures: int) -> None:
            """Wait until each viewer has had so many more."""
            before = {viewer.number: viewer.frames for viewer in crowd.end().viewers}
            async with asyncio.timeout(PATIENCE):
                while any(  # noqa: ASYNC110 - looked for, as in Crowd.watching
                    viewer.frames < before[viewer.number] + pictures for viewer in crowd.end().viewers
                ):
                    await asyncio.sleep(0.1)

        await shown(SMALL.fps)
        before = cluster.counted("egress")
        crowd.begin()
        async with no_more_memory(cluster):
            await stands_still_under_load(cluster, lambda: shown(STOPPED))
            await settled("it is not as it was before the broker stood still")
        cluster.signal("broker", signal.SIGKILL)
        await shown(SMALL.fps)
        cluster.start("broker")
        await settled("it is not as it was before the broker died")
        await shown(SMALL.fps)
        window, after = crowd.end(), cluster.counted("egress")
        print("longest gaps", [viewer.gap_ms for viewer in window.viewers])
        for name in ("gaps", "lost", "replays", "stale", "old_epoch"):
            assert after.get(name, 0) == before.get(name, 0), f"{name}: every batch came once, and none from a cache"
        assert [viewer.lost for viewer in window.viewers] == [0] * VIEWERS
        assert [viewer.duplicates for viewer in window.viewers] == [0] * VIEWERS

        cluster.signal("relay", signal.SIGKILL)
        cluster.start("relay")
        await shown(2 * SMALL.fps)
        await settled("it is not as it was before the relay died")


async def stands_still_under_load(cluster: Parts, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Workers report to the broker, pages and strangers talk to it, and nobody is heard for half a minute."""
    url = f"http://{cluster.listen}"

    async def talk(http: aiohttp.ClientSession) -> None:
        """A page that says whatever it likes, as long as it is let."""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with http.ws_connect(f"{url}/ws") as socket:
                await socket.send_json({"type": "subscribe"})
                while True:
                    await socket.send_json({"type": "ping", "more": "x" * 4_000})
                    await asyncio.sleep(0.05)

    async def ask(http: aiohttp.ClientSession) -> None:
        """Offers that are no offers, one after the other."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with http.post(f"{url}/whep/front-door", data="v=0", timeout=aiohttp.ClientTimeout(5)):
                    pass
            await asyncio.sleep(0.05)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        load = [asyncio.create_task(each(http)) for each in (talk, ask) for _ in range(STRANGERS)]
        await asyncio.sleep(1.0)
        cluster.signal("broker", signal.SIGSTOP)
        await asyncio.gather(asyncio.sleep(STANDS_STILL), meanwhile())
        cluster.signal("broker", signal.SIGCONT)
        await asyncio.sleep(1.0)
        for task in load:
            task.cancel()
        await asyncio.wait(load)


@asynccontextmanager
async def no_more_memory(cluster: Parts) -> AsyncIterator[None]:
    """No process has more memory afterwards than before."""
    pids = {name: command.process.pid for name, command in cluster.running.items()}
    before = {name: psutil.Process(pid).memory_info().rss for name, pid in pids.items()}
    yield

    def grown() -> dict[str, tuple[int, int]]:
        now = {name: psutil.Process(pid).memory_info().rss for name, pid in pids.items()}
        return {
            name: (size >> 20, now[name] >> 20)
            for name, size in before.items()
            if now[name] > size * (1 + GROWTH) + SLACK
        }

    await asyncio.to_thread(wait_until, lambda: not grown(), "memory is not given back", PATIENCE)
    print(
        "memory, MB",
        {name: (size >> 20, psutil.Process(pids[name]).memory_info().rss >> 20) for name, size in before.items()},
    )
