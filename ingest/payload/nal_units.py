"""NAL units out of a camera's packets, and on into packets of ours: what RFC 6184 and RFC 7798 share; no I/O.

In: single NAL unit packets, aggregation packets and fragmentation units, and what cameras make of them: Annex B start
codes, several NAL units in one fragmented one, fragments that start and end at once, zero padding. Out: payloads of at
most ``MAX_PAYLOAD`` bytes. A larger NAL unit is fragmented anew while it arrives: no byte waits for the unit's end.

What becomes of the NAL unit that is arriving, its ``Fate``, moves like this:

    NONE ──its header──▶ UNDECIDED ──its first bytes──▶ PUBLISH ──enough for a fragment──▶ CONTINUE
                                                     └▶ HOLD    └▶ SKIP

* From each of them its end, or a loss, leads to NONE. What was held goes out before the next picture.
* What is too much in size or number leads from each of them to SKIP, and closes the gate until the next keyframe.

This is ingest's hot path: nearly all packets pass through ``NalPayloadFormat.receive``, ``_append`` and ``cut``. A call
takes as long as what is done in it, so that no step of them is a function of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from common.media import MAX_PAYLOAD
from common.payload.fragmentation import FragmentHeaders, cut, end
from common.payload.output import Output
from ingest.native import start_code_at
from ingest.payload.access_units import AccessUnits

MAX_UNIT_BYTES = 4 << 20  # of an access unit, and so of a NAL unit; a lossless 4K picture is smaller
MAX_UNITS = 512  # NAL units in one packet: a 4K picture whose every row of macroblocks is a slice has 135
MAX_HELD_BYTES = 64 << 10  # of SEI before a picture, and of a parameter set

_START_CODE = b"\0\0\1"


class Structure(Enum):
    """The structures of a packet (RFC 6184 5.4, RFC 7798 4.4)."""

    SINGLE = auto()
    AGGREGATE = auto()
    FRAGMENT = auto()
    UNUSABLE = auto()


class Fate(Enum):
    """The states of the NAL unit that is arriving."""

    NONE = auto()  # none is
    UNDECIDED = auto()  # depends on its first bytes
    PUBLISH = auto()  # nothing of it has been sent yet
    CONTINUE = auto()  # fragments of it have
    HOLD = auto()  # until the picture that it belongs to begins
    SKIP = auto()


NONE, UNDECIDED, PUBLISH, CONTINUE, HOLD, SKIP = Fate  # looked up for every packet
SINGLE, AGGREGATE, FRAGMENT, UNUSABLE = Structure


@dataclass(frozen=True, slots=True)
class NalSyntax:
    """How one codec's NAL units and packets are laid out."""

    header_size: int  # bytes of a NAL unit's header, and of an aggregation packet's
    structures: tuple[Structure, ...]  # of a packet by its first byte
    decisive: int  # bytes behind the header with which it can always be decided upon
    slices: frozenset[int]  # types of NAL unit that make up the picture
    end_mark: bytes  # filler data, which may end an access unit
    types: tuple[int, ...]  # of a NAL unit by the first byte of its header, as the next two read it
    header_at: Callable[[bytes, int], bytes]  # of the NAL unit that begins there
    fragmented_at: Callable[[bytes, int], bytes]  # of the NAL unit whose first fragment begins there
    fragment_headers: Mapping[bytes, FragmentHeaders]  # by a NAL unit's header
    aggregate_header: Callable[[Sequence[bytes]], bytes]  # of an aggregation packet of such NAL units


class NalUnits(ABC):
    """One track's NAL units, from where they begin to where they end; ``NalPayloadFormat`` feeds it."""

    def __init__(self, syntax: NalSyntax, output: Output) -> None:
        self.dropped = 0  # packets
        self._oversized = 0, 0  # pictures in a row that were too large, and how many had been published before
        self._output = output
        self._access_units = AccessUnits(output, syntax.end_mark)
        # The NAL unit that is arriving.
        self._fate = NONE
        self._header = b""
        self._type = -1
        self._rest = b""  # what of it has come and not been sent
        # The packet that is arriving, if it holds several.
        self._left = MAX_UNITS  # NAL units that it may still hold
        self._aggregate = False
        # What is looked up for every packet.
        self._syntax, self._decisive = syntax, syntax.decisive
        self._header_at, self._fragment_headers = syntax.header_at, syntax.fragment_headers
        self._structures, self._types, self._header_size = syntax.structures, syntax.types, syntax.header_size
        # The last bytes are not sent: with the next ones they may turn out to be a start code and a header.
        self._held_back = len(_START_CODE) + syntax.header_size - 1

    @abstractmethod
    def _close(self) -> None:
        """Publish nothing until the next keyframe."""

    @abstractmethod
    def _decide(self, data: bytes, at: int) -> Fate:
        """Say what becomes of a NAL unit by its type, and by what begins at ``data[at]`` behind its header."""

    @abstractmethod
    def _awaits_more(self) -> bool:
        """Whether fewer bytes than ``NalSyntax.decisive`` are too few to ``_decide`` upon this NAL unit."""

    @abstractmethod
    def _learn(self, nal: bytes) -> None:
        """A NAL unit that was to be held has come to its end."""

    def _receive_fragment(self, packet: bytes, start: int, end: int) -> None:
        """RFC 6184 5.8, RFC 7798 4.4.3."""
        at = start + self._header_size
        if at >= end:
            self.dropped += 1
            return
        bits = packet[at]
        if bits & 0x80:
            if self._fate is not NONE:
                self._finish()  # it never got its end
            self._begin(self._syntax.fragmented_at(packet, start))
        elif self._fate is NONE:
            self._access_units.continued_after_end()
            self.dropped += 1
            return
        elif self._access_units.marked_open:
            if bits & 0x40 and at + 1 == end:
                self._finish()
                self._access_units.ended_late()
                return
            self._access_units.continued()
        self._append(packet[at + 1 : end])
        if bits & 0x40:
            self._finish()

    def _receive_aggregate(self, packet: bytes, at: int, end: int) -> None:
        """RFC 6184 5.7.1, RFC 7798 4.4.2; zeros behind the last NAL unit are padding."""
        self._left, self._aggregate = MAX_UNITS, True
        empty = 0
        while at + 2 < end:
            size = packet[at] << 8 | packet[at + 1]
            at += 2
            if not size:
                empty += 1
                if empty > MAX_UNITS:
                    break
                continue
            if at + size > end:
                self.dropped += 1
                break
            self._left -= 1
            if self._left < 0:
                self._too_much()
                break
            self._receive_single(packet[at : at + size])
            at += size
        self._aggregate = False

    def _receive_single(self, nal: bytes) -> None:
        if self._fate is not NONE:
            self._finish()
        if nal[0] == 0:  # a start code comes first
            nal = nal.lstrip(b"\0")[1:]
            if not nal:
                return
        self._begin(self._header_at(nal, 0))
        self._append(nal[self._header_size :])
        self._finish()

    def _begin(self, header: bytes) -> None:
        self._header, self._type = header, self._types[header[0]]
        self._fate = UNDECIDED
        self._rest = b""

    def _append(self, data: bytes) -> None:
        """More of the NAL unit that is arriving; Annex B start codes in it begin others."""
        if not data:
            return
        rest = self._rest
        if self._fate is UNDECIDED:
            data = rest + data
            if len(data) < self._decisive and self._awaits_more():
                self._rest = data
                return
            rest = b""
            self._fate = self._decide(data, 0)
        held_back, searched = self._held_back, 0
        if rest:
            searched = len(rest) - held_back
            if searched < 0:
                searched = 0
            data = rest + data
        at = start_code_at(data, searched, len(data) - self._header_size)
        if at >= 0:
            data = self._split(data, at)
            if not data:
                return
        fate = self._fate
        if fate is CONTINUE or fate is PUBLISH:
            if len(data) > MAX_PAYLOAD:  # with what is held back: a fragment of it can be sent
                first, between, _ = self._fragment_headers[self._header]
                if fate is CONTINUE:
                    first = between
                at = cut(self._output.payloads, first, between, data, held_back)
                self._fate = CONTINUE
                self._access_units.size += at
                data = data[at:]
        elif fate is SKIP:
            if self._type in self._syntax.slices:
                self.dropped += 1
            data = data[-held_back:]
        self._rest = data
        if self._access_units.size > MAX_UNIT_BYTES or len(data) > MAX_HELD_BYTES:
            if self._access_units.size > MAX_UNIT_BYTES:
                count, published = self._oversized
                same = published == self._access_units.published
                self._oversized = count * same + 1, self._access_units.published
            self._too_much()

    def _split(self, data: bytes, at: int) -> bytes:
        """Finish all NAL units in ``data`` but the last. Returns what of that one has come; the first start code is at
        ``at``."""
        if not self._aggregate:
            self._left = MAX_UNITS
        begin = 0
        while at >= 0:
            self._rest = data[begin:at]
            self._finish()
            self._begin(self._header_at(data, at + len(_START_CODE)))
            begin = at + len(_START_CODE) + self._header_size
            self._left -= 1
            if self._left < 0:
                self._too_much()
                return b""
            if begin == len(data):
                return b""
            self._fate = self._decide(data, begin)
            at = start_code_at(data, begin, len(data) - self._header_size)
        return data[begin:]

    def _finish(self) -> None:
        """The NAL unit that is arriving has come to its end."""
        if self._fate is UNDECIDED and self._rest:  # so short that more of it was awaited
            self._fate = self._decide(self._rest, 0)
        fate, self._fate = self._fate, NONE
        rest = self._rest.rstrip(b"\0")  # zeros behind a NAL unit belong to Annex B, or are padding
        if fate is PUBLISH or fate is CONTINUE:
            self._access_units.size += len(rest)
            if fate is CONTINUE:
                end(self._output.payloads, self._fragment_headers[self._header], rest, True)
            elif (
                len(rest) <= MAX_PAYLOAD - self._header_size
            ):  # as ``_send`` does, without a call for each small picture
                self._output.payloads.append(self._header + rest)
            else:
                self._send(self._header, rest)
        elif fate is HOLD:
            self._learn(self._header + rest)

    def _too_much(self) -> None:
        """More than any camera sends at once: give it up, and the picture until the next keyframe."""
        self.dropped += 1
        self._fate = SKIP
        self._close()

    def _send(self, header: bytes, data: bytes) -> None:
        """Send a whole NAL unit."""
        if len(header) + len(data) <= MAX_PAYLOAD:
            self._output.payloads.append(header + data)
        else:
            end(self._output.payloads, self._fragment_headers[header], data, False)
