"""Strangers and cameras ask for what is not theirs, beside a viewer: it loses no picture, and nobody learns anything.

Everything that is told to people or to a camera is looked through for what belongs to somebody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from common.sessions import public_name
from ingest.rtsp.auth import Challenge
from rigs.browser import Browser
from rigs.bystander import unharmed, watching
from rigs.camera import FakeCamera
from rigs.clip import SMALL
from rigs.cluster import Cluster
from rigs.gst_camera import GstCamera
from rigs.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet, pytest.mark.timeout(240)]

OFFER = {"Content-Type": "application/sdp"}
SAID = b"220 the-inner-host ready, password=open-sesame\r\n"  # by a service of the inner network
TURN = "a-password-of-turn"
ELSEWHERE = "https://elsewhere.example"
DEAF = 10  # WebSockets whose reader never reads
LINES = 200  # of log that 1,500 bad requests may cause
PATIENCE = 60.0  # seconds


@contextlib.asynccontextmanager
async def inner_service() -> AsyncIterator[tuple[int, list[bytes]]]:
    """A service that speaks first: its port, and what it was told."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SAID)
        with contextlib.suppress(OSError):
            heard.append(await reader.read(1 << 16))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


async def state_of(http: aiohttp.ClientSession, camera: str, *states: str) -> str:
    """Wait until the camera has one of these states; all that is told of it, as text."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with http.get(f"/api/cameras/{camera}") as answer:
                told = await answer.json()
            if told["state"] in states:
                return str(told)
            await asyncio.sleep(0.1)


async def cameras_are_told_nothing(http: aiohttp.ClientSession) -> None:
    """An inner service that is asked as a camera echoes nothing; who has had a Digest gets no password in clear."""
    camera = FakeCamera(username="viewer", password="of-camera", challenges=[Challenge.digest("camera")])
    async with inner_service() as (port, heard), camera:
        urls = {"inner": f"rtsp://admin:of-nobody@127.0.0.1:{port}/", "digest": camera.login_url}
        for name, url in urls.items():
            async with http.post("/api/cameras", json={"id": name, "url": url}) as answer:
                assert answer.status == 201
        assert "open-sesame" not in await state_of(http, "inner", "not_rtsp", "closed", "malformed")
        assert not any(b"of-nobody" in each for each in heard)
        await state_of(http, "digest", "playing")
        camera.challenges[:] = [Challenge.basic("camera")]
        camera.drop()
        await state_of(http, "digest", "unauthorized")
        ways = {(request.headers.get("Authorization") or "").partition(" ")[0] for request in camera.requests}
        assert ways <= {"", "Digest"}, "a password went out in clear"
        for name in urls:
            async with http.delete(f"/api/cameras/{name}") as answer:
                assert answer.status == 204


async def sessions_are_their_own(http: aiohttp.ClientSession, running: Cluster) -> None:
    """A session's secret name stands in no list and no log, its public one gives no right; nor is TURN's password."""
    async with http.post("/whep/yard", data=Browser().offer(), headers=OFFER | {"Origin": ELSEWHERE}) as answer:
        assert answer.status == 201
        assert TURN not in str(answer.headers)
        at = answer.headers["Location"].partition("?")[0]
    secret = at.rpartition("/")[2]
    for path in ("/api/viewers", "/api/nodes", "/metrics", "/api/cameras", "/api/why"):
        async with http.get(path) as answer:
            assert secret not in await answer.text()
    for method in ("DELETE", "PATCH"):
        async with http.request(method, f"/whep/yard/{public_name(secret)}", data="x") as answer:
            assert answer.status in (404, 415), "its public name is no key"
    assert secret not in running.log
    async with http.delete(at) as answer:
        assert answer.status == 200


async def costly_addresses(http: aiohttp.ClientSession) -> None:
    """Addresses that are as long as a body may be, and costly to look through for a password."""
    for url in ("rtsp://" + "a:b@" * 15_000, "rtsp" + "://" * 20_000, "turn:" * 12_000, "rtsp://h/?" + "pw=" * 20_000):
        for _ in range(5):
            async with http.post("/api/cameras", json={"id": "costly", "url": url}) as answer:
                assert 400 <= answer.status < 500
            async with http.patch("/api/cameras/yard", json={"url": url}) as answer:
                assert 400 <= answer.status < 500


async def the_log_stays_short(http: aiohttp.ClientSession, running: Cluster) -> None:
    """The log gets a few lines, whatever strangers do often."""
    before = running.log.count("\n")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(DEAF):
            socket = await stack.enter_async_context(http.ws_connect("/ws"))
            for _ in range(20):
                await socket.send_json({"type": "subscribe"})
        for number in range(500):
            for path, data in (("/whep/yard", "v=0"), (f"/whep/no-{number}", "v=0"), ("/api/login", "{")):
                async with http.post(path, data=data, headers=OFFER) as answer:
                    assert answer.status < 500
    assert running.log.count("\n") - before < LINES


def files_are_private(running: Cluster, directory: Path) -> None:
    """Sockets, locks and databases are their owner's."""
    sockets = [*Path(running.bus.removeprefix("ipc://")).iterdir(), *directory.glob("camshaft.db*")]
    assert {
        f"{path.name} {stat.S_IMODE(path.stat().st_mode):o}" for path in sockets if path.stat().st_mode & 0o077
    } == set()


async def the_database_comes_back(http: aiohttp.ClientSession, directory: Path) -> None:
    """A camera that was answered with 201 is on the disk, though somebody deletes the file under the broker."""
    database = directory / "camshaft.db"
    for each in directory.glob("camshaft.db*"):
        if each.name in ("camshaft.db", "camshaft.db-wal", "camshaft.db-shm"):
            each.unlink()
    async with http.post("/api/cameras", json={"id": "late", "url": "rtsp://127.0.0.1:9/"}) as answer:
        assert answer.status in (201, 503)
        stored = answer.status == 201
    await until(database.exists, PATIENCE)
    files = [each for each in directory.glob("camshaft.db*") if each.suffix in (".db", ".db-wal")]
    assert any(b"late" in each.read_bytes() for each in files) == stored  # the broker alone may read it as a database
    async with http.delete("/api/cameras/late"):
        pass


async def test_what_is_not_theirs_is_told_to_nobody(
    tmp_path: Path, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    config = {"auth": {"mode": "none"}, "http": {"ice_servers": [f"turn:user:{TURN}@127.0.0.1:9"]}}
    running: Cluster = await cluster({"yard": gst_camera(SMALL).url}, config=config)
    async with aiohttp.ClientSession(running.url) as http, unharmed(running, "yard"):
        await cameras_are_told_nothing(http)
        await sessions_are_their_own(http, running)
        await costly_addresses(http)
        await the_log_stays_short(http, running)
        files_are_private(running, tmp_path)
        await the_database_comes_back(http, tmp_path)


async def test_an_offer_that_its_egress_did_not_outlive_is_given_to_no_other(
    cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    """An egress that hangs has not answered, and is killed for it: the offer may be why."""
    config = {"limits": {"egress_viewers": 1}}
    running: Cluster = await cluster({"yard": gst_camera(SMALL).url}, egress=2, config=config)
    async with aiohttp.ClientSession(running.url) as http, watching(running.whep("yard")) as bystander:
        async with http.get("/api/viewers") as answer:
            (viewer,) = await answer.json()
        (other,) = {"egress-0", "egress-1"} - {viewer["node"]}
        await bystander.seen()
        os.kill(await pid_of(http, other), signal.SIGSTOP)
        async with http.post("/whep/yard", data=Browser().offer(), headers=OFFER) as answer:
            refused = await answer.json()
            assert (answer.status, refused["code"] in ("egress_died", "egress_timeout")) == (503, True), refused
        async with http.get("/api/nodes") as answer:
            counters = {node["node"]: node["counters"] for node in await answer.json()}
        assert not counters[viewer["node"]].get("refused"), "the other egress was asked as well"
        seen = await bystander.seen()
        assert (seen.lost, seen.frames > 0) == (0, True)
        print(f"bystander: {seen}")


async def pid_of(http: aiohttp.ClientSession, node: str) -> int:
    async with http.get("/api/nodes") as answer:
        return next(int(each["pid"]) for each in await answer.json() if each["node"] == node)
