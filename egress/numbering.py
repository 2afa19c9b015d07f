"""One viewer's sequence numbers for the packets of a feed, whose indices it shares with all other viewers; pure.

Numbers start below 2**15, so that a receiver which loses the first packets cannot miss the first wrap and guess a wrong
ROC (RFC 3711 3.3.1). When a viewer skips, its lane's base changes with it, so that its numbers have no gap. Where
``upto`` is asked for, it is the index of the packet that is sent next: numbers from there on mean nothing yet.
"""

from __future__ import annotations

from egress.media.group import Lane

MAX_SKIPS = 8  # of which is remembered what numbers before meant: nobody asks for what is older
_START_MASK = 0x7FFF


class Numbering:
    """The extended sequence numbers of one lane."""

    __slots__ = ("_spans", "lane")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self._spans: list[tuple[int, int]] = []  # (first extended sequence number, base), oldest first

    def locate(self, number: int, upto: int) -> tuple[int, int] | None:
        """Extended sequence number and base of a 16-bit number that was sent; ``None`` if none such was."""
        following = upto - self.lane.base
        extended = following - ((following - number) & 0xFFFF)
        for first, base in reversed(self._spans):
            if first <= extended < following:
                return extended, base
        return None

    def index(self, number: int, upto: int) -> int | None:
        """Index of the packet that was sent with this 16-bit number; ``None`` if none was."""
        found = self.locate(number, upto)
        return None if found is None else found[0] + found[1]

    def skip(self, index: int, upto: int) -> None:
        """Let the packet with that ``index`` be sent next, instead of ``upto``. Nothing may be on the lane's way."""
        number = upto - self.lane.base if self._spans else index & _START_MASK  # of the lane's first packet
        self.lane.base = index - number
        self._spans = [*self._spans[1 - MAX_SKIPS :], (number, self.lane.base)]

    def resume(self, following: int, index: int, first: int) -> None:
        """Let the packet with that ``index`` have number ``following``; from ``first`` on those before had theirs."""
        self.lane.base = index - following
        self._spans = [(first, self.lane.base)]

    def forget(self, upto: int) -> None:
        """Find nothing any more of what was sent before ``upto``. Numbers go on."""
        self._spans = [(upto - self.lane.base, self.lane.base)] if self._spans else []
