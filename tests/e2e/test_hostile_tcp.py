"""The TCP port of all viewers is attacked beside one that watches: nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import psutil
import pytest

from egress.wire.tcp_port import MAX_PENDING, MAX_PENDING_OF_HOST, PENDING_TIMEOUT
from rigs.browser import Browser
from rigs.bystander import unharmed, watching
from rigs.clip import Clip
from rigs.gst_camera import GstCamera
from rigs.load.crowd import Crowd
from rigs.load.report import ViewerCounts
from rigs.load.signalling import Whep
from rigs.load.viewer import Options
from rigs.tcp_peer import TcpPeer
from rigs.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet, pytest.mark.timeout(240)]

CLIP = Clip(width=1280, height=720, bitrate=4_000_000)
STALLED = 5  # viewers
SECONDS = 5.0
GAP = 50.0  # ms that a stalled viewer may cost another …
TRIES = 3  # … in the best of so many windows, as other programs on the machine only add to it


@pytest.fixture
async def running(shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]) -> Any:
    return await shared_cluster({"front-door": gst_camera(CLIP).url})


async def counters(running: Any) -> Counter[str]:
    """The egress's; what never happened is not among them."""
    nodes = await running.get("nodes")
    return Counter(next(node["counters"] for node in nodes if node["role"] == "egress"))


async def without_connections(running: Any, seconds: float) -> Counter[str]:
    """The counters once no connection is left, or after so many seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while (now := await counters(running))["tcp_connections"] and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return now


async def offered(running: Any) -> tuple[Browser, str]:
    """A browser, and the answer to its offer."""
    browser = Browser()
    async with aiohttp.ClientSession() as http:
        headers = {"Content-Type": "application/sdp"}
        async with http.post(running.whep("front-door"), data=browser.offer(), headers=headers) as response:
            assert response.status == 201
            return browser, await response.text()


async def tcp_port(running: Any) -> int:
    _, answer = await offered(running)
    return int(answer.split("tcptype")[0].split()[-3])


@contextlib.contextmanager
def connections(port: int, count: int, *, hosts: int) -> Iterator[list[socket.socket]]:
    """So many connections from so many addresses, as soon as the kernel gives them."""
    found: list[socket.socket] = []
    try:
        for number in range(count):
            sock = socket.socket()
            found.append(sock)
            sock.setblocking(False)
            sock.bind((f"127.0.1.{1 + number % hosts}", 0))
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", port))
        yield found
    finally:
        for sock in found:
            sock.close()


def send(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        sock.send(data)


@pytest.mark.alone
async def test_stalled_viewers_cost_the_others_nothing(running: Any) -> None:
    way = Whep(running.whep("front-door"))
    async with watching(way.url) as bystander, Crowd(Options(tcp=True)) as crowd:
        members = await crowd.join(way, STALLED + 1)
        assert len(members) == STALLED + 1, crowd.end().failures
        await crowd.watching()

        async def window() -> tuple[list[float], ViewerCounts]:
            """The longest gaps of one viewer by UDP and one by TCP, and what the latter got."""
            await bystander.seen()
            crowd.begin()
            await asyncio.sleep(SECONDS)
            by_udp, found = await bystander.seen(), crowd.end()
            by_tcp = next(each for each in found.viewers if each.number == members[-1].number)
            assert (by_udp.lost, by_tcp.lost) == (0, 0)
            return [by_udp.gap_ms, by_tcp.gap_ms], by_tcp

        quiet, _ = await window()
        crowd.deafen(members[:STALLED])
        for _ in range(TRIES):
            gaps, counts = await window()
            print(f"longest gaps by UDP and TCP: {gaps} ms, {quiet} ms before")
            assert counts.frames >= 0.9 * SECONDS * CLIP.fps
            if all(gap <= before + GAP for gap, before in zip(gaps, quiet, strict=True)):
                break
        else:
            pytest.fail(f"{gaps} ms, {GAP} more than {quiet} allowed")
        viewers = await running.get("viewers")
        assert len([viewer for viewer in viewers if viewer["dropped"]]) >= STALLED, "each of them was left behind"
        assert {viewer["transport"] for viewer in viewers} == {"tcp", "udp"}


async def test_connections_without_end(running: Any) -> None:
    random.seed(7)
    port = await tcp_port(running)
    egress = psutil.Process(running.pids()["egress"][0])
    descriptors, before = egress.num_fds(), await counters(running)
    async with unharmed(running, "front-door"):
        for _ in range(5):
            with connections(port, 1_000, hosts=50) as opened:
                for number, sock in enumerate(opened):
                    await asyncio.sleep(0)
                    match number % 5:
                        case 0:
                            send(sock, b"GET / HTTP/1.1\r\n\r\n")
                        case 1:
                            send(sock, b"\xff\xff" + bytes(1_000))
                        case 2:
                            send(sock, b"\0\x64\0\1" + random.randbytes(98))
                        case 3:
                            send(sock, b"\0")
                await asyncio.sleep(0.5)
                now = await counters(running)
                assert now["tcp_connections"] <= MAX_PENDING + 10
        now = await without_connections(running, PENDING_TIMEOUT + 2)
        print(f"counters: {now}")
        assert now["tcp_connections"] == 0
        assert now["tcp_garbage"] - before["tcp_garbage"] > 1_000
        assert now["tcp_stranger"] - before["tcp_stranger"] > 500
    assert egress.num_fds() <= descriptors + 10


async def test_slow_bytes_hold_a_connection_for_seconds(running: Any) -> None:
    port, before = await tcp_port(running), await counters(running)
    async with unharmed(running, "front-door"):
        with connections(port, MAX_PENDING_OF_HOST, hosts=1) as opened:
            for _ in range(int(PENDING_TIMEOUT) + 3):
                for sock in opened:
                    send(sock, b"\1")
                await asyncio.sleep(1.0)
                now = await counters(running)
                if not now["tcp_connections"]:
                    break
            assert now["tcp_connections"] == 0
            assert now["tcp_silent"] - before["tcp_silent"] == MAX_PENDING_OF_HOST


async def test_a_viewer_gets_in_beside_a_flood_of_connections(running: Any) -> None:
    browser, answer = await offered(running)
    port = int(answer.split("tcptype")[0].split()[-3])
    with connections(port, 1_000, hosts=3):
        async with TcpPeer(browser, answer):
            await until(lambda: len(browser.packets) >= 100, 10)


async def test_a_viewer_that_sends_garbage_is_cut_off(running: Any) -> None:
    browser, answer = await offered(running)
    async with unharmed(running, "front-door"), TcpPeer(browser, answer) as peer:
        peer.send(b"\xc8 this is nothing")
        await peer.ends()
        await asyncio.sleep(1.0)  # the time in which others would notice
