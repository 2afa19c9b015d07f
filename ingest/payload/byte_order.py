"""The order of the two bytes of a sample, in sound that is not compressed; no I/O.

RFC 3551 4.5.11 wants the most significant one first. What is called PCM instead of L16 (Hikvision, Dahua's door
stations) has the least significant one first, and so have some that say L16 (``arecord`` behind v4l2rtspserver); played
in the wrong order it is noise. Sound goes on from one sample to the next, noise does not: the order is the one by
which it does, as soon as that is clear, and until then the announced one. What is clipped says nothing: its samples are
the largest there are, and these are small ones in the other order.
"""

from __future__ import annotations

import sys
from array import array
from operator import sub

BLOCK = 2_000  # samples that are looked at together: an eighth of a second of 16 kHz
CLEAR = 4  # times as far from sample to sample in one order as in the other; noise as loud as can be has 1
CLIPPED = 0.05  # of a block's samples
MOST = 100  # blocks that are looked at: sound that is not clear by then stays as it is


class ByteOrder:
    """The order of one track's bytes; ``little``: the least significant one is said to come first."""

    def __init__(self, channels: int, *, little: bool = False) -> None:
        self._channels = channels
        self._little = little
        self._left = MOST
        self._block = b""

    def in_network_order(self, samples: bytes) -> bytes:
        """Whole samples, most significant byte first."""
        if self._left and samples.count(0) < len(samples):  # silence is the same in both
            self._block += samples
            if len(self._block) >= 2 * BLOCK:
                self._look()
        if not self._little:
            return samples
        turned = array("h", samples)
        turned.byteswap()
        return turned.tobytes()

    def _look(self) -> None:
        block, self._block = self._block, b""
        self._left -= 1
        said, other = (_values(block, little) for little in (self._little, not self._little))
        if sum(map(said.count, _LARGEST)) > CLIPPED * len(said):
            return
        steps = self._steps(said), self._steps(other)
        high = block[1 if not self._little else 0 :: 2]  # in the other order
        # One that never changes is of samples with eight bits, the other byte of which is nothing.
        if high.count(high[0]) < len(high) and steps[0] > CLEAR * steps[1]:
            self._little = not self._little
        elif steps[1] <= CLEAR * steps[0]:
            return
        self._left = 0

    def _steps(self, values: array[int]) -> int:
        """How far it is from each sample to the next of its channel, all together."""
        return sum(map(abs, map(sub, values[self._channels :], values)))


def _values(block: bytes, little: bool) -> array[int]:
    values = array("h", block)
    if little is not (sys.byteorder == "little"):
        values.byteswap()
    return values


_LARGEST = 32_767, -32_767, -32_768
