"""Firewalls on the wire between two hosts: UDP that vanishes or is rejected as by a router, TCP to few ports; pure.

IPv4 and IPv6 packets go in as they are on the wire. A rejection is an ICMP message to the sender (RFC 792, RFC 4443),
which cites the packet.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import Enum

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58  # IP protocols
CITED = 548  # bytes of the packet: with what stands before it, below the least MTU of 576

_UNREACHABLE, _PROHIBITED = 3, 13  # RFC 792; RFC 1812 5.2.7.1: communication administratively prohibited
_UNREACHABLE_V6, _PROHIBITED_V6 = 1, 1  # RFC 4443 3.1


class Udp(Enum):
    """The fate of UDP at the firewall."""

    OPEN = "open"
    DROPPED = "dropped"
    REJECTED = "rejected"
    NAT = "nat"  # a symmetric one, on the viewer's side


def is_udp(packet: bytes) -> bool:
    """Whether an IP packet without extension headers carries UDP."""
    if packet[:1] and packet[0] >> 4 == 6:
        return len(packet) > 6 and packet[6] == UDP
    return len(packet) > 9 and packet[9] == UDP


def is_closed(packet: bytes, largest: int, ports: Sequence[int]) -> bool:
    """Whether there is no way for an IP packet without extension headers: for larger UDP, for TCP beside ``ports``.

    Zero and none stand for all.
    """
    if is_udp(packet):
        return 0 < largest < len(packet)
    if packet[:1] and packet[0] >> 4 == 6:
        protocol, at = packet[6], 40
    else:
        protocol, at = packet[9], (packet[0] & 15) * 4
    return bool(ports) and protocol == TCP and not set(struct.unpack_from("!HH", packet, at)) & set(ports)


def rejection(packet: bytes) -> bytes:
    """The ICMP message with which a router answers a packet that it may not pass on."""
    cited = packet[:CITED]
    if packet[0] >> 4 == 6:
        source, destination = packet[8:24], packet[24:40]
        body = struct.pack("!BBHI", _UNREACHABLE_V6, _PROHIBITED_V6, 0, 0) + cited
        pseudo = destination + source + struct.pack("!II", len(body), ICMPV6)  # RFC 8200 8.1
        body = body[:2] + checksum(pseudo + body) + body[4:]
        return struct.pack("!IHBB", 6 << 28, len(body), ICMPV6, 64) + destination + source + body
    source, destination = packet[12:16], packet[16:20]
    body = struct.pack("!BBHI", _UNREACHABLE, _PROHIBITED, 0, 0) + cited
    body = body[:2] + checksum(body) + body[4:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, ICMP, 0) + destination + source
    return head[:10] + checksum(head) + head[12:] + body


def checksum(data: bytes) -> bytes:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
