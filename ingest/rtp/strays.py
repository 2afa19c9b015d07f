"""Packets that are not what a track's were so far: of another source, or of another payload type; no I/O.

One may be a stray: left over from an earlier session, or meant for somebody else. Only when packets agree with each
other (RFC 3550 A.1) has the camera begun anew, and those that waited for that are taken after all.
"""

from __future__ import annotations

ADOPT_FIRST = 2  # packets in a row of a payload type that was not expected, before any of the expected one came …
ADOPT_LATER = 64  # … and after that: they may be a correction or an enhancement of the others …
ADOPT_PICTURES = 4  # … which comes beside them: so many pictures of nothing else are the track's

AROUND = 512  # sequence numbers, from the announced one on, of which the first that comes may be any
LOYAL_NS = 200_000_000  # without a packet of the announced source, before one takes over that was there at its start
MAX_LEFT_OVER = 8  # sources of earlier sessions
MAX_HELD = 1_000  # packets of one that may take over: a camera of 40 Mbit/s sends them in that time …
MAX_HELD_BYTES = 4 << 20  # … and bytes of them

Waiting = tuple[bytes, int]
"""A packet, and when it arrived."""


class KnownSource:
    """The source of one track's packets; another one takes over when two of its packets come in a row.

    Where the camera has said by what its packets are known, they are the track's from the first one on. Others that
    come beside its first packets are left over from an earlier session, and take over when none of its comes any more.
    What the camera said is of no more use once it has begun anew, or changes the SSRC as it likes.
    """

    def __init__(self) -> None:
        self.ssrc: int | None = None  # None before the first packet
        self._first = 0  # sequence number of its first packet
        self._announced: tuple[int | None, int | None] = None, None  # SSRC, and the sequence number of its first packet
        self._left_over: set[int] = set()  # SSRCs of an earlier session
        self._retired: int | None = None  # the one before
        self._stranger: tuple[int, int] | None = None  # another one, after so many packets …
        self._since_ns = 0  # … the arrival of the first of it …
        self._held: list[Waiting] = []  # … and what came of it
        self._held_bytes = 0

    def announce(self, ssrc: int | None, sequence: int | None) -> None:
        """Expect packets of this SSRC, and the first with this sequence number; ``None`` where the camera says none."""
        self._announced = ssrc, sequence

    def begins(self, ssrc: int, sequence: int, expected: int) -> bool:
        """Take that SSRC for the track's if none came before, or its packet is the expected one. Returns whether."""
        if self.ssrc is None:
            self._first = sequence
        elif sequence != expected:
            return False
        else:
            self._announced = None, None
        self.ssrc = ssrc
        return True

    def take_over(self, ssrc: int, packets: int, waiting: Waiting) -> list[Waiting] | None:
        """A packet of the source ``ssrc`` came after ``packets`` of ``ssrc`` the attribute.

        If that is the track's source from now on: the packets that came before and waited for it. ``None`` if this one
        waits for the next, or is one of the old source that took its time.
        """
        sequence = int.from_bytes(waiting[0][2:4])
        again = self._stranger == (ssrc, packets)
        if not again:
            self._stranger, self._since_ns, self._held, self._held_bytes = (ssrc, packets), waiting[1], [], 0
        if self._is_announced(ssrc, sequence, packets):
            return self._take(ssrc, sequence, [])
        faithful = self._fits(self.ssrc, self._first)
        if faithful and packets < AROUND and len(self._left_over) < MAX_LEFT_OVER:
            self._left_over.add(ssrc)
        if ssrc == self._retired:
            return None
        left_over = faithful and ssrc in self._left_over
        if not again or (left_over and waiting[1] - self._since_ns < LOYAL_NS):
            self._hold(waiting)
            return None
        self._announced = None, None
        held = self._held
        return self._take(ssrc, int.from_bytes((held[0] if held else waiting)[0][2:4]), held)

    def _hold(self, waiting: Waiting) -> None:
        """Keep a packet; of more than may be kept the newest alone, as what follows a gap needs a keyframe."""
        if len(self._held) >= MAX_HELD or self._held_bytes + len(waiting[0]) > MAX_HELD_BYTES:
            self._held, self._held_bytes = [], 0
        self._held.append(waiting)
        self._held_bytes += len(waiting[0])

    def _take(self, ssrc: int, first: int, waiting: list[Waiting]) -> list[Waiting]:
        self._retired, self.ssrc, self._first, self._stranger = self.ssrc, ssrc, first, None
        self._held, self._held_bytes = [], 0
        return waiting

    def _is_announced(self, ssrc: int, sequence: int, packets: int) -> bool:
        soon = packets < AROUND or self._announced[0] is not None
        return soon and self._fits(ssrc, sequence) and not self._fits(self.ssrc, self._first)

    def _fits(self, ssrc: int | None, sequence: int) -> bool:
        announced, first = self._announced
        if announced is not None:
            return ssrc == announced
        return first is not None and (sequence - first) & 0xFFFF < AROUND


class OtherType:
    """Packets in a row of a payload type that is not the track's, which was ``announced`` to have another.

    ``pictures``: those of one timestamp are a picture.
    """

    def __init__(self, announced: int, *, pictures: bool = False) -> None:
        self._announced, self._pictures = announced, pictures
        self._stamps = 0  # that begin in the row
        self._due: tuple[int, int, int, int] | None = None  # payload type, SSRC, sequence number, packets before
        self._waiting: list[Waiting] = []  # at most ADOPT_FIRST
        self._count = 0

    def push(self, payload_type: int, ssrc: int, sequence: int, packets: int, waiting: Waiting) -> bool:
        """Take such a packet, after ``packets`` of the track's own. Returns whether there are enough to believe it."""
        if self._due != (payload_type, ssrc, sequence, packets):
            self._waiting, self._count, self._stamps = [], 0, 0
        if not self._waiting or self._waiting[-1][0][4:8] != waiting[0][4:8]:  # RFC 3550 5.1: the timestamp
            self._stamps += 1
        self._due = payload_type, ssrc, sequence + 1 & 0xFFFF, packets
        self._waiting = [*self._waiting[1 - ADOPT_FIRST :], waiting]
        self._count += 1
        if self._pictures and self._stamps > ADOPT_PICTURES:
            return True
        return self._count >= (ADOPT_FIRST if not packets or payload_type == self._announced else ADOPT_LATER)

    def take(self) -> list[Waiting]:
        """The last of them; the next one is the first of another row."""
        waiting, self._due, self._waiting = self._waiting, None, []
        return waiting
