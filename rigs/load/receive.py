"""Many datagrams of a socket by one system call: ``recvmmsg``, which Python's socket module does not have.

One call through ctypes takes all packets of a frame at once, so that what Python costs is paid for each frame and
viewer instead of for each packet. The buffers are allocated once; memoryviews of different item sizes lie over them.
Linux on a 64-bit machine only.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct

MSG_DONTWAIT = 0x40
UDP_GRO = 104  # linux/udp.h
SO_TIMESTAMPNS = 35  # asm-generic/socket.h; also the type of its control message
SO_MEMINFO, SK_MEMINFO_DROPS = 55, 8  # asm-generic/socket.h, linux/sock_diag.h

CONTROL = 64  # bytes for a message's control messages: a time (32), a train's segment size (24)
CONTROL_OF_TRAIN = 32 + 20  # bytes that the kernel has written when there are both
NAME = 28  # bytes of a struct sockaddr_in6
_HEADER = 64  # bytes of a struct mmsghdr


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iovec", ctypes.c_void_p),
        ("iovec_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint32))


class Receiver:
    """Buffers for one ``recvmmsg``. After ``read`` has returned n, the first n messages lie in them until the next.

    ``data`` holds message i at ``i * stride``. With ``trains``, a message may be a train of packets that the kernel
    has put together (UDP_GRO), all of the size that ``segment`` says but for the last.
    """

    def __init__(self, *, trains: bool) -> None:
        self.trains = trains
        self.stride = 65_536 if trains else 2_048  # bytes: the largest train, or the largest packet of an Ethernet
        count = 16 if trains else 128
        self.data = memoryview(bytearray(count * self.stride))
        names, controls = bytearray(count * NAME), bytearray(count * CONTROL)
        vectors, headers = (_Iovec * count)(), (_Mmsghdr * count)()
        for index in range(count):
            vectors[index] = _Iovec(_address(self.data.obj) + index * self.stride, self.stride)
            headers[index].header = _Msghdr(
                _address(names) + index * NAME,
                NAME,
                ctypes.addressof(vectors) + index * ctypes.sizeof(_Iovec),
                1,
                _address(controls) + index * CONTROL,
                CONTROL,
            )
        assert ctypes.sizeof(_Mmsghdr) == _HEADER
        self._keep = (vectors, headers)
        raw = memoryview(headers).cast("B")
        self._fresh = bytes(raw)  # the kernel overwrites lengths: they are set anew before each call
        self._raw, self._lengths, self._lengths_of_control = raw, raw.cast("I"), raw.cast("Q")
        self._names, self._controls, self._times = (
            memoryview(names),
            memoryview(controls),
            memoryview(controls).cast("q"),
        )
        call = ctypes.CDLL(None).recvmmsg
        call.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
        self._call, self._headers, self._count, self._used = call, ctypes.addressof(headers), count, 0

    def read(self, descriptor: int) -> int:
        """Receive what is there; how many messages that are, 0 or less when there is nothing (or an ICMP error)."""
        end = self._used * _HEADER
        self._raw[:end] = self._fresh[:end]
        received: int = self._call(descriptor, self._headers, self._count, MSG_DONTWAIT, None)
        self._used = max(received, 0)
        return received

    def length(self, index: int) -> int:
        """Bytes of a message."""
        return self._lengths[16 * index + 14]

    def total(self, count: int) -> int:
        """Bytes of the first ``count`` messages."""
        return sum(self._lengths[14 : 16 * count : 16])

    def time_ns(self, index: int) -> int:
        """Unix time of a message's arrival; the kernel writes it before all other control messages."""
        at = index * (CONTROL // 8)
        return self._times[at + 2] * 1_000_000_000 + self._times[at + 3]

    def segment(self, index: int) -> int:
        """Bytes of a train's packets; 0 for a packet alone."""
        if not self.trains or self._lengths_of_control[8 * index + 5] < CONTROL_OF_TRAIN:
            return 0
        segment: int = struct.unpack_from("=i", self._controls, index * CONTROL + 48)[0]
        return segment

    def source(self, index: int) -> tuple[str, int]:
        """Where a message came from."""
        at = index * NAME
        family = struct.unpack_from("=H", self._names, at)[0]
        port = struct.unpack_from("!H", self._names, at + 2)[0]
        packed = self._names[at + 8 : at + 24] if family == socket.AF_INET6 else self._names[at + 4 : at + 8]
        return str(ipaddress.ip_address(bytes(packed))), port


def dropped(sock: socket.socket) -> int:
    """Packets that the socket had no room for: lost by us, not on the way."""
    counters = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * (SK_MEMINFO_DROPS + 1))
    count: int = struct.unpack_from("=I", counters, 4 * SK_MEMINFO_DROPS)[0]
    return count


def _address(buffer: object) -> int:
    return ctypes.addressof((ctypes.c_char * 1).from_buffer(buffer))  # type: ignore[arg-type]  # a bytearray
