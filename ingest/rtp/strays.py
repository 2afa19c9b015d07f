"""Packets that are not what a track's were so far: of another source, or of another payload type; no I/O.

One may be a stray: left over from an earlier session, or meant for somebody else. Only when packets agree with each
other (RFC 3550 A.1) has the camera begun anew, and those that waited for that are taken after all.
"""

from __future__ import annotations

ADOPT_FIRST = 2  # packets in a row of a payload type that was not expected, before any of the expected one came …
ADOPT_LATER = 64  # … and after that: they may be a correction or an enhancement of the others

Waiting = tuple[bytes, int]
"""A packet, and when it arrived."""


class KnownSource:
    """The source of one track's packets; another one takes over when two of its packets come in a row."""

    def __init__(self) -> None:
        self.ssrc: int | None = None  # None before the first packet
        self._retired: int | None = None  # the one before
        self._stranger: tuple[int, int, Waiting] | None = None  # another one, after so many packets; its packet

    def take_over(self, ssrc: int, packets: int, waiting: Waiting) -> Waiting | None:
        """A packet of the source ``ssrc`` came after ``packets`` of ``ssrc`` the attribute.

        The packet that came just before it, if the two agree: theirs is the track's source from now on. ``None`` if it
        waits for the next, or is one of the old source that took its time.
        """
        before, self._stranger = self._stranger, (ssrc, packets, waiting)
        if ssrc == self._retired or before is None or before[:2] != (ssrc, packets):
            return None
        self._retired, self.ssrc, self._stranger = self.ssrc, ssrc, None
        return before[2]


class OtherType:
    """Packets in a row of a payload type that is not the track's, which was ``announced`` to have another."""

    def __init__(self, announced: int) -> None:
        self._announced = announced
        self._due: tuple[int, int, int, int] | None = None  # payload type, SSRC, sequence number, packets before
        self._waiting: list[Waiting] = []  # at most ADOPT_FIRST
        self._count = 0

    def push(self, payload_type: int, ssrc: int, sequence: int, packets: int, waiting: Waiting) -> bool:
        """Take such a packet, after ``packets`` of the track's own. Returns whether there are enough to believe it."""
        if self._due != (payload_type, ssrc, sequence, packets):
            self._waiting, self._count = [], 0
        self._due = payload_type, ssrc, sequence + 1 & 0xFFFF, packets
        self._waiting = [*self._waiting[1 - ADOPT_FIRST :], waiting]
        self._count += 1
        return self._count >= (ADOPT_FIRST if not packets or payload_type == self._announced else ADOPT_LATER)

    def take(self) -> list[Waiting]:
        """The last of them; the next one is the first of another row."""
        waiting, self._due, self._waiting = self._waiting, None, []
        return waiting
