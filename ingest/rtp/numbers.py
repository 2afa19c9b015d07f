"""Whether the sequence numbers of a track say anything; no I/O.

Some cameras give all packets one number, or all of a picture; some count down, in steps, or at random; some count by
less than 16 bits; some count the packets of all tracks together. Over TCP nothing overtakes and nothing is lost but
what the camera leaves out itself, so that numbers are of use only where they count. Over UDP they are believed for
longer: paths repeat and shuffle, but never so that none follows the one before it.
"""

from __future__ import annotations

from collections.abc import Iterable

from ingest.rtp.reorder import MAX_DROPOUT

NONSENSE = 16  # packets in a row, with hardly one in order between them, after which no number of the track counts …
NONSENSE_UDP = 40  # … and over UDP, where as many may come late: before ``LATE_LIMIT`` takes them for a new beginning
STEPS = 64  # packets in a row, each as far from the one before it: no loss is so regular


class Numbers:
    """The judge of one track's sequence numbers."""

    def __init__(self, *, udp: bool) -> None:
        self.mean_nothing = False
        self._udp = udp
        self._odd = 0  # packets in a row whose number made no sense
        self._odd_at = 0  # packets in order that had come by the last of them
        self._before, self._step = -1, 0  # the number of the last packet that was judged, and how far it went
        self._steps, self._judged_at = 0, -1  # as far in a row, and the packets in order that had come by then
        self._wrap = -1, -1, -1  # the last jump back: from, to, and the packets in order that had come by then

    def is_next(self, sequence: int, expected: int, received: int, others: Iterable[int], *, repeated: bool) -> bool:
        """Whether a packet that has not the expected number is the next one all the same.

        ``received`` packets had the right one so far; ``others`` are the numbers that the other tracks expect;
        ``repeated``: it is just the packet before it.
        """
        if expected < 0 or repeated:
            return False
        ahead = _signed(sequence - expected)
        if not self.mean_nothing:
            wraps = self._wraps(sequence, expected, received, ahead)
            self._judge(sequence, expected, received, ahead)
            if wraps:
                return True
        return self.mean_nothing or (not self._udp and ahead > 0 and sequence in others)

    def _wraps(self, sequence: int, expected: int, received: int, ahead: int) -> bool:
        """Whether a jump back is just as the last one was, with a round between them: the counter is a short one."""
        last, first, at = self._wrap
        if ahead >= 0 or received == at:
            return False
        self._wrap = expected, sequence, received
        return (expected, sequence) == (last, first) and received - at > (-ahead >> 1)

    def _judge(self, sequence: int, expected: int, received: int, ahead: int) -> None:
        before = self._before if received == self._judged_at else expected - 1
        step = _signed(sequence - before)
        regular = step == self._step > 1 and received - self._judged_at <= 1
        self._steps = self._steps + 1 if regular else 0
        self._before, self._step, self._judged_at = sequence, step, received
        odd = not 0 <= ahead <= MAX_DROPOUT
        if odd and not (self._udp and 0 < step <= MAX_DROPOUT):  # what counts on from a new beginning over UDP
            most = 1 if self._udp and step else 2  # what comes twice by two paths has others between
            self._odd = self._odd + 1 if received - self._odd_at < most else 1
            self._odd_at = received
        elif self._udp and not odd:  # it waits for those before it
            self._odd = 0
        self.mean_nothing = self._odd >= (NONSENSE_UDP if self._udp else NONSENSE) or self._steps >= STEPS


def _signed(difference: int) -> int:
    """A difference of 16-bit numbers, to the nearer side."""
    return (difference + 0x8000 & 0xFFFF) - 0x8000
