"""Whether the sequence numbers of a track that comes over TCP say anything; no I/O.

Over TCP nothing overtakes and nothing is lost but what the camera leaves out itself, so that numbers are of use only
where they count. Some cameras give all packets one number, or all of a picture; some count down, or at random; some
count the packets of all tracks together. The last are known by another track that has just had the number before.
"""

from __future__ import annotations

from collections.abc import Iterable

from ingest.rtp.reorder import MAX_DROPOUT

NONSENSE = 16  # packets in a row, with hardly one in order between them, after which no number of the track counts


class Numbers:
    """One track's."""

    def __init__(self) -> None:
        self.mean_nothing = False
        self._odd = 0  # packets in a row whose number made no sense
        self._odd_at = 0  # packets in order that had come by the last of them

    def is_next(self, sequence: int, expected: int, received: int, others: Iterable[int], *, repeated: bool) -> bool:
        """Whether a packet that has not the expected number is the next one all the same.

        ``received`` packets had the right one so far; ``others`` are the numbers that the other tracks expect;
        ``repeated``: it is just the packet before it.
        """
        ahead = (sequence - expected + 0x8000 & 0xFFFF) - 0x8000
        if expected < 0 or repeated:
            return False
        if not self.mean_nothing and not 0 <= ahead <= MAX_DROPOUT:
            self._odd = self._odd + 1 if received - self._odd_at < 2 else 1
            self._odd_at = received
            self.mean_nothing = self._odd >= NONSENSE
        return self.mean_nothing or (ahead > 0 and sequence in others)
