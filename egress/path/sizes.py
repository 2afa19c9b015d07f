"""The largest datagram that reaches a viewer, by checks of chosen sizes; pure.

A tunnel or a line with a small MTU, whose routers tell nobody (RFC 2923 2.1), loses each datagram beyond a size and no
other. A thin or bad line loses all alike, and a viewer's NACKs do not tell one from the other: they name what is lost,
and hardly ever what has arrived. So where much is lost, checks are padded to several sizes and sent beside one without
padding (RFC 8899 3). A size is lost if the one without was answered and it never was. What has arrived meanwhile, of
checks or of media, outweighs what was missed.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.media import MAX_PAYLOAD

PROTECTED = 28  # bytes that every packet has around its payload: RTP's header, SRTP's tag
FULL = MAX_PAYLOAD + PROTECTED + 12  # bytes of a datagram, with extensions: none of ours is larger
STEP = 80  # bytes: as exact as a person needs it who looks for an MTU
SIZES = tuple(range(FULL, 240, -STEP))
BARE = 0  # stands for a check without padding
TRIES = 5  # of a size, with none answered: where a third is lost at random, one search in 200 ends so
AGAIN = 10.0  # seconds until what is known is asked for again, as paths change


class Sizes:
    """The search on one path. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._passes = BARE  # the largest that is known to arrive
        self._misses = dict.fromkeys(SIZES, 0)  # in a row
        self._due = float("-inf")

    @property
    def bound(self) -> int:
        """Bytes of the largest datagram that arrives, to a step, where the largest of ours do not; 0 where they do.

        Where none of the sizes arrives it is the least.
        """
        return max(self._passes, SIZES[-1]) if self._misses[FULL] >= TRIES else 0

    def wanted(self, now: float) -> tuple[int, ...]:
        """The sizes to be asked for now, beside a check without padding; none while nothing is due."""
        if now < self._due:
            return ()
        if not self._misses[FULL]:
            return (FULL,)
        return tuple(size for size in SIZES if size > self._passes)

    def arrived(self, size: int, now: float) -> None:
        """Note that a datagram of so many bytes has arrived."""
        if size >= MAX_PAYLOAD + PROTECTED:  # as large as most that are cut are
            size, self._due = FULL, now + AGAIN
        self._passes = max(self._passes, size)
        for each in SIZES:
            if each <= size:
                self._misses[each] = 0

    def missed(self, sizes: Iterable[int], now: float) -> None:
        """Checks of these sizes were not answered, and the one without padding that went with them was."""
        for size in sizes:
            self._misses[size] += 1
            if size <= self._passes:  # that was before
                self._passes = BARE
        if all(self._misses[size] >= TRIES for size in SIZES if size > self._passes):
            self._due = now + AGAIN
