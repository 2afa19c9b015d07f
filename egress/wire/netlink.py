"""Hears from the kernel when a link or an address of this machine comes or goes (Linux; rtnetlink(7)).

What has changed is not read: the listener looks at the interfaces anew. So a message that cannot be understood, or
one that was lost because too many came at once, counts as a change like any other.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

_header = struct.Struct("=IHHII")  # struct nlmsghdr: length with this header, type, flags, sequence number, port
_ALIGNED = 4  # bytes: NLMSG_ALIGNTO
_NEWS = {16, 17, 20, 21}  # RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR
_GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_BUFFER = 64 << 10  # bytes read at once; what is longer is cut, which counts as a change
_READS = 64  # of one turn of the loop: a machine that starts containers has much to say


class Netlink:
    """Calls ``on_change`` from now until closed. Raises ``OSError`` where there is no netlink."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        if not hasattr(socket, "AF_NETLINK"):
            raise OSError("not Linux")
        self._on_change = on_change
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        try:
            self._socket.bind((0, _GROUPS))
        except OSError:
            self._socket.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    def close(self) -> None:
        """Hear nothing more."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _readable(self) -> None:
        changed = False
        for _ in range(_READS):
            try:
                data, (sender, _groups) = self._socket.recvfrom(_BUFFER)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: some were lost
                changed = True
                continue
            changed = changed or (sender == 0 and tells_of_change(data))  # 0 is the kernel
        if changed:
            self._on_change()


def tells_of_change(data: bytes) -> bool:
    """Whether a datagram tells of a link or an address, or is not to be understood."""
    at = 0
    while at < len(data):
        if len(data) - at < _header.size:
            return True
        length, kind, *_ = _header.unpack_from(data, at)
        if kind in _NEWS or length < _header.size or length > len(data) - at:
            return True
        at += -(-length // _ALIGNED) * _ALIGNED
    return False
