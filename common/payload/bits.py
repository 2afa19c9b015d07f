"""Bits of a parameter set, read one field after the other, in the notation of ITU-T H.264 and H.265 (7.2); no I/O."""

from __future__ import annotations

_MAX_ZEROS = 32  # before an Exp-Golomb code's first one


class Bits:
    """Reads bits; ``ValueError`` past the end. What is read costs the same wherever it stands."""

    __slots__ = ("_at", "_bits")

    def __init__(self, data: bytes) -> None:
        self._bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
        self._at = 0

    def u(self, count: int) -> int:
        """u(n): ``count`` bits. Raises ``ValueError``."""
        at = self._at
        self._at = end = at + count
        if end > len(self._bits):
            raise ValueError("parameter set ends too early")
        return int(self._bits[at:end], 2) if count else 0

    def peek(self, count: int) -> int | None:
        """The next ``count`` bits, which stay; ``None`` where there are fewer."""
        bits = self._bits[self._at : self._at + count]
        return int(bits, 2) if len(bits) == count else None

    def ue(self) -> int:
        """ue(v): 9.1. Raises ``ValueError``."""
        at = self._at
        one = self._bits.find("1", at, at + _MAX_ZEROS + 1)
        if one < 0:
            early = len(self._bits) - at <= _MAX_ZEROS
            raise ValueError("parameter set ends too early" if early else "not an Exp-Golomb code")
        self._at = one
        return self.u(one - at + 1) - 1

    def se(self) -> int:
        """se(v): 9.1.1."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)

    def octets(self, count: int) -> bytes:
        """The next ``count`` bytes, wherever they begin."""
        return self.u(8 * count).to_bytes(count, "big")
