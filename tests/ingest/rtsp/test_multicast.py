"""Ports in a multicast group: what they hear, and what they do not. On the loopback interface."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp.groups import MulticastGroup
from ingest.rtsp.multicast import join_pair
from ingest.rtsp.udp import UdpPort
from tests.ingest.rtsp.test_udp import Mailbox

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
FIRST, SECOND = "239.255.1.1", "239.255.1.2"


@contextmanager
def sender(address: str = HERE) -> Iterator[socket.socket]:
    """A camera's socket, whose port is free for groups, too: whoever sends there sends to nobody else."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, 0))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HERE))
        yield sock


class Ears:
    """Ports in groups, each with its mailbox."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def join(self, group: MulticastGroup, *senders: str, reports: bool = False) -> tuple[Mailbox, UdpPort]:
        pair = join_pair(group, HERE, [HERE, *senders], reports=reports)
        mailbox = Mailbox()
        for port in pair:
            self._stack.callback(port.close)
        pair[0].start(frozenset({HERE, *senders}), None, mailbox.receive, mailbox.flush)
        return mailbox, pair[1]


@pytest.fixture
def ears() -> Iterator[Ears]:
    with ExitStack() as stack:
        yield Ears(stack)


async def test_groups_at_one_port_do_not_mix(ears: Ears) -> None:
    with sender() as camera:
        number = camera.getsockname()[1]
        ports = number, number ^ 1
        boxes = [ears.join(MulticastGroup(group, ports))[0] for group in (FIRST, SECOND, FIRST)]
        camera.sendto(b"first", (FIRST, number))
        camera.sendto(b"second", (SECOND, number))
        for box in boxes:
            await box.flushed()
    assert [box.packets for box in boxes] == [[b"first"], [b"second"], [b"first"]]


async def test_where_the_camera_names_its_sender_the_kernel_takes_no_other(ears: Ears) -> None:
    with sender() as camera, sender(ELSEWHERE) as gateway, sender("127.0.0.3") as stranger:
        number = camera.getsockname()[1]
        group = MulticastGroup(FIRST, (number, number ^ 1), sources=(ELSEWHERE,))
        box, _ = ears.join(group, ELSEWHERE)
        everyone, _ = ears.join(MulticastGroup(FIRST, (number, number ^ 1)))
        for each in (stranger, gateway):
            each.sendto(b"from " + each.getsockname()[0].encode(), (FIRST, number))
        await box.flushed()
        camera.sendto(b"camera", (FIRST, number))
        await everyone.flushed(2)
    assert (box.packets, everyone.packets) == ([b"from 127.0.0.2"], [b"camera"])


async def test_reports_go_to_the_group(ears: Ears) -> None:
    with sender() as camera, sender() as other:
        ports = camera.getsockname()[1], other.getsockname()[1]
        _, rtcp = ears.join(MulticastGroup(FIRST, ports), reports=True)
        box, _ = ears.join(MulticastGroup(FIRST, ports[::-1]))
        rtcp.send(b"report")
        await box.flushed()
        _, silent = ears.join(MulticastGroup(FIRST, ports))
        silent.send(b"nobody is told")
        rtcp.send(b"again")
        await box.flushed(2)
    assert box.packets == [b"report", b"again"]


async def test_a_port_that_cannot_be_joined_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((FIRST, 0))
        number = taken.getsockname()[1]
        with pytest.raises(CameraError) as caught:
            join_pair(MulticastGroup(FIRST, (number, number ^ 1)), HERE, [HERE])
    assert caught.value.state is CameraState.UNREACHABLE
    assert f"{FIRST} port {number} cannot be joined: Address already in use" in caught.value.detail


async def test_a_group_of_the_other_family_is_named() -> None:
    with pytest.raises(CameraError, match="reached by IPv4 and sends to ff15::7 port 5000; write its IPv6 address"):
        join_pair(MulticastGroup("ff15::7", (5000, 5001)), HERE, [HERE])
    await asyncio.sleep(0)


@pytest.mark.parametrize("sources", [(), ("fd00::7",)])
async def test_groups_of_ipv6_are_joined_at_the_interface_of_our_address(sources: tuple[str, ...]) -> None:
    group = MulticastGroup("ff15::7:1", (5000, 5001), sources=sources)
    number, lo = socket.inet_pton(socket.AF_INET6, group.address).hex(), socket.if_nametoindex("lo")
    pair = join_pair(group, "::1", ["::1", *sources])
    joined = [line.split()[:3] for line in Path("/proc/net/igmp6").read_text().splitlines()]
    wanted = {line.split()[3] for line in Path("/proc/net/mcfilter6").read_text().splitlines() if number in line}
    for port in pair:
        port.close()
    assert [str(lo), "lo", number] in joined
    assert wanted == {socket.inet_pton(socket.AF_INET6, each).hex() for each in (("::1", *sources) if sources else ())}
    assert number not in Path("/proc/net/igmp6").read_text()
