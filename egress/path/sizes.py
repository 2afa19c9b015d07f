"""The sizes of the packets that reach a viewer, and of those that do not; pure.

A tunnel or a line with a small MTU, whose routers tell nobody (RFC 2923 2.1), loses each packet beyond a size and no
other. A thin or bad line loses all alike. So each packet is counted once, as lost if the viewer's first NACK that
reaches as far asks for it. A packet that is asked for later is taken for arrived: few are, and shares decide.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

STEP = 80  # bytes of payload: as exact as a person needs it who looks for an MTU
STEPS = 15  # up to MAX_PAYLOAD
SPAN = 250  # packets that one NACK is judged by at most: twenty times the usual, and some ten microseconds
EVIDENCE = 20  # packets of either kind, from which on something follows
PASSES = 0.9  # share of the packets below the size that arrives …
BARRED = 0.25  # … and of the larger ones that seems to: packets that are asked for late, and only then, are among them


class Sizes:
    """The counts for one kind of media of one viewer."""

    def __init__(self) -> None:
        self._arrived = [0] * STEPS
        self._lost = [0] * STEPS
        self._next = 0  # extended sequence number, below which all is counted

    def learn(self, asked: Collection[int], size_of: Callable[[int], int | None]) -> None:
        """Take a NACK for these extended sequence numbers; ``size_of`` gives a packet's bytes of payload, if known."""
        if not asked:
            return
        last = max(asked)
        for number in range(max(self._next, min(asked), last - SPAN), last + 1):
            if (size := size_of(number)) is not None:
                counts = self._lost if number in asked else self._arrived
                counts[min(size // STEP, STEPS - 1)] += 1
        self._next = max(self._next, last + 1)

    @property
    def bound(self) -> int:
        """Bytes of payload from which on next to nothing arrives, while nearly all that is smaller does; 0 if none."""
        large, large_lost = sum(self._arrived), sum(self._lost)
        small = small_lost = found = best = 0
        for step, (arrived, lost) in enumerate(zip(self._arrived, self._lost, strict=True), 1):
            small, small_lost = small + arrived, small_lost + lost
            large, large_lost = large - arrived, large_lost - lost
            enough = small + small_lost >= EVIDENCE and large + large_lost >= EVIDENCE
            passes = small >= PASSES * (small + small_lost) and large <= BARRED * (large + large_lost)
            right = small + large_lost  # packets that are on the side of this size on which they should be
            if enough and passes and right > best:
                found, best = step * STEP, right
        return found
