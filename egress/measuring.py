"""One viewer's path by its feedback, above all the transport-wide: how much it carries, and when that is too little.

Trains of probes are measured as they arrive (``egress.path.capacity``). Keyframes are such trains for every viewer that
accepts the numbers; for one that may be shown a smaller stream instead (``PathQuality.watched``) each picture is one.
Where the newest was slower than the stream itself, and much has not arrived yet, packets pile up in a queue on the way.
Then nothing more is sent until they have arrived, and then no faster than they do: the viewer is shown each picture
late, and what it is moved to finds the path free. Who was only held up for a moment goes on with the next feedback.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from common.media import MAX_PAYLOAD
from egress.cursor import Cursor
from egress.path.capacity import Train
from egress.path.pace import Pace
from egress.path.sizes import PROTECTED
from egress.position import Position

PILED = 0.05  # seconds of the stream, beyond a round trip, that have not arrived: more than the feedback is late
FEW = 4  # packets that have not arrived: the path is free


class Measuring:
    """One viewer's place in a feed of pictures, measured."""

    def __init__(self, cursor: Cursor, pace: Pace) -> None:
        self._cursor = cursor
        self._pace = pace
        self._trains: deque[Train] = deque(maxlen=64)  # runs of probes that did not go live, as they were sent

    def sent(self, first: int, end: int) -> None:
        """Note a run of probes that was sent and did not go live."""
        self._trains.append((first, end))

    def begin_anew(self) -> None:
        """Forget trains: they are of another feed than what comes."""
        self._trains.clear()

    def confirmed(self, index: int, now: float) -> None:
        """Note that a receiver report says for the first time that this packet has arrived."""
        if (packet := self._cursor.feed.history.get(index)) is not None:
            self._pace.quality.sizes.arrived(len(packet.payload) + PROTECTED, now)

    def arrived(self, arrivals: Mapping[int, float], now: float) -> bool:
        """Take seconds by sequence number. Whether the path has been found too narrow for what it is sent live."""
        cursor, upto, capacity = self._cursor, self._cursor.upto, self._pace.quality.capacity
        indexed = ((cursor.numbering.index(number, upto), seconds) for number, seconds in arrivals.items())
        by_index = {index: seconds for index, seconds in indexed if index is not None}
        if not by_index:
            return False
        low, high = min(by_index), max(by_index)
        live = cursor.position is Position.LIVE  # else the feed's trains are not how this viewer got them
        feeds = cursor.feed.trains, cursor.feed.pictures
        trains, pictures = ([each for each in of if each[0] >= cursor.live_from] if live else [] for of in feeds)
        capacity.add(_within([*self._trains, *trains], low, high), by_index, MAX_PAYLOAD, now)
        missing = (upto - 1 - high) * MAX_PAYLOAD
        if cursor.held and missing <= FEW * MAX_PAYLOAD:
            self._pace.release()
        if not live or not cursor.watched:
            return False
        capacity.add(_within(pictures, low, high), by_index, MAX_PAYLOAD, now, lasting=False)
        quality, rate = self._pace.quality, cursor.feed.meter.rate
        if missing < rate * (PILED + quality.round_trip) or quality.narrow(rate, now) is None:
            return False
        capacity.believe()
        self._pace.hold(missing, now)
        cursor.hold_back()
        return True


def _within(trains: Iterable[Train], low: int, high: int) -> list[Train]:
    """Trains that have a packet from ``low`` to ``high``: most were sent long before what feedback is about."""
    return [train for train in trains if train[0] <= high and train[1] > low]
