"""Media goes to nobody who has not shown that they receive, whichever way somebody else tries to have it sent there.

A victim is a socket of another address that somebody names, or forges checks from, and that never says a word itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest

from egress.wire.ice import AMPLIFICATION
from rigs.browser import Browser
from rigs.bystander import unharmed
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera
from rigs.stranger import Stranger, open_udp, take_all
from rigs.tcp_peer import TcpPeer

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet, pytest.mark.timeout(240)]

VICTIM = "127.0.0.9"
SECONDS = 3.0
MEDIA = 20_000  # bytes that a viewer gets in that time at least
KINDS = (
    "typ host",
    "typ srflx raddr 0.0.0.0 rport 0",
    "typ prflx raddr 0.0.0.0 rport 0",
    "typ relay raddr 0.0.0.0 rport 0",
)


@pytest.fixture
async def running(shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]) -> Any:
    return await shared_cluster({"front-door": gst_camera(SMALL).url})


@pytest.fixture
def victim() -> Iterator[socket.socket]:
    with open_udp(VICTIM) as opened:
        yield opened


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    """A victim's TCP port, which counts whoever connects."""
    with socket.create_server((VICTIM, 0)) as server:
        server.setblocking(False)
        yield server


def named(udp: socket.socket, tcp: socket.socket) -> str:
    """Candidates of every type with the victim's addresses, lines of SDP."""
    at, by_tcp = udp.getsockname()[1], tcp.getsockname()[1]
    lines = [f"a=candidate:{n} 1 udp {2_130_000_000 - n} {VICTIM} {at} {kind}" for n, kind in enumerate(KINDS)]
    ways = ("passive", "so", "active")
    lines += [f"a=candidate:7 1 tcp 2120000000 {VICTIM} {by_tcp} typ host tcptype {way}" for way in ways]
    return "\r\n".join(lines) + "\r\n"


async def test_an_address_that_is_only_named_gets_nothing(running: Any, victim: socket.socket) -> None:
    with listening() as server:
        lines = named(victim, server)
        stranger = Stranger(running.whep("front-door"), candidates=lines)
        async with unharmed(running, "front-door"), stranger:
            assert await stranger.trickle(lines) == 204
            await stranger.restart(secrets.token_hex(4), secrets.token_hex(12), lines)
            stranger.check(stranger._socket)
            await asyncio.sleep(SECONDS)
        assert take_all(victim) == []
        with pytest.raises(BlockingIOError):
            server.accept()


async def test_a_restart_moves_media_to_nobody(running: Any, victim: socket.socket) -> None:
    """Each restart begins with a forged nomination, and the one who asked for it stays where it is."""
    async with unharmed(running, "front-door"), Stranger(running.whep("front-door")) as stranger:
        forged, came = 0, []
        before = stranger.received
        for _ in range(5):
            await stranger.restart(secrets.token_hex(4), secrets.token_hex(12))
            for _ in range(20):
                forged += stranger.check(victim)
                await asyncio.sleep(0.02)
            came += take_all(victim)
        assert stranger.received - before > MEDIA / 4, "it is served where it has proved to be"
        assert_checks_alone(came, forged)


async def test_who_is_served_by_tcp_sends_media_to_nobody(running: Any, victim: socket.socket) -> None:
    browser = Browser()
    async with aiohttp.ClientSession() as http:
        headers = {"Content-Type": "application/sdp"}
        async with http.post(running.whep("front-door"), data=browser.offer(), headers=headers) as response:
            answer = await response.text()
    port = next(int(line.split()[5]) for line in answer.splitlines() if line.startswith("a=candidate:1 1 udp"))
    async with unharmed(running, "front-door"), TcpPeer(browser, answer) as peer:
        forged, before = 0, len(browser.packets)
        for _ in range(100):
            check = peer.made_check()
            victim.sendto(check, ("127.0.0.1", port))
            forged += len(check)
            await asyncio.sleep(SECONDS / 100)
        assert len(browser.packets) > before, "the connection is served"
        assert_checks_alone(take_all(victim), forged)


async def test_many_sessions_together_send_no_more_than_each(running: Any, victim: socket.socket) -> None:
    """A handshake is begun for the victim in each, as soon as there is a path: our part of it is the largest answer."""
    forged, came = 0, []
    async with unharmed(running, "front-door"), aiohttp.ClientSession() as http:
        for _ in range(10):
            stranger = Stranger(running.whep("front-door"))
            async with http.post(
                running.whep("front-door"), data=stranger.browser.offer(), headers={"Content-Type": "application/sdp"}
            ) as response:
                assert response.status == 201
                stranger.answered(await response.text())
            stranger.browser.start_dtls()
            hello = stranger.browser.take()
            for _ in range(10):
                forged += stranger.check(victim)
                for datagram in hello:
                    stranger.send(datagram, victim)
                    forged += len(datagram)
                await asyncio.sleep(0.02)
            came += take_all(victim)
            stranger.close()
        await asyncio.sleep(SECONDS)  # in which a handshake is repeated
        came += take_all(victim)
    assert not [datagram for datagram in came if datagram[0] >= 128]
    assert 0 < sum(map(len, came)) <= AMPLIFICATION * forged


def assert_checks_alone(came: list[bytes], forged: int) -> None:
    """Only STUN has come, and no more of it than an address may be sent that has proved nothing."""
    assert {datagram[0] for datagram in came} <= {0, 1}, "media or a handshake went there"
    assert 0 < sum(map(len, came)) <= AMPLIFICATION * forged
