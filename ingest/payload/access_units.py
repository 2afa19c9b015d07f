"""One track's access units: where each begins and ends, and whether it is published; no I/O.

RFC 6184 5.1, RFC 7798 4.1 and RFC 9628 4.1 agree: an access unit is what shares a timestamp, and the marker bit stands
on its last packet. Cameras set markers too early, on every slice, or not at all, and give two pictures one timestamp.

``picture`` moves like this:

    AWAITED ──a slice begins──▶ SKIPPED ──publish──▶ PUBLISHED
       ▲──────── the marker, another timestamp, the next picture, discard ────────┘ (from either)

* NAL units that come while it is AWAITED, such as parameter sets and SEI, belongs to the picture that comes next.
* A marker ends the access unit unless it is AWAITED. Within a fragmented NAL unit it has come too early, or the last
  fragment lacks its end bit: ``marked_open`` until the next fragment or timestamp tells which. A fragment of nothing
  but that bit ends the access unit with the marker before it. If nothing followed it
  ``ENDLESS`` times in a row, such a marker is believed at once.
* When more slices follow a marker within one timestamp, markers stand on every slice: none is believed any more.
"""

from __future__ import annotations

from enum import Enum, auto

from common.media import Flags
from common.payload.output import Output

ENDLESS = 2  # units whose last fragment lacks the end bit, after which the marker is believed

_UNIT_END = int(Flags.UNIT_END)


class Picture(Enum):
    """The states of the access unit's picture."""

    AWAITED = auto()  # no slice yet
    SKIPPED = auto()  # slices that are not published
    PUBLISHED = auto()  # slices that are


AWAITED, SKIPPED, PUBLISHED = Picture  # looked up for every packet


class AccessUnits:
    """The access units of one track.

    ``end_mark`` is a NAL unit without meaning that may end an access unit, to carry the marker bit.
    """

    def __init__(self, output: Output, end_mark: bytes) -> None:
        self.published = 0
        self.picture = AWAITED
        self.timestamp = -1
        self.size = 0  # bytes published of the present one
        self.marked_open = False  # the marker has come, and its NAL unit has no end
        self._output = output
        self._end_mark = end_mark
        self._marked_timestamp = -1  # of the last one that the marker ended
        self._trust_markers = True
        self._endless = 0  # units in a row that ended without the end bit

    def turn_to(self, timestamp: int) -> None:
        """Turn to another timestamp: it ends the access unit, unless only what belongs to the next one has come."""
        if self.marked_open:  # nothing of the unit came after the marker
            self._endless, self.marked_open = self._endless + 1, False
        if self.picture is not AWAITED:
            self.complete()
        self.timestamp = timestamp

    def marked(self) -> None:
        """End the access unit: the marker bit has come, and no NAL unit lacks its last fragment."""
        if self.picture is not AWAITED and self._trust_markers:
            self.complete()  # as ``end`` does, without another call for each picture
            self._marked_timestamp = self.timestamp

    def end(self) -> None:
        """Believe the marker, and end the access unit with it."""
        self.complete()
        self._marked_timestamp = self.timestamp

    def marked_within(self) -> bool:
        """The marker bit has come within a fragmented NAL unit. Whether that, and with it the access unit, ends so."""
        if self.picture is AWAITED or not self._trust_markers:
            return False
        if self._endless < ENDLESS:
            self.marked_open = True
            return False
        return True

    def continued(self) -> None:
        """Note a fragment after the marker that came within its NAL unit: that came too early."""
        self._endless, self.marked_open = 0, False

    def ended_late(self) -> None:
        """Note that only the end bit follows the marker within its NAL unit: that was right, and ends both."""
        self.marked_open = False
        self.end()

    def continued_after_end(self) -> None:
        """Note a fragment whose NAL unit is over; where the marker ended that, it came too early after all."""
        if self.timestamp == self._marked_timestamp:
            self._endless = 0

    def begin(self, first: bool, field_pairs: bool, publishing: bool) -> bool:
        """A slice begins, ``first`` if it says so of its picture. Whether a picture begins with it.

        Else it goes where its picture went; ``publishing`` says where, if its first slice is not known.
        ``field_pairs``: two pictures may make one access unit.
        """
        if self.picture is not AWAITED:
            if not first or field_pairs:
                return False
            self.complete()  # the next picture, without a marker or a new timestamp between them
        self.picture = SKIPPED
        if not first and self.timestamp == self._marked_timestamp:
            self._trust_markers = False  # they stand on every slice
            self.picture = PUBLISHED if publishing else SKIPPED
            return False
        return True

    def publish(self, arrival_ns: int, flags: int) -> None:
        """Publish the picture that has begun."""
        self.picture = PUBLISHED
        self._output.begin(self.timestamp, arrival_ns, flags)

    @property
    def expects_marker(self) -> bool:
        """Whether no picture has begun, and the marker that comes with one will end it."""
        return self.picture is AWAITED and self._trust_markers and not self.marked_open

    def take(self, payloads: list[bytes], timestamp: int, arrival_ns: int) -> None:
        """Publish a whole picture that ends with the marker, and that ``expects_marker``."""
        self.timestamp = self._marked_timestamp = timestamp
        self._output.send_unit(payloads, timestamp, arrival_ns)
        self.published += 1

    def complete(self) -> None:
        """Bring the access unit to its end; do nothing if that is still awaited."""
        if self.picture is PUBLISHED:
            if not self._output.payloads:
                self._output.payloads.append(self._end_mark)
            self._output.cut(_UNIT_END)
            self.published += 1
        if self.picture is not AWAITED:
            self.picture = AWAITED
            self.size = 0

    def discard(self) -> None:
        """Forget what has come of the access unit and is in no batch yet."""
        self._output.discard()
        self.picture = AWAITED
        self.size = 0

    def restart(self) -> None:
        """Begin another stream: no timestamp of the old one counts."""
        self._marked_timestamp = self.timestamp = -1
