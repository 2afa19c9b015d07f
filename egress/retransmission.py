"""The packets that one viewer is sent again: those that it asks for, and groups of pictures; pure but for the sending.

By RTX (RFC 4588) where the viewer accepts it, else byte-identical, so that no nonce is used for two different packets.
All of it is bounded: requests by their number, and what is sent by ``RepeatBudget``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.media import MAX_PAYLOAD
from egress.cursor import Cursor
from egress.media.fanout import Parcel, fan_out, runs
from egress.media.feed import Feed
from egress.media.group import Audience, Group, Lane
from egress.media.history import NOBODY, Packet
from egress.path.pace import Pace
from egress.position import Position
from egress.repeat_budget import RepeatBudget
from egress.wire.srtp import REPEAT_WINDOW

SILENCE = 1.0  # seconds without a picture after which a camera is taken to be away
REPLAY_INTERVAL = 1.0  # seconds between answers to a viewer's picture loss indications …
FIRST_REPLAY = 0.5  # … and from the start to the first answer: by then the first keyframe has come, or never will
MAX_RETRANSMISSIONS = 250  # packets in BUDGET_INTERVAL: 24 Mb/s, more than an honest loss burst needs
BUDGET_INTERVAL = 0.1  # seconds

Lost = tuple[int, int, Packet]
"""A packet that is to be sent again: the extended sequence number that it had, the lane's base then, and itself."""

_original_sequence = struct.Struct("!H").pack  # RFC 4588 4


@dataclass(slots=True)
class RetransmissionStats:
    """Counters for reports."""

    nacked: int = 0  # packets that the viewer asked for again, each time that it did
    missed: int = 0  # the same, each packet once
    retransmitted: int = 0
    withheld: int = 0  # packets and groups of pictures that were asked for again, and too much for the camera's rate


class Retransmission:
    """Sends again what went out at ``cursor``, by RTX on a ``lane`` of its own."""

    def __init__(self, cursor: Cursor, lane: Lane, pace: Pace) -> None:
        self.stats = RetransmissionStats()
        self._cursor = cursor
        self._lane = lane
        self._pace = pace
        self._next = 0  # index of the next packet on the lane
        self._spare: list[Packet] = []  # to be sent once more, after the picture that is on its way
        self._repeats = RepeatBudget()
        self._asked = -1  # the highest extended sequence number that was asked for
        self._budget = MAX_RETRANSMISSIONS
        self._budget_until = 0.0
        self._next_replay = 0.0  # not before this time

    @property
    def _feed(self) -> Feed:
        return self._cursor.feed

    def start(self, now: float) -> None:
        """Begin: the first group of pictures goes out now."""
        self._next_replay = now + FIRST_REPLAY

    def find(self, sequence_numbers: Iterable[int], now: float) -> list[Lost]:
        """The packets of a NACK (RFC 4585 6.2.1) that are to be sent again."""
        if now >= self._budget_until:
            self._budget, self._budget_until = MAX_RETRANSMISSIONS, now + BUDGET_INTERVAL
        locate, upto, get = self._cursor.numbering.locate, self._cursor.upto, self._feed.history.get
        found: list[Lost] = []
        for number in sequence_numbers:
            if self._budget <= 0:
                break
            self._budget -= 1
            self.stats.nacked += 1
            if (located := locate(number, upto)) is None:
                continue
            extended, base = located
            if extended > self._asked:
                self._asked = extended
                self.stats.missed += 1
            if (packet := get(extended + base)) is None:
                continue
            if self._may_repeat(packet, now):
                found.append((extended, base, packet))
            else:
                self.stats.withheld += 1
        return found

    def send(self, lost: Sequence[Lost], now: float) -> None:
        """Send what ``find`` found."""
        assert self._cursor.format is not None, "nothing is sent again before it was sent"
        self.stats.retransmitted += len(lost)
        if self._cursor.format.rtx is None:
            self._send_as_it_was(lost)
            return
        again = [
            packet._replace(payload=_original_sequence(extended & 0xFFFF) + packet.payload, probe=NOBODY)
            for extended, _, packet in lost
        ]
        self._send_again(again)
        # A receiver that does not know the round trip asks once more only after 100 ms, and by then the picture stands:
        # where it is long or packets are lost, what is sent again is sent twice. On a keyframe's way the second time
        # waits for its end: most are not needed, and the keyframe is.
        if self._pace.quality.thin(now):
            self._spare += [packet for packet in again if self._may_repeat(packet, now)]
            if self._cursor.position is not Position.BEHIND:
                self.send_spare()

    def send_spare(self) -> None:
        """Send what waited for a picture that has left now."""
        if self._spare:
            again, self._spare = self._spare, []
            self._send_again(again)

    def forget_spare(self) -> None:
        """Give up what waited for the picture that was on its way, and is given up, too."""
        self._spare.clear()

    def replay(self, now: float) -> int | None:
        """Index of the keyframe to go back to on a picture loss indication; ``None``: stay.

        Pictures are repeated at most once a second, long groups seldom, and none before the last can have arrived.
        Browsers also ask when a camera has gone silent; then its last pictures would only be shown as if they were new.
        """
        feed, keyframe = self._feed, self._feed.history.keyframe
        silent = feed.pushed_at is None or now - feed.pushed_at > SILENCE
        if keyframe is None or silent or now < self._next_replay:
            return None
        size = (feed.history.end - keyframe) * MAX_PAYLOAD
        if not self._repeats.allow_pictures(size, feed.meter.rate, now):
            self.stats.withheld += 1
            return None
        lasts = size / self._pace.quality.rate(feed.meter.rate, now)
        self._next_replay = now + max(REPLAY_INTERVAL, 2 * lasts)  # the camera goes on meanwhile
        return keyframe

    def _may_repeat(self, packet: Packet, now: float) -> bool:
        return self._repeats.allow_packet(len(packet.payload), self._feed.meter.rate, now)

    def _send_as_it_was(self, lost: Iterable[Lost]) -> None:
        group = self._cursor.group()
        oldest = self._cursor.upto - REPEAT_WINDOW
        for extended, base, packet in lost:
            numbered_still = oldest <= extended + base < self._feed.outbox.unsent
            if not numbered_still:  # it was given up since, and its number may be another's
                continue
            lane = self._cursor.numbering.lane.at(base)
            fan_out(Parcel([[packet]], group), extended + base, Audience([(lane, self._cursor.target)]))

    def _send_again(self, packets: Sequence[Packet]) -> None:
        """Packets whose payloads are those of RFC 4588 4."""
        assert self._cursor.format is not None, "nothing is sent again before it was sent"
        assert self._cursor.format.rtx is not None, "without RTX, packets are sent again as they were"
        parcel = Parcel(list(runs(packets)), Group(self._feed.source.rtx_ssrc, self._cursor.format.rtx))
        fan_out(parcel, self._next, Audience([(self._lane, self._cursor.target)]))
        self._next += len(packets)
        self._pace.spend(sum(len(packet.payload) for packet in packets))  # it takes from what is still to be sent
