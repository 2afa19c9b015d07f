"""Puts a track's packets back in order, and knows which are missing; no I/O.

Over UDP a packet that is ahead waits for those before it, but not for long: a lost packet never arrives, and must not
delay the picture. Over TCP packets cannot overtake each other, so nothing waits, and a sequence number that goes back
means that the camera has restarted.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

DEPTH = 64  # packets that are waited for at most
HOLD_NS = 50_000_000  # and how long: paths that reorder do so by a few ms
LATE_LIMIT = 64  # late packets in a row that mean a new beginning
MAX_DROPOUT = 3_000  # RFC 3550 A.1: a larger jump is a stray packet or a new beginning

T = TypeVar("T")


class Reorder(Generic[T]):
    """One track's packets. The receiver's hot path bypasses it for packets in order: see ``in_order``."""

    def __init__(self, *, udp: bool) -> None:
        self.expected = -1  # sequence number that is due, 16 bits; -1 before the first packet
        self.received = 0  # packets handed on
        self.lost = 0  # given up
        self.duplicates = 0
        self.reordered = 0  # came late, and in time to be handed on
        self.dropped = 0  # came too late, or from nowhere
        self.held: dict[int, tuple[T, int]] = {}  # ahead, with their time of arrival; in order of arrival
        self._udp = udp
        self._base = 0  # such that ``highest`` is right
        self._late = 0  # in a row, that is while ``received`` stays as it is
        self._late_at = 0
        self._stray = -1  # what would follow a packet from far off, while ``received`` stays as it is
        self._stray_at = 0
        self._given_up: deque[int] = deque(maxlen=2 * DEPTH)

    @property
    def highest(self) -> int:
        """Extended highest sequence number handed on (RFC 3550 6.4.1)."""
        return self._base + self.received + self.lost - 1

    @property
    def deadline_ns(self) -> int | None:
        """When ``expire`` has to be called, on the clock of ``push``."""
        return next(iter(self.held.values()))[1] + HOLD_NS if self.held else None

    def in_order(self, sequence: int) -> bool:
        """Whether a packet is just the next one, and is now counted as handed on; if not, it has to be pushed."""
        if sequence != self.expected or self.held:
            return False
        self.expected = sequence + 1 & 0xFFFF
        self.received += 1
        return True

    def take_as_next(self, sequence: int) -> None:
        """Take a packet for the next one, whatever its number is; give up those that are held for theirs."""
        self.dropped += len(self.held)
        self.held.clear()
        self._base = sequence - self.received - self.lost
        self.expected = sequence + 1 & 0xFFFF
        self.received += 1

    def came_in_order(self, count: int) -> None:
        """Count packets that were just the next ones, and are handed on."""
        self.expected = self.expected + count & 0xFFFF
        self.received += count

    def push(self, sequence: int, packet: T, now_ns: int) -> list[T | None]:
        """Take a packet. Returns those to hand on now, in order; ``None`` marks a place where some are missing."""
        if self.expected < 0:
            return self._restart(sequence, packet)
        ahead = (sequence - self.expected + 0x8000 & 0xFFFF) - 0x8000
        if ahead < 0:
            return self._behind(sequence, packet, ahead)
        if ahead > MAX_DROPOUT:
            return self._far_off(sequence, packet)
        if not ahead:
            self.reordered += bool(self.held)
            return [*self._next(packet), *self._release()]
        if not self._udp:
            self._give_up(ahead)
            return [None, *self._next(packet)]
        if sequence in self.held:
            self.duplicates += 1
            return []
        self.held[sequence] = (packet, now_ns)
        ready: list[T | None] = []
        while sequence in self.held and sequence - self.expected & 0xFFFF >= DEPTH:
            ready += self._skip_gap()
        return ready + self.expire(now_ns)

    def expire(self, now_ns: int) -> list[T | None]:
        """Return packets that have waited long enough, as ``push`` does."""
        ready: list[T | None] = []
        while (deadline := self.deadline_ns) is not None and deadline <= now_ns:
            ready += self._skip_gap()
        return ready

    def reset(self) -> None:
        """Start a new stream with the next packet, and drop the packets held for the old one."""
        self.held.clear()
        self.expected = -1

    def _behind(self, sequence: int, packet: T, ahead: int) -> list[T | None]:
        if self._udp:
            if sequence in self._given_up:
                self._given_up.remove(sequence)
                self.dropped += 1
            else:
                self.duplicates += 1
            self._late = self._late + 1 if self._late_at == self.received else 1
            self._late_at = self.received
            if self._late < LATE_LIMIT:
                return []
        elif ahead == -1:
            self.duplicates += 1
            return []
        return [*self._release_all(), None, *self._restart(sequence, packet)]

    def _far_off(self, sequence: int, packet: T) -> list[T | None]:
        # RFC 3550 A.1: two packets in a row have to agree.
        if self._udp and (sequence != self._stray or self.received != self._stray_at):
            self._stray, self._stray_at = sequence + 1 & 0xFFFF, self.received
            self.dropped += 1
            return []
        return [*self._release_all(), None, *self._restart(sequence, packet)]

    def _restart(self, sequence: int, packet: T) -> list[T | None]:
        self._base = sequence - self.received - self.lost
        self.expected = sequence
        return self._next(packet)

    def _next(self, packet: T) -> list[T | None]:
        self.received += 1
        self.expected = self.expected + 1 & 0xFFFF
        return [packet]

    def _release(self) -> list[T | None]:
        """Packets that are held and due."""
        ready: list[T | None] = []
        while self.expected in self.held:
            ready += self._next(self.held.pop(self.expected)[0])
        return ready

    def _give_up(self, count: int) -> None:
        if self._udp:  # else nothing that is missing comes late
            newest = range(max(count - 2 * DEPTH, 0), count)
            self._given_up.extend([self.expected + index & 0xFFFF for index in newest])
        self.lost += count
        self.expected = self.expected + count & 0xFFFF

    def _skip_gap(self) -> list[T | None]:
        """Wait no longer for what is missing before the first that is held."""
        self._give_up(min(sequence - self.expected & 0xFFFF for sequence in self.held))
        return [None, *self._release()]

    def _release_all(self) -> list[T | None]:
        ready: list[T | None] = []
        while self.held:
            ready += self._skip_gap()
        return ready
