"""Multicast groups (RFC 1112, RFC 4607): the one that a media section is sent to, as a camera says; no I/O.

The answer to SETUP counts (RFC 2326 12.39), and where that is silent the description (RFC 8866 5.7, RFC 4570 3). A
camera may lead to a group alone: a machine's address is none, and those of a network's own protocols are left out.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from common.errors import ProtocolError
from ingest.quoting import quoted
from ingest.rtsp.transport import Pair, TransportSpec
from ingest.rtsp.zone import numeric
from ingest.sdp import MediaSection

# RFC 5771 4, RFC 4291 2.7.1: of routers, name services and the like, on one link; routers do not pass them on.
_RESERVED = [ipaddress.ip_network(each) for each in ("224.0.0.0/24", "ff00::/16", "ff01::/112", "ff02::/112")]
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True)
class MulticastGroup:
    """A group, the ports of RTP and RTCP, and what else is known of it."""

    address: str
    ports: Pair
    ttl: int = field(default=1, kw_only=True)  # hops that our reports may go
    sources: tuple[str, ...] = field(default=(), kw_only=True)  # who alone sends to it; none: the camera does not say

    def __str__(self) -> str:
        return f"{self.address} port {self.ports[0]}"


def group_of(spec: TransportSpec, section: MediaSection) -> MulticastGroup:
    """The group that an answer to SETUP agrees on. Raises ``ProtocolError`` where it names none that may be joined."""
    connection, hops, *_ = [*section.connection.split("/"), "", ""]
    address = spec.destination or connection
    if not _joinable(address):
        named = f"names {quoted(address)} as its multicast address" if address else "names no multicast address"
        raise ProtocolError(f"{named}; set one from 239.0.0.0/8 in the camera")
    first, second = spec.port or spec.client_port or spec.server_port or (section.port, section.port + 1)
    second = second if second != first else first + 1
    if not 0 < min(first, second) <= max(first, second) <= _MAX_PORT:
        raise ProtocolError(f"names no port of its multicast to {address}; set one in the camera")
    said = int(hops) if hops.isascii() and hops.isdigit() and len(hops) <= 3 and "." in address else 0
    return MulticastGroup(
        str(numeric(address)),
        (first, second),
        ttl=spec.ttl or min(said, 255) or 1,
        sources=tuple(each for each in (spec.source, *section.sources) if each and _sender(each)),
    )


def _joinable(address: str) -> bool:
    try:
        parsed = numeric(address)
    except ValueError:
        return False
    return parsed.is_multicast and not any(parsed in each for each in _RESERVED)


def _sender(address: str) -> bool:
    try:
        parsed = numeric(address)
    except ValueError:
        return False
    return not (parsed.is_multicast or parsed.is_unspecified)
