"""Ports that hear a multicast group, at the interface by which the camera is reached.

Each is bound to the group's address and hears no other: cameras that send to one port of several groups do not mix, and
whoever listens at the same one (another stream of the camera, a second process) gets its own copy. The network is told
of the senders where the camera names them (RFC 4607). Closing a port leaves its group.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from common.cameras import CameraState
from ingest.rtsp.groups import MulticastGroup
from ingest.rtsp.setup import TransportRefusedError
from ingest.rtsp.udp import RECEIVE_BUFFER, UdpPort
from ingest.rtsp.zone import numeric

# Linux's numbers, which Python has no names for.
_IP_ADD_SOURCE_MEMBERSHIP = 39
_IP_MULTICAST_ALL = 49
_IPV6_MULTICAST_ALL = 29
_MCAST_JOIN_SOURCE_GROUP = 46

_INDEX = struct.Struct("@I")
_ADDRESS = struct.Struct("@HHI16sI")  # struct sockaddr_in6 …
_GROUP_SOURCE = struct.Struct("@I4x128s128s")  # … in struct group_source_req, in a room for any
_INTERFACES = Path("/proc/net/if_inet6")  # address in 32 hexadecimal digits, index of the interface in hexadecimal, …


def join_pair(
    group: MulticastGroup, local: str, senders: Sequence[str], *, reports: bool = True
) -> tuple[UdpPort, UdpPort]:
    """Ports for RTP and RTCP in ``group``, joined where this machine has the address ``local``.

    Where the camera named its senders, the network is asked for what ``senders`` send alone. ``reports``: the second
    port sends to the group. Raises ``CameraError``.
    """
    ours, theirs = numeric(local), ipaddress.ip_address(group.address)
    if ours.version != theirs.version:
        detail = (
            f"the camera is reached by IPv{ours.version} and sends to {group}; write its IPv{theirs.version} address"
        )
        raise TransportRefusedError(CameraState.REJECTED, detail)
    wanted = [each for each in senders if numeric(each).version == theirs.version] if group.sources else []
    opened: list[socket.socket] = []
    try:
        for port in group.ports:
            family = socket.AF_INET if theirs.version == 4 else socket.AF_INET6
            opened.append(socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
            opened[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            (_join4 if theirs.version == 4 else _join6)(opened[-1], group, port, local, wanted)
    except OSError as exc:
        for sock in opened:
            sock.close()
        detail = f"the multicast group {group} cannot be joined: {exc.strerror}"
        raise TransportRefusedError(CameraState.UNREACHABLE, detail) from None
    rtp, rtcp = opened
    return UdpPort(rtp), UdpPort(rtcp, (group.address, group.ports[1]) if reports else None)


def _join4(sock: socket.socket, group: MulticastGroup, port: int, local: str, senders: Sequence[str]) -> None:
    to, at = socket.inet_aton(group.address), socket.inet_aton(local)
    sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)  # else another socket's groups come here, too
    sock.bind((group.address, port))
    for sender in senders:
        sock.setsockopt(socket.IPPROTO_IP, _IP_ADD_SOURCE_MEMBERSHIP, to + at + socket.inet_aton(sender))
    if not senders:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, to + at)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, at)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, group.ttl)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)


def _join6(sock: socket.socket, group: MulticastGroup, port: int, local: str, senders: Sequence[str]) -> None:
    to, index = socket.inet_pton(socket.AF_INET6, group.address), _index(local)
    sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
    sock.bind((group.address, port, 0, index))
    for sender in senders:
        request = _GROUP_SOURCE.pack(
            index, _stored(to), _stored(socket.inet_pton(socket.AF_INET6, str(numeric(sender))))
        )
        sock.setsockopt(socket.IPPROTO_IPV6, _MCAST_JOIN_SOURCE_GROUP, request)
    if not senders:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, to + _INDEX.pack(index))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, group.ttl)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)


def _stored(address: bytes) -> bytes:
    return _ADDRESS.pack(socket.AF_INET6, 0, 0, address, 0)


def _index(local: str) -> int:
    """The interface that has an IPv6 address; 0, which leaves it to the routes, if that is not known."""
    _, _, scope = local.partition("%")  # of a link-local address
    if scope:
        return socket.if_nametoindex(scope)
    digits = numeric(local).packed.hex()
    lines = (line.split() for line in _INTERFACES.read_text().splitlines())
    return next((int(index, 16) for address, index, *_ in lines if address == digits), 0)
