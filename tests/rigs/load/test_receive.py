from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterator

import pytest

from rigs.load.receive import SO_TIMESTAMPNS, UDP_GRO, Receiver, dropped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="recvmmsg is Linux's")
UDP_SEGMENT = 103


@pytest.fixture(params=["127.0.0.1", "::1"])
def sockets(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender, socket.socket(family, socket.SOCK_DGRAM) as receiver:
        for sock in (sender, receiver):
            sock.bind((request.param, 0))
        receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sender.connect(receiver.getsockname())
        yield sender, receiver


def test_several_datagrams_at_once(sockets: tuple[socket.socket, socket.socket]) -> None:
    sender, sock = sockets
    receiver = Receiver(trains=False)
    before = time.time_ns()
    for number in range(1, 6):
        sender.send(bytes([number]) * number * 10)
    assert receiver.read(sock.fileno()) == 5
    assert [receiver.length(index) for index in range(5)] == [10, 20, 30, 40, 50]
    assert receiver.total(5) == 150
    assert [receiver.data[index * receiver.stride] for index in range(5)] == [1, 2, 3, 4, 5]
    assert before <= receiver.time_ns(0) <= receiver.time_ns(4) <= time.time_ns()
    assert receiver.source(4) == sender.getsockname()[:2]
    assert receiver.read(sock.fileno()) == -1


def test_buffers_are_good_for_many_reads(sockets: tuple[socket.socket, socket.socket]) -> None:
    sender, sock = sockets
    receiver = Receiver(trains=False)
    for size in range(1, 400):
        sender.send(bytes(size))
        assert receiver.read(sock.fileno()) == 1
        assert receiver.length(0) == size
        assert receiver.source(0) == sender.getsockname()[:2]


def test_a_train_keeps_its_seams(sockets: tuple[socket.socket, socket.socket]) -> None:
    sender, sock = sockets
    sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    receiver = Receiver(trains=True)
    sender.sendmsg([bytes(2500)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", 1000))])
    sender.send(bytes(700))
    assert receiver.read(sock.fileno()) == 2
    assert (receiver.length(0), receiver.segment(0)) == (2500, 1000)
    assert (receiver.length(1), receiver.segment(1)) == (700, 0)


def test_what_does_not_fit_is_counted(sockets: tuple[socket.socket, socket.socket]) -> None:
    sender, sock = sockets
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    for _ in range(50):
        sender.send(bytes(1000))
    received = Receiver(trains=False).read(sock.fileno())
    assert received > 0
    assert dropped(sock) == 50 - received
