"""A broker follows its file while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from aiohttp import WSServerHandshakeError

from broker.access.tokens import digest_of
from broker.live import register
from common.config import Config
from common.config_file import load
from common.live import Live, within
from common.reloader import Reloader
from common.settings import LIVE
from tests.fakes.broker import RunningBroker, configuration, running_broker
from tests.fakes.private_bus import private_endpoints
from tests.fakes.workers import FakeEgress

TURN = "turn:user:hunter2@turn.example.org"


class Follower:
    """A broker, and the file that it follows."""

    def __init__(self, directory: Path, base: Config) -> None:
        self.file = directory / "camshaft.yaml"
        self._base = {
            "http": {"listen": base.http.listen},
            "broker": {"address": base.broker.address},
            "store": {"path": str(base.store.path)},
        }
        self.write()
        self.reloader = Reloader(lambda: load(self.file, environ={}), (self.file,))
        self.broker: RunningBroker

    def write(self, http: dict | None = None, **sections: object) -> None:
        document = self._base | sections
        document["http"] = {**self._base["http"], **(http or {})}
        self.file.write_text(yaml.safe_dump(document))

    def change(self, http: dict | None = None, **sections: object) -> None:
        """Write the file, and have it read."""
        self.write(http, **sections)
        self.reloader.ask()


@asynccontextmanager
async def following(directory: Path) -> AsyncIterator[Follower]:
    with private_endpoints() as endpoints:
        follower = Follower(directory, configuration(directory, endpoints))
        async with running_broker(follower.reloader.config, endpoints, follower.reloader) as follower.broker:
            yield follower


async def test_cameras_come_and_go_with_the_file(tmp_path: Path) -> None:
    async with following(tmp_path) as follower:
        follower.change(cameras={"door": {"url": "rtsp://door/"}, "yard": {"url": "rtsp://yard/"}})
        await follower.broker.until("/api/cameras", lambda found: {each["id"] for each in found} == {"door", "yard"})
        follower.change(cameras={"yard": {"url": "rtsp://other/"}})
        await follower.broker.until(
            "/api/cameras", lambda found: [(each["id"], each["url"]) for each in found] == [("yard", "rtsp://other/")]
        )


async def test_the_names_of_the_server_follow_the_file(tmp_path: Path) -> None:
    async with following(tmp_path) as follower:
        http, page = follower.broker.http, {"Host": "Cam.example.org"}
        async with http.get("/healthz", headers=page) as response:
            assert response.status == 421
        follower.change(http={"hosts": ["cam.EXAMPLE.org"]}, cameras={"door": {"url": "rtsp://door/"}})
        await follower.broker.until("/api/cameras", lambda found: "code" in found)
        async with http.get("/healthz", headers=page) as response:
            assert response.status == 200
        async with http.get("/api/cameras") as response:
            assert response.status == 401, "a proxy leads others here from now on"
        follower.change(cameras={"door": {"url": "rtsp://door/"}})
        async with http.get("/healthz", headers=page) as response:
            while response.status == 200:
                await asyncio.sleep(0.01)
                response = await http.get("/healthz", headers=page)
        async with http.get("/api/cameras") as response:
            assert response.status == 401, "a door that was closed stays so until the next start"


async def test_ice_servers_follow_the_file(tmp_path: Path) -> None:
    async with following(tmp_path) as follower:
        follower.change(http={"ice_servers": [TURN]}, cameras={"door": {"url": "rtsp://door/"}})
        await follower.broker.until("/api/cameras", lambda found: found)
        async with FakeEgress(follower.broker.endpoints, "out-1"):
            await follower.broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
            headers = {"Content-Type": "application/sdp"}
            async with follower.broker.http.post("/whep/door", data="v=0", headers=headers) as response:
                assert response.status == 201
                assert "hunter2" in response.headers["Link"]


async def test_limits_follow_the_file(tmp_path: Path) -> None:
    async with following(tmp_path) as follower:
        http = follower.broker.http
        async with http.ws_connect("/ws"):
            limits = {"sockets": 1, "cameras": 1, "body_bytes": 20_000}
            follower.change(limits=limits, cameras={"door": {"url": "rtsp://door/"}})
            await follower.broker.until("/api/cameras", lambda found: found)
            with pytest.raises(WSServerHandshakeError, match="503"):
                await http.ws_connect("/ws")
            async with http.post("/api/cameras", json={"id": "yard", "url": "rtsp://yard/"}) as response:
                assert (await response.json())["code"] == "limit_cameras"
            offer = {"data": " " * 30_000, "headers": {"Content-Type": "application/sdp"}}
            async with http.post("/whep/door", **offer) as response:
                assert response.status == 413
            follower.change(limits={"sockets": 2, "cameras": 2}, cameras={"door": {"url": "rtsp://other/"}})
            await follower.broker.until("/api/cameras", lambda found: found[0]["url"] == "rtsp://other/")
            async with http.ws_connect("/ws"):
                pass
            async with http.post("/api/cameras", json={"id": "yard", "url": "rtsp://yard/"}) as response:
                assert response.status == 201


ROOT = {"root": {"sha256": digest_of("t-root"), "role": "admin"}}
WALL = {"wall": {"sha256": digest_of("t-wall"), "cameras": ["*"]}}
HALL = {"hall": {"sha256": digest_of("t-hall"), "cameras": ["*"]}}


@pytest.mark.thorough
async def test_who_may_do_what_follows_the_file(tmp_path: Path) -> None:
    cameras = {"door": {"url": "rtsp://door/"}}
    async with following(tmp_path) as follower:
        http = follower.broker.http
        follower.change(auth={"tokens": ROOT | WALL | HALL}, cameras=cameras)
        async with asyncio.timeout(10):
            while (await http.get("/api/cameras")).status != 401:  # noqa: ASYNC110 - HTTP has no event to wait for
                await asyncio.sleep(0.01)
        async with FakeEgress(follower.broker.endpoints, "out-1"):
            await follower.broker.until("/api/nodes?token=t-root", lambda nodes: len(nodes) == 2)
            for token in ("t-wall", "t-hall"):
                headers = {"Content-Type": "application/sdp"}
                async with http.post(f"/whep/door?token={token}", data="v=0", headers=headers) as response:
                    assert response.status == 201
            follower.change(auth={"tokens": ROOT | HALL}, cameras=cameras)
            viewers = await follower.broker.until("/api/viewers?token=t-root", lambda viewers: len(viewers) == 1)
            assert viewers[0]["principal"] == "token:hall", "the other one watches on"
            assert (await http.get("/api/cameras?token=t-wall")).status == 401
            follower.change(auth={"tokens": {"root": {"sha256": "no digest"}}}, cameras=cameras)
            await asyncio.sleep(0.5)  # a mistake changes nothing: there is nothing to wait for
            assert (await http.get("/api/cameras?token=t-hall")).status == 200


def test_all_that_is_live_is_taken_by_a_broker_or_by_every_process() -> None:
    keys: set[str] = {"log.level"}  # of every process: camshaft.cli

    class Noted(Live):
        def on(self, *names: str, **_: object) -> None:  # type: ignore[override]  # notes names alone
            keys.update(names)

    register(Noted(Config()), SimpleNamespace(take=None), None, loopback=True)  # type: ignore[arg-type]
    assert all(within(key, keys) for key in LIVE)
