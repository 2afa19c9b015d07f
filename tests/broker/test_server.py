import asyncio
import socket
from pathlib import Path
from threading import Event

import aiohttp
import pytest

from broker.server import open_listeners, run
from common.address import page_address
from common.curve import Keys
from common.errors import AddressInUseError, CamshaftError, ConfigError
from tests.fakes.broker import broker_in, configuration, running_broker
from tests.fakes.descriptors import descriptors
from tests.fakes.private_bus import free_tcp_endpoints, private_endpoints
from tests.fakes.workers import FakeEgress


async def test_it_starts_and_stops_and_leaves_nothing(tmp_path: Path) -> None:
    before = descriptors()
    async with broker_in(tmp_path) as broker:
        assert broker.url.startswith("http://127.0.0.1:")
        assert not broker.url.endswith(":0/")
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    assert descriptors() == before


async def test_it_stops_at_once_while_an_offer_waits_and_a_page_is_connected(tmp_path: Path) -> None:
    async with (
        broker_in(tmp_path, cameras={"door": {"url": "rtsp://host/"}}) as broker,
        FakeEgress(broker.endpoints, "out-1") as egress,
    ):
        egress.silent = True
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        headers = {"Content-Type": "application/sdp"}
        async with broker.http.ws_connect("/ws"):
            offer = asyncio.create_task(broker.http.post("/whep/door", data="v=0", headers=headers))
            await egress.until(lambda: egress.messages)
            broker.stop.set()
            async with asyncio.timeout(3):
                await broker.task
                response = await offer
            assert (response.status, (await response.json())["code"]) == (503, "stopping")


async def test_a_second_broker_in_the_same_place_is_refused(tmp_path: Path) -> None:
    with private_endpoints() as endpoints:
        config = configuration(tmp_path, endpoints)
        async with running_broker(config, endpoints) as first:
            with pytest.raises(AddressInUseError, match="--broker-address"):
                await run(config, asyncio.Event())
            assert await first.json("/healthz") == {"status": "ok"}


async def test_an_http_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AddressInUseError) as caught:
            async with broker_in(tmp_path, http={"listen": listen}):
                pass
    assert listen in str(caught.value)
    assert "--http-listen" in str(caught.value)


async def test_a_store_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "camshaft.db").write_text("garbage" * 1000)
    with pytest.raises(ConfigError, match="--store-path"):
        async with broker_in(tmp_path):
            pass


async def test_over_tcp_only_members_of_the_cluster_are_heard(tmp_path: Path) -> None:
    endpoints = free_tcp_endpoints()
    config = configuration(tmp_path, endpoints, cluster={"secret": "of this one cluster"})
    async with (
        running_broker(config, endpoints) as broker,
        FakeEgress(endpoints, "out-1", keys=Keys.derive("of this one cluster")),
    ):
        nodes = await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        assert nodes[1]["node"] == "out-1"


async def test_a_relay_that_died_ends_the_broker(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("broker.relay._relay", lambda *sockets: [socket.close(linger=0) for socket in sockets])
    with pytest.raises(CamshaftError, match="relay"):
        async with broker_in(tmp_path) as broker:
            await broker.task


async def test_a_relay_that_hangs_ends_the_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that somebody starts it anew: what has its sockets open and answers nothing is no relay."""
    monkeypatch.setattr("broker.server.LOOK_INTERVAL", 0.02)
    hangs = Event()

    def relay(*sockets) -> None:
        hangs.wait(30)
        for each in sockets:
            each.close(linger=0)

    monkeypatch.setattr("broker.relay._relay", relay)
    asyncio.get_running_loop().call_later(2, hangs.set)
    with pytest.raises(CamshaftError, match="relay has not answered"):
        async with broker_in(tmp_path) as broker:
            await broker.task


async def test_a_relay_that_answers_is_let_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.server.LOOK_INTERVAL", 0.02)
    async with broker_in(tmp_path) as broker:
        await asyncio.sleep(0.5)
        assert not broker.task.done()


@pytest.mark.parametrize("listen", ["192.0.2.1:80", "no-such-host.invalid:80"])
async def test_an_address_that_is_not_ours_is_a_config_error(listen: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await open_listeners(listen)
    assert caught.value.key == "http.listen"
    assert listen in str(caught.value)


@pytest.mark.parametrize(
    ("listen", "families", "page"),
    [
        ("127.0.0.1:0", {socket.AF_INET}, "http://127.0.0.1:{}/"),
        ("[::1]:0", {socket.AF_INET6}, "http://[::1]:{}/"),
        (":0", {socket.AF_INET, socket.AF_INET6}, "http://127.0.0.1:{}/"),
    ],
)
async def test_addresses_to_listen_on(listen: str, families: set[int], page: str) -> None:
    sockets = await open_listeners(listen)
    try:
        assert {listener.family for listener in sockets} == families
        (port,) = {listener.getsockname()[1] for listener in sockets}
        assert page_address(*sockets[0].getsockname()[:2]) == page.format(port)
    finally:
        for listener in sockets:
            listener.close()


async def test_on_all_interfaces_any_name_is_answered_to(tmp_path: Path) -> None:
    async with broker_in(tmp_path, http={"listen": ":0"}) as broker:
        for host in ("127.0.0.1", "[::1]"):
            address = broker.url.replace("127.0.0.1", host)
            async with aiohttp.request("GET", f"{address}healthz", headers={"Host": "nvr.example"}) as response:
                assert response.status == 200


async def test_a_published_name_is_answered_to(tmp_path: Path) -> None:
    http = {"listen": "127.0.0.1:0", "hosts": ["Cams.Example"]}
    async with broker_in(tmp_path, http=http, auth="none") as broker:
        headers = {"Host": "cams.example", "Origin": "https://cams.example"}
        async with broker.http.ws_connect("/ws", headers=headers):
            pass
