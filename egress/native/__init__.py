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


def fan_out(
    headers: Sequence[bytes],
    payloads: Sequence[bytes],
    lanes: Sequence[Lane],
    routes: Sequence[Route],
    numbers: Sequence[int],
) -> list[tuple[int, int]]:
    """Send packets, all of the first one's size but the last, on each lane to the route at the same place.

    ``headers`` have a sequence number of zero, and ``numbers`` are the first packet's index on each lane. Returns place
    and errno of those to whom nothing could be sent.
    """
    count = len(lanes)
    first, last = len(payloads[0]), len(payloads[-1])
    together = b"".join(payloads)
    assert len(together) == first * (len(payloads) - 1) + last, "a run has equal sizes but for the last"
    errors = ffi.new("int[]", count)
    shape = len(payloads), len(headers[0]), first, last
    refused = lib.camshaft_fan_out(b"".join(headers), together, *shape, lanes, routes, numbers, errors, count)
    assert refused >= 0, "a run has a bounded size"
    if not refused:
        return []
    return [(at, code) for at, code in enumerate(errors) if code]


def _owned(made: Any, free: Any) -> Any:
    if not made:
        raise MemoryError
    return ffi.gc(made, free)
