"""Strangers send an egress what belongs to nobody, from many addresses: afterwards nothing is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from common.control import HangUp, Offer
from egress.wire.stun import binding_success
from rigs.browser import Browser
from tests.fakes.bus import FakeBroker
from tests.fakes.contents import contents, grown
from tests.fakes.egress_worker import NODE, PCMU, running, watch
from tests.fuzz.egress_targets import check

EACH = 300


def _send(port: int, number: int) -> None:
    """Datagrams and a connection of one stranger's."""
    ufrag = f"ufrag{number}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((f"127.0.1.{number % 250 + 1}", 0))
        for data in (
            check(ufrag, "password of nobody"),
            binding_success(number.to_bytes(12), b"x", "127.0.0.1", 9),
            bytes((22, 254, 255)) + number.to_bytes(40),
            bytes((128, 96)) + number.to_bytes(30),
            bytes((128, 200)) + number.to_bytes(30),
            number.to_bytes(20),
        ):
            sock.sendto(data, ("127.0.0.1", port))


async def test_nothing_is_left_of_what_strangers_send(broker: FakeBroker) -> None:
    async with running(broker, limits_unheard_viewers="5", media_tcp="on") as report:
        del report
        peer = await watch(broker, "honest")
        port = int(peer.remoteDescription.sdp.partition(" typ host")[0].rpartition(" ")[2])
        before = contents()
        for number in range(EACH):
            _send(port, number)
            broker.tell(NODE, Offer(f"session-{number}", f"camera-{number}", Browser().offer(), (PCMU,)))
            broker.tell(NODE, Offer(f"bad-{number}", "yard", f"v=0\r\ns={number}\r\n", (PCMU,)))
            broker.tell(NODE, HangUp(f"nobody-{number}"))
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(number.to_bytes(2) + b"x")
                writer.close()
        for number in range(EACH):
            broker.tell(NODE, HangUp(f"session-{number}"))
        left: dict[str, int] = {}
        for _ in range(100):
            broker.messages.clear()  # the test's own
            left = grown(before, contents(), EACH // 2)
            if not left:
                break
            await asyncio.sleep(0.2)
        assert left == {}
        await peer.close()
