"""Parameter sets by id, as any codec with NAL units has them; those that a session description announces; no I/O."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Generic, TypeVar

MAX_ANNOUNCED = 32  # NAL units of a session description that are looked at

T = TypeVar("T")


class ParameterSetStore(Generic[T]):
    """The parameter sets of one kind, by id, oldest first; with each goes what was read of it.

    All ids that the standard has are kept: encoders may take the next one for each keyframe (OpenH264's INCREASING_ID)
    and refer to old ones later. The first one in the stream replaces those that the session description announced.
    """

    def __init__(self) -> None:
        self.size = 0  # bytes
        self._sets: dict[int, tuple[bytes, T]] = {}
        self._in_band = False

    def __len__(self) -> int:
        return len(self._sets)

    def __contains__(self, identifier: int) -> bool:
        return identifier in self._sets

    def __getitem__(self, identifier: int) -> tuple[bytes, T]:
        return self._sets[identifier]

    def items(self) -> list[tuple[int, tuple[bytes, T]]]:
        """Identifier, NAL unit and what was read of it, oldest first."""
        return list(self._sets.items())

    def renew(self, nal: bytes) -> bool:
        """Whether just this NAL unit is known; it is the newest from now on."""
        for identifier, known in self._sets.items():
            if known[0] == nal:
                self._sets[identifier] = self._sets.pop(identifier)
                return True
        return False

    def add(self, identifier: int, nal: bytes, value: T) -> None:
        """Keep the newest, instead of the one that had its id."""
        self.size += len(nal) - len(self._sets.pop(identifier, (b"",))[0])
        self._sets[identifier] = (nal, value)

    def drop_oldest(self) -> None:
        """Forget the one that was added or renewed first."""
        self.size -= len(self._sets.pop(next(iter(self._sets)))[0])

    def came_in_band(self, nal: bytes) -> None:
        """Note that a parameter set came in the stream: with the first, those of the description count no longer."""
        if not self._in_band:
            self._in_band = True
            self._sets = {key: each for key, each in self._sets.items() if each[0] == nal}
            self.size = sum(len(each[0]) for each in self._sets.values())


def announced(sprop: str) -> Iterator[bytes]:
    """The NAL units of ``sprop-parameter-sets`` (RFC 6184 8.1), or of ``sprop-vps`` and its like (RFC 7798 7.1)."""
    for text in sprop.split(",", MAX_ANNOUNCED)[:MAX_ANNOUNCED]:
        try:
            unit = base64.b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            continue
        for nal in unit.split(b"\0\0\1", MAX_ANNOUNCED):  # some cameras leave start codes in
            if nal := nal.strip(b"\0"):
                yield nal
