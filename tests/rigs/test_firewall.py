from __future__ import annotations

import struct

import pytest

from rigs.firewall import TCP, UDP, is_closed


def v4(protocol: int, source: int, destination: int, size: int = 40) -> bytes:
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size, 0, 0, 64, protocol, 0, bytes(4), bytes(4))
    return (head + struct.pack("!HH", source, destination)).ljust(size, b"x")


def v6(protocol: int, source: int, destination: int, size: int = 80) -> bytes:
    head = struct.pack("!IHBB16s16s", 6 << 28, size - 40, protocol, 64, bytes(16), bytes(16))
    return (head + struct.pack("!HH", source, destination)).ljust(size, b"x")


@pytest.mark.parametrize("packet", [v4, v6])
def test_tcp_gets_to_few_ports_and_back_and_udp_is_small(packet) -> None:
    assert not is_closed(packet(TCP, 50_000, 443), 0, (443,))
    assert not is_closed(packet(TCP, 443, 50_000), 0, (443,))
    assert is_closed(packet(TCP, 50_000, 8_080), 0, (443,))
    assert not is_closed(packet(TCP, 50_000, 8_080), 0, ())
    assert not is_closed(packet(UDP, 1, 2, 300), 300, (443,))
    assert is_closed(packet(UDP, 1, 2, 301), 300, ())
    assert not is_closed(packet(UDP, 1, 2, 1_500), 0, ())
    assert not is_closed(packet(TCP, 1, 2, 1_500), 300, ())
