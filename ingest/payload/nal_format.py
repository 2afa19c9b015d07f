"""The part that payload formats of codecs with NAL units share beyond the NAL units: RFC 6184, RFC 7798; no I/O.

A codec's own module derives from ``NalPayloadFormat`` and says what its NAL units mean: which begin a picture, which a
decoder can start with, and which stand before it.

* SEI and parameter sets are held until their picture begins, wherever the camera put them.
* An access unit ends with the marker bit on a slice, else when the timestamp changes or the next picture begins. If its
  last packet has left by then, a NAL unit without meaning carries the marker.
* After a loss nothing is published until the next keyframe.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from struct import Struct

from common.media import MAX_PAYLOAD
from common.payload.fragmentation import aggregate
from common.payload.output import Output
from ingest.payload.access_units import AWAITED
from ingest.payload.keyframes import TOO_LARGE, KeyframeGate
from ingest.payload.nal_units import (
    AGGREGATE,
    CONTINUE,
    FRAGMENT,
    MAX_HELD_BYTES,
    NONE,
    PUBLISH,
    SINGLE,
    NalSyntax,
    NalUnits,
)

MAX_HELD = 32  # SEI before a picture


class NalPayloadFormat(NalUnits):
    """One track's payload format; see the module's text."""

    def __init__(self, syntax: NalSyntax, output: Output) -> None:
        super().__init__(syntax, output)
        self._gate = KeyframeGate()
        self._arrival_ns = 0
        # An RTP packet (RFC 3550 5.1) up to where a fragment's bytes begin; the last field is ``fragment``.
        packet = Struct(f"!HHII{syntax.header_size + 1}s")
        self._unpack_fragment, self.fragment_at = packet.unpack_from, packet.size
        self._held: list[bytes] = []  # SEI before the picture
        self._unusable = False  # a packet came of a structure that is not taken

    @property
    def frames(self) -> int:
        """Published access units."""
        return self._access_units.published

    @property
    def keyframes(self) -> int:
        """Published access units with which a decoder can start."""
        return self._gate.keyframes

    @property
    def hindrance(self) -> str:
        """Why nothing of what comes is published; empty while something is."""
        return TOO_LARGE if self._all_too_large else self._gate.hindrance(self._arrival_ns)

    @property
    def unseen(self) -> bool:
        """Whether nothing of it will be seen as it comes."""
        return self._all_too_large or self._gate.unseen(self._arrival_ns)

    @property
    def _all_too_large(self) -> bool:
        count, published = self._oversized
        return count > 1 and published == self.frames

    def lost(self) -> None:
        """Note that packets are missing between the last one and the next."""
        self._fate = NONE
        self._close()

    def restart(self) -> None:
        """Begin another stream: nothing of the old one is continued."""
        self.lost()
        self._access_units.restart()

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Take the payload ``packet[start:end]``, not empty, in order; ``timestamp`` is extended."""
        access_units = self._access_units
        if timestamp != access_units.timestamp and not self._continues(packet, start, end):
            if self._fate is not NONE:
                self._finish()
            access_units.turn_to(timestamp)
        self._arrival_ns = arrival_ns
        if not self._output.payloads:
            self._output.arrival_ns = arrival_ns
        structure = self._structures[packet[start]]
        if structure is FRAGMENT:
            at = start + self._header_size
            if self._fate is CONTINUE and at < end and packet[at] < 0x40 and not access_units.marked_open:
                self._append(packet[at + 1 : end])  # neither the first nor the last: nearly all of a large picture
            else:
                self._receive_fragment(packet, start, end)
        elif structure is SINGLE:
            self._receive_single(packet[start:end])
        elif structure is AGGREGATE:
            self._receive_aggregate(packet, start + self._header_size, end)
        else:
            self.dropped += 1
            self._gate.arrived(arrival_ns)
            self._unusable = True
        if marker:
            if self._fate is NONE:
                access_units.marked()
            elif access_units.marked_within():
                self._finish()
                access_units.end()

    def _continues(self, packet: bytes, start: int, end: int) -> bool:
        """Whether a packet with another timestamp goes on with the picture that is arriving: some cameras stamp each
        packet when they send it."""
        at = start + self._header_size
        if at >= end or self._access_units.picture is AWAITED:
            return False
        structure = self._structures[packet[start]]
        if structure is FRAGMENT:
            if packet[at] < 0x80:
                return self._fate is not NONE
            return at + 1 < end and self._is_later_slice(packet[at], packet[at + 1])
        return structure is SINGLE and self._fate is NONE and self._is_later_slice(packet[start], packet[at])

    @abstractmethod
    def _is_later_slice(self, kind: int, begin: int) -> bool:
        """Whether a NAL unit of that type, in its low bits, is a slice that does not begin a picture; by what stands
        behind its header."""

    @property
    def fragment(self) -> bytes:
        """The first bytes of a payload that goes on with the NAL unit that is arriving and does not end it; empty if
        there is no such unit."""
        fate = self._fate
        if (fate is not CONTINUE and fate is not PUBLISH) or self._access_units.marked_open:
            return b""
        return self._fragment_headers[self._header][1]

    def fragments(
        self,
        data: memoryview,
        bounds: Sequence[tuple[int, int]],
        at: int,
        begin: int,
        sequence: int,
        timestamp: int,
        ssrc: int,
    ) -> list[memoryview]:
        """The bytes for ``receive_fragments`` in the packets between places of ``data``, those of ``bounds[at]`` first.

        But for their sequence numbers, which begin with ``sequence``, their headers are like each other up to them:
        ``begin`` is the first two bytes as a number. That is all that is looked at. The first other packet is the end.
        """
        begins = (begin, timestamp, ssrc, self.fragment)
        unpack, size = self._unpack_fragment, self.fragment_at
        pieces: list[memoryview] = []
        for start, stop in bounds[at:]:
            if stop - start <= size:
                break
            kind, number, stamp, source, fragment = unpack(data, start)
            if number != sequence or (kind, stamp, source, fragment) != begins:
                break
            sequence = sequence + 1 & 0xFFFF
            pieces.append(data[start + size : stop])
        return pieces

    def receive_fragments(self, data: bytes, arrival_ns: int) -> None:
        """``data`` is what payloads that begin with ``fragment`` carry behind that, one after the other."""
        self._arrival_ns = arrival_ns
        if not self._output.payloads:
            self._output.arrival_ns = arrival_ns
        self._append(data)

    def mark(self) -> None:
        """End the access unit: a packet of the last timestamp without a payload carries the marker."""
        if self._fate is NONE:
            self._access_units.marked()

    def _close(self) -> None:
        """Publish nothing until the next keyframe."""
        self._access_units.discard()
        self._held.clear()
        self._gate.open = False

    def _hold(self, sei: bytes) -> None:
        """Keep it for the picture that it stands before."""
        if len(self._held) == MAX_HELD or sum(map(len, self._held)) + len(sei) > MAX_HELD_BYTES:
            self.dropped += 1
            self._held.clear()
        self._held.append(sei)

    def _send_held(self, sets: Sequence[bytes]) -> None:
        """Send what stands before the first slice: in one packet if it fits, which breaks no run of equal sizes."""
        units = [*sets, *self._held]
        self._held.clear()
        size = self._header_size
        if len(units) > 1 and size + sum(2 + len(nal) for nal in units) <= MAX_PAYLOAD:
            self._output.payloads.append(aggregate(self._syntax.aggregate_header(units), units))
            return
        for nal in units:
            self._send(nal[:size], nal[size:])
