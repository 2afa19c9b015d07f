"""The compiled half of the fan-out, where it was built.

``fanout.c`` does for each viewer what ``egress.fanout`` does in Python, byte for byte, at a third of the cost. This
module only makes its objects. What owns memory there is freed with the Python object that stands for it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

try:
    from egress.native._fanout import ffi, lib
except ImportError:  # no compiler or no headers when Camshaft was installed, or not Linux
    ffi = lib = None

BUILT = lib is not None
NEEDS = "a C compiler and the headers of Python and OpenSSL (Debian: gcc python3-dev libssl-dev)"

Cipher = Any
"""AES-GCM with one viewer's key: ``struct camshaft_cipher *``."""
Lane = Any
"""One SSRC towards one viewer: ``struct camshaft_lane *``."""
Route = Any
"""Where one viewer's datagrams go: ``struct camshaft_route *``."""


def cipher(key: bytes) -> Cipher:
    """AES-GCM with a key of 16 or 32 bytes."""
    assert len(key) in (16, 32), "AES-128 or AES-256"
    return _owned(lib.camshaft_cipher_new(key, len(key)), lib.camshaft_cipher_free)


def lane(of_viewer: Cipher, iv: int) -> Lane:
    """One SSRC; ``iv`` is the nonce of packet index 0 as a number. Keep the cipher for as long."""
    return ffi.new("struct camshaft_lane *", (of_viewer, iv.to_bytes(12, "big")))


def route(fd: int, gso: bool, family: socket.AddressFamily, remote: tuple[Any, ...], local: bytes) -> Route:
    """Datagrams to ``remote``, as Python's ``socket`` writes it, from our packed address ``local``; empty: from any."""
    host, port, flow, scope = (*remote, 0, 0)[:4]
    address = socket.inet_pton(family, host.partition("%")[0])
    made = lib.camshaft_route_new(fd, gso, family, address, port, flow, scope, local, len(local))
    return _owned(made, lib.camshaft_route_free)


class Parcel:
    """Packets to be sent, cut into runs, as the compiled loop takes them. Headers have a sequence number of zero."""

    __slots__ = ("_headers", "_payloads", "_runs", "count")

    def __init__(self, runs: Sequence[tuple[Sequence[bytes], Sequence[bytes]]]) -> None:
        """A run is headers and payloads; all but its last packet are of the first one's size."""
        self.count = len(runs)
        self._headers = b"".join([header for headers, _ in runs for header in headers])
        self._payloads = b"".join([payload for _, payloads in runs for payload in payloads])
        shapes = [(len(payloads), len(headers[0]), len(payloads[0]), len(payloads[-1])) for headers, payloads in runs]
        # C relies on both: a wrong one would send what lies behind them in memory.
        if len(self._payloads) != sum((count - 1) * size + last for count, _, size, last in shapes):
            raise ValueError("all payloads of a run but the last have the first one's size")
        if len(self._headers) != sum(count * size for count, size, _, _ in shapes):
            raise ValueError("all headers of a run have the same size, and there is one a payload")
        self._runs = ffi.new("struct camshaft_run[]", shapes)

    def send(
        self, lanes: Sequence[Lane], routes: Sequence[Route], numbers: Sequence[int]
    ) -> list[tuple[int, int, int]]:
        """Send all of it on each lane to the route at the same place; ``numbers`` are the first packet's indices.

        Returns place, number of runs that are not to be sent again, and errno of those to whom something was not sent.
        """
        viewers = len(lanes)
        if not viewers == len(routes) == len(numbers):
            raise ValueError("each lane has a route and a number")
        sent, errors = ffi.new("int[]", viewers), ffi.new("int[]", viewers)
        refused = lib.camshaft_fan_out(
            self._headers, self._payloads, self._runs, self.count, lanes, routes, numbers, sent, errors, viewers
        )
        if refused < 0:
            raise ValueError("a run is longer than a UDP datagram before its segmentation")
        return [(at, sent[at], errors[at]) for at in range(viewers) if errors[at]] if refused else []


def _owned(made: Any, free: Any) -> Any:
    if not made:
        raise MemoryError
    return ffi.gc(made, free)
