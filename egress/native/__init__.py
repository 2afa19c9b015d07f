"""The compiled half of the fan-out, where it was built.

``fanout.c`` does for each viewer what ``egress.media.fanout`` does in Python, byte for byte, at a third of the cost.
This module only makes its objects. What owns memory there is freed with the Python object that stands for it.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from common.media import MAX_PAYLOAD
from common.packed import Packed

try:
    from egress.native._fanout import ffi, lib
except ImportError:  # no compiler or no headers when Camshaft was installed, or not Linux
    ffi = lib = None

BUILT = lib is not None
LIBRARY = ffi.string(lib.camshaft_library()).decode() if BUILT else ""  # that encrypts, with its version
NEEDS = "a C compiler and the headers of Python and OpenSSL (Debian: gcc python3-dev libssl-dev)"

SLOTS = 16
_WORD = 0xFFFFFFFF  # of which a timestamp is made
_ANY = (1 << 63) - 1  # time, as late as it can be

Cipher = Any
"""AES-GCM with one viewer's key: ``struct camshaft_cipher *``."""
Lane = Any
"""One SSRC towards one viewer: ``struct camshaft_lane *``."""
Route = Any
"""Where one viewer's datagrams go: ``struct camshaft_route *``."""
Shape = tuple[int, int, int, int, int, int, int]
"""A run, as ``struct camshaft_run`` has it."""
Found = list[int]
"""A batch in numbers, as ``common.native.read_batch`` has it."""
Slot = Any
"""Where these numbers are, until so many others are as there are ``SLOTS``: ``int64_t *``; see ``found_in``."""
Refused = list[tuple[int, int, int]]
"""Place, number of runs that are not to be sent again, and errno, of each to whom something was not sent."""


def cipher(key: bytes) -> Cipher:
    """AES-GCM with a key of 16 or 32 bytes."""
    assert len(key) in (16, 32), "AES-128 or AES-256"
    return _owned(lib.camshaft_cipher_new(key, len(key)), lib.camshaft_cipher_free)


def lane(of_viewer: Cipher, iv: int, base: int) -> Lane:
    """One SSRC; ``iv`` is the nonce of packet index 0 as a number. Keep the cipher for as long.

    Has the fields ``base``, ``packets`` and ``octets``.
    """
    return ffi.new("struct camshaft_lane *", (of_viewer, iv.to_bytes(12, "big"), base))


def route(fd: int, gso: bool, family: socket.AddressFamily, remote: tuple[Any, ...], local: bytes) -> Route:
    """Datagrams to ``remote``, as Python's ``socket`` writes it, from our packed address ``local``; empty: from any."""
    host, port, flow, scope = (*remote, 0, 0)[:4]
    address = socket.inet_pton(family, host.partition("%")[0])
    made = lib.camshaft_route_new(fd, gso, family, address, port, flow, scope, local, len(local))
    return _owned(made, lib.camshaft_route_free)


class Audience:
    """Lanes, and the route of each. Raises ``ValueError`` if there are more of one than of the other."""

    __slots__ = ("_errors", "_kept", "_lanes", "_routes", "_sent", "size", "was_refused")

    def __init__(self, lanes: Sequence[Lane], routes: Sequence[Route]) -> None:
        if len(lanes) != len(routes):
            raise ValueError("each lane has a route")
        self.size = len(lanes)
        self.was_refused = False  # something of what was passed on last
        self._kept = lanes, routes
        self._lanes = ffi.new("struct camshaft_lane *[]", lanes)
        self._routes = ffi.new("struct camshaft_route *[]", routes)
        self._sent, self._errors = ffi.new("int[]", self.size), ffi.new("int[]", self.size)

    @property
    def places(self) -> tuple[Any, ...]:
        """The lanes, routes and places for errors, as C takes them, and how many there are."""
        return self._lanes, self._routes, self._sent, self._errors, self.size

    @property
    def refused(self) -> Refused:
        """All to whom something was not sent of what was passed on last."""
        sent, errors = self._sent, self._errors
        return [(at, sent[at], errors[at]) for at in range(self.size) if errors[at]] if self.was_refused else []

    def send(self, parcel: PackedParcel, first: int, start: int, stop: int) -> Refused:
        """Send ``parcel``, whose first packet has index ``first``, to those from place ``start`` to before ``stop``.

        Raises ``ValueError`` for places that are none.
        """
        if not 0 <= start <= stop <= self.size:
            raise ValueError("nobody is at that place")
        sent, errors = self._sent + start, self._errors + start
        refused = lib.camshaft_fan_out(
            *parcel.packets, first, self._lanes + start, self._routes + start, sent, errors, stop - start
        )
        if refused < 0:
            raise ValueError("a run is longer than a UDP datagram before its segmentation")
        return [(start + at, sent[at], errors[at]) for at in range(stop - start) if errors[at]] if refused else []

    def pass_on(
        self,
        frame: bytes,
        at: int,
        named: bytes,
        packets: int,
        due: tuple[int, int, int],
        header: bytes,
        marker: int,
        offset: int,
        first: int,
    ) -> tuple[Found, Refused] | None:
        """Send all of them the picture or sound at ``at`` in a frame of the bus, if it is the one that is ``due``.

        ``due`` is its epoch, its number, and when it was read from the camera at the earliest, in Unix nanoseconds;
        ``packets`` is how many it may have. Its packets get the ``header``, whose timestamp is the batch's and
        ``offset``, and the last of them the ``marker``; the first has index ``first``. ``None``, and nothing was sent,
        if it is another, or no ordinary one.
        """
        sent, errors = self._sent, self._errors
        refused = lib.camshaft_pass_on(
            *(frame, len(frame), at, named, len(named), MAX_PAYLOAD, packets, *due, _ANY),
            *(header, len(header), marker, offset & _WORD, first),
            *(self._lanes, self._routes, sent, errors, self.size, _found),
        )
        if refused < 0:
            return None
        self.was_refused = refused > 0
        return found_in(_found), self.refused


class Passage:
    """The way of all ordinary pictures, or sounds, of a track, for as long as nothing about it changes."""

    __slots__ = ("_audience", "_kept", "_next", "_slots", "_way", "was_refused")

    def __init__(
        self,
        audience: Audience,
        named: bytes,
        packets: int,
        due: tuple[int, int, int, int],
        header: bytes,
        marker: int,
        offset: int,
        first: int,
    ) -> None:
        """Send them to ``audience``, the first of them what is ``due``: its epoch, its number, and how many nanoseconds
        ago it has to have been read from the camera, at most and at least. All else: see ``Audience.pass_on``."""
        self._audience = audience
        self._kept = kept = ffi.from_buffer(named), ffi.from_buffer(header)
        self._slots = [ffi.new("int64_t[]", lib.CAMSHAFT_FOUND) for _ in range(SLOTS)]
        self._next = 0
        self.was_refused = False  # something of what was passed on last
        self._way = ffi.new(
            "struct camshaft_way *",
            (
                *(kept[0], len(named), MAX_PAYLOAD, packets, *due),
                *(kept[1], len(header), marker, offset & _WORD, first, *audience.places),
            ),
        )

    @property
    def first(self) -> int:
        """Index of the next packet."""
        return int(self._way.first)

    @property
    def refused(self) -> Refused:
        """All to whom something was not sent of what was passed on last."""
        return self._audience.refused

    def pass_on(self, frame: bytes, at: int, now_ns: int) -> Slot | None:
        """Send them the one at ``at`` in a frame of the bus that came at that time, if it is the one that is due.

        Returns where it is to be read in numbers; ``None``, and nothing was sent, if it is another, or no ordinary one.
        """
        slot = self._slots[self._next]
        refused = lib.camshaft_keep_on(self._way, frame, len(frame), at, now_ns, slot)
        if refused < 0:
            return None
        self._next = (self._next + 1) % SLOTS
        if refused or self.was_refused:
            self.was_refused = self._audience.was_refused = refused > 0
        return slot


def found_in(slot: Slot) -> Found:
    """The batch in numbers that are there."""
    found: Found = ffi.unpack(slot, lib.CAMSHAFT_FOUND)
    return found


class PackedParcel:
    """Packets to be sent, cut into runs, as the compiled loop takes them. Headers have a sequence number of zero."""

    __slots__ = ("packets",)

    def __init__(self, runs: Sequence[tuple[Sequence[bytes], Sequence[bytes]]]) -> None:
        """A run is headers and payloads; all but its last packet are of the first one's size.

        Raises ``ValueError`` where they are not.
        """
        if len(runs) == 1:  # as most pictures are
            ((headers, payloads),) = runs
        else:
            headers = [header for headers, _ in runs for header in headers]
            payloads = [payload for _, payloads in runs for payload in payloads]
        shapes = []
        at = 0
        for run_headers, run_payloads in runs:
            count, size, last = len(run_payloads), len(run_payloads[0]), len(run_payloads[-1])
            last_at = at + (count - 1) * size
            shapes.append((count, len(run_headers[0]), size, last, at, size, last_at))
            at = last_at + last
        joined = b"".join(payloads)
        if len(joined) != at:  # what lies where is not what was said
            raise ValueError("all payloads of a run but the last have the first one's size")
        self.packets = _packets(b"".join(headers), joined, shapes)

    @classmethod
    def alike(cls, header: bytes, last: bytes, payloads: Sequence[bytes]) -> PackedParcel:
        """One run whose packets have one ``header``, but for the ``last`` of them: what most pictures are.

        The same bytes as of the lists that ``__init__`` takes. Of ``Packed`` payloads nothing is copied.
        """
        parcel = cls.__new__(cls)
        if type(payloads) is not Packed:
            parcel.__init__([([*[header] * (len(payloads) - 1), last], payloads)])  # type: ignore[misc]  # it was made without
            return parcel
        count, size = payloads.packets, payloads.size
        shape = count, len(header), size, payloads.last, payloads.first_at, payloads.stride, payloads.last_at
        parcel.packets = _packets(header * (count - 1) + last, payloads.frame, (shape,))
        return parcel


def _packets(headers: bytes, payloads: bytes, shapes: Sequence[Shape]) -> tuple[Any, ...]:
    """Headers, back to back, what the payloads lie in, and the runs."""
    # C relies on both: a wrong one would send what lies behind them in memory.
    end, headers_size = len(payloads), 0
    for count, header_size, size, last, at, stride, last_at in shapes:
        headers_size += count * header_size
        if last_at + last > end or (count > 1 and at + (count - 2) * stride + size > end):
            raise ValueError("not all payloads are there")
    if len(headers) != headers_size:
        raise ValueError("all headers of a run have the same size, and there is one a payload")
    return headers, payloads, ffi.new("struct camshaft_run[]", shapes), len(shapes)


_found: Any = ffi.new("int64_t[]", lib.CAMSHAFT_FOUND) if BUILT else None  # read again before the next call


def _owned(made: Any, free: Any) -> Any:
    if not made:
        raise MemoryError
    return ffi.gc(made, free)
