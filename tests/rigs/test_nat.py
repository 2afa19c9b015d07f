"""The symmetric NAT of tests gives out a port for each destination, and lets in what comes from there alone."""

from __future__ import annotations

import socket
import struct

from rigs.nat import FIRST_PORT, SymmetricNat


def checksum(words: bytes) -> int:
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(source: tuple[str, int], destination: tuple[str, int], payload: bytes = b"data") -> bytes:
    """As a kernel makes it, with an even payload."""
    hosts = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    header = struct.pack("!HHH", source[1], destination[1], 8 + len(payload))
    pseudo = hosts + struct.pack("!HH", 17, 8 + len(payload))
    udp = header + struct.pack("!H", checksum(pseudo + header + b"\0\0" + payload) or 0xFFFF) + payload
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + hosts + udp


INSIDE, ONE, OTHER = ("10.0.0.2", 5_000), ("10.0.0.1", 8_189), ("10.0.0.1", 3_478)


def test_each_destination_sees_another_port() -> None:
    nat = SymmetricNat()
    for _ in range(2):
        assert nat.out(packet(INSIDE, ONE)) == packet((INSIDE[0], FIRST_PORT), ONE)
        assert nat.out(packet(INSIDE, OTHER)) == packet((INSIDE[0], FIRST_PORT + 1), OTHER)


def test_only_the_destination_gets_an_answer_through() -> None:
    nat = SymmetricNat()
    nat.out(packet(INSIDE, ONE))
    outside = (INSIDE[0], FIRST_PORT)
    assert nat.back(packet(ONE, outside)) == packet(ONE, INSIDE)
    assert nat.back(packet(OTHER, outside)) is None
    assert nat.back(packet(ONE, INSIDE)) is None


def test_what_is_no_udp_over_ipv4_does_not_pass() -> None:
    nat = SymmetricNat()
    for other in (b"", b"\x60" + bytes(60), packet(INSIDE, ONE)[:24], b"\x45" + bytes(40)):
        assert nat.out(other) is None
        assert nat.back(other) is None


def test_no_checksum_stays_none() -> None:
    bare = bytearray(packet(INSIDE, ONE))
    bare[26:28] = b"\0\0"
    passed = SymmetricNat().out(bytes(bare))
    assert passed is not None
    assert passed[26:28] == b"\0\0"
