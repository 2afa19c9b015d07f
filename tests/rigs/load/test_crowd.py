"""The load generator against a server that it shares no line with."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import pytest

from rigs.load.crowd import Crowd
from rigs.load.dtls import Keys
from rigs.load.signalling import Whep
from rigs.load.viewer import Options, State
from rigs.waiting import until
from rigs.whep import WhepServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the load generator is for Linux")


@pytest.mark.parametrize("gro", [False, True])
async def test_viewers_of_a_foreign_server(gro: bool) -> None:
    async with WhepServer() as server, Crowd(Options(sample=1), gro=gro) as crowd:
        viewers = await crowd.join(Whep(server.url), 2)
        assert [viewer.state for viewer in viewers] == [State.CONNECTED] * 2
        await crowd.watching()
        crowd.begin()
        await until(lambda: all(viewer.checked > 40 for viewer in viewers))
        window = crowd.end()
        assert window.connected == 2
        for counts in window.viewers:
            assert counts.profile.startswith("SRTP_AEAD")
            assert counts.packets > 0
            assert counts.frames > 0
            assert (counts.lost, counts.corrupt, counts.stray) == (0, 0, 0)
            assert counts.connect_ms is not None
            assert counts.first_keyframe_ms is not None
            assert 0 < counts.connect_ms <= counts.first_keyframe_ms
        await crowd.leave(viewers)
        assert server.left == 2


async def test_a_profile_can_be_asked_for() -> None:
    async with WhepServer() as server, Crowd(profiles=("SRTP_AES128_CM_SHA1_80",)) as crowd:
        [viewer] = await crowd.join(Whep(server.url))
        await crowd.watching()
        assert viewer.profile == "SRTP_AES128_CM_SHA1_80"
        assert viewer.corrupt == 0


async def test_the_server_learns_what_the_viewer_saw() -> None:
    async with WhepServer() as server, Crowd() as crowd:
        await crowd.join(Whep(server.url))
        await crowd.watching()
        async with asyncio.timeout(20):
            while not (lost := await server.loss_reports()):  # noqa: ASYNC110  # aiortc tells nobody that one came
                await asyncio.sleep(0.05)
        assert lost == [0]


async def test_a_server_that_refuses(unused_tcp_port: int) -> None:
    async with Crowd() as crowd:
        assert await crowd.join(Whep(f"http://127.0.0.1:{unused_tcp_port}/whep")) == []
        async with WhepServer() as server:
            assert await crowd.join(Whep(server.url + "/nowhere")) == []
        failures = crowd.end().failures
        assert "no answer to the offer" in failures[0]
        assert "the server answers 405" in failures[1]


class Sender:
    """Sends the viewer whatever a test wants, encrypted."""

    def __init__(self, crowd: Crowd) -> None:
        from pylibsrtp import Policy, Session

        key = os.urandom(28)
        keys = Keys("SRTP_AEAD_AES_128_GCM", key, key)
        [port] = crowd.adopt(keys, {96: ("video", "h264", 90_000)}, 1, "127.0.0.1")
        profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
        self._session = Session(Policy(key, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._packets: dict[int, bytes] = {}

    def send(self, sequence: int, *, marker: bool = False, timestamp: int = 0, damaged: bool = False) -> None:
        if sequence not in self._packets:
            header = bytes([0x80, 96 | marker << 7]) + sequence.to_bytes(2, "big") + timestamp.to_bytes(4, "big")
            self._packets[sequence] = self._session.protect(header + bytes(4) + b"\x65" + bytes(50))
        packet = self._packets[sequence]
        self._socket.send(packet[:-1] + bytes([packet[-1] ^ 1]) if damaged else packet)

    def close(self) -> None:
        self._socket.close()


async def test_losses_late_packets_and_duplicates_are_told_apart() -> None:
    async with Crowd() as crowd:
        sender = Sender(crowd)
        for sequence in (1, 2, 3, 5, 4, 5, 8):
            sender.send(sequence)
        await until(lambda: crowd.end().total("packets") == 7)
        counts = crowd.end().viewers[0]
        sender.close()
    assert (counts.expected, counts.lost, counts.late, counts.duplicates) == (8, 2, 1, 1)


async def test_damage_is_seen() -> None:
    async with Crowd(Options(sample=1)) as crowd:
        sender = Sender(crowd)
        sender.send(1)
        sender.send(2, damaged=True)
        await until(lambda: crowd.end().total("packets") == 2)
        counts = crowd.end().viewers[0]
        sender.close()
    assert (counts.checked, counts.corrupt) == (1, 1)


async def test_a_gap_is_measured_between_the_kernels_times_of_arrival() -> None:
    async with Crowd() as crowd:
        sender = Sender(crowd)
        sender.send(1)
        await until(lambda: crowd.end().total("packets") == 1)
        crowd.begin()
        before = crowd.members[0].streams[0].last_ns
        sender.send(2)
        await until(lambda: crowd.end().total("packets") == 1)
        counts, after = crowd.end().viewers[0], crowd.members[0].streams[0].last_ns
        sender.close()
    assert counts.gap_ms == pytest.approx((after - before) / 1e6, abs=0.001)
