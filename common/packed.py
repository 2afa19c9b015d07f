"""The payloads of an ordinary batch, left in place in the frame that it came in; no I/O.

In an ordinary batch all payloads but the last have the same size, and follow each other as msgpack bins. With cold
caches, making an object of each payload took a fifth of what a picture costs an egress.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload


class Packed(Sequence[bytes]):
    """Payloads of ``packets`` packets in ``frame``, of ``size`` bytes each; the last has ``last`` bytes, never more.

    The first is at ``first_at``, each following one ``stride`` bytes later, and the last at ``last_at``.
    ``common.native`` has checked that all of them are there. Whoever asks for a payload gets a new object.
    """

    __slots__ = ("first_at", "frame", "last", "last_at", "packets", "size", "stride")

    def __init__(
        self, frame: bytes, packets: int, size: int, last: int, first_at: int, stride: int, last_at: int
    ) -> None:
        self.frame, self.packets, self.size, self.last = frame, packets, size, last
        self.first_at, self.stride, self.last_at = first_at, stride, last_at

    @property
    def sizes(self) -> list[int]:
        """Bytes of each."""
        return [*[self.size] * (self.packets - 1), self.last]

    def __len__(self) -> int:
        return self.packets

    @overload
    def __getitem__(self, at: int) -> bytes: ...

    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...

    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        if isinstance(at, slice):
            return [self[each] for each in range(self.packets)[at]]
        at = range(self.packets)[at]  # raises IndexError
        if at == self.packets - 1:
            return self.frame[self.last_at : self.last_at + self.last]
        begin = self.first_at + at * self.stride
        return self.frame[begin : begin + self.size]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self[:])

    def __eq__(self, other: object) -> bool:
        return self[:] == (other[:] if isinstance(other, Packed) else other)

    __hash__ = None  # type: ignore[assignment]  # as a list has none

    def __repr__(self) -> str:
        return f"Packed({self[:]!r})"
