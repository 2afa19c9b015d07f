"""H.264 over RTP (RFC 6184) from cameras, made fit for WebRTC; no I/O.

In: single NAL units, STAP-A and FU-A, and what cameras make of them: Annex B start codes, several NAL units in one
fragmented one, fragments that start and end at once, zero padding, markers missing or set too early. Out: payloads of
at most ``MAX_PAYLOAD`` bytes. A larger NAL unit is cut into FU-A pieces of exactly that size while it arrives, the last
one smaller: no byte waits for the unit's end, and equal sizes are what UDP segmentation offload takes.

* Parameter sets go out before every IDR picture and nowhere else, whether the camera sent them there or not.
* Access unit delimiters, filler and whatever else browsers have no use for are taken out.
* An access unit ends with the marker bit on a slice, else when the timestamp changes or the next picture begins. If its
  last packet has left by then, three bytes of filler carry the marker.
* After a loss nothing is published until the next keyframe: a browser would show the damage, or freeze on it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto

from common.media import MAX_PAYLOAD, Flags, Kind, Track
from ingest.payload.h264_sets import ParameterSets
from ingest.payload.h264_syntax import (
    B_SLICES,
    I_SLICES,
    IDR,
    PPS,
    SEI,
    SLICE,
    SLICE_HEADER,
    SPS,
    SequenceParameterSet,
    first_slice_type,
    has_recovery_point,
    slice_picture_set,
)
from ingest.payload.output import Output

CLOCK_RATE = 90_000

MAX_UNIT_BYTES = 4 << 20  # of an access unit, and so of a NAL unit; a lossless 4K picture is smaller
MAX_UNITS = 512  # NAL units in one packet: a 4K picture whose every row of macroblocks is a slice has 135 …
SEQUENCE_SET_COST = 16  # … of which a sequence parameter set counts for so many: it takes that much longer to read
MAX_HELD = 32  # SEI before a picture
MAX_HELD_BYTES = 64 << 10  # of them, and of a parameter set
NO_IDR_AFTER_NS = 10_000_000_000  # this long without an IDR picture, and recovery points have to do (open GOPs)

NO_KEYFRAME_NS = 5_000_000_000  # without a keyframe; most cameras send one every 1 to 4 s
ENDLESS = 2  # units whose last fragment lacks the end bit, after which the marker is believed
RECOVERIES = 2  # recovery points after which it is intra refresh
H265_UNITS = 16  # NAL units in a row: one or two may be anything

# H.265 (RFC 7798 1.1.4) has two bytes of header: the type in six bits of the first, a layer, which is 0, and a temporal
# id in the second. Its slices, parameter sets and fragments look like these kinds, of which H.264 uses none in any
# profile that browsers decode.
_H265_KINDS = (0, 2, 4)
_LOOKS_LIKE_H265 = (
    "what comes is not H.264 as announced, it looks like H.265, which cannot be forwarded yet; "
    "set this stream of the camera to H.264, or use its sub-stream"
)

_FRAGMENT = MAX_PAYLOAD - 2  # bytes of a NAL unit in one FU-A
_HELD_BACK = 3  # bytes that are not sent yet: with the next ones they may turn out to be a start code
_START_CODE = b"\0\0\1"
_STAP_A, _FU_A = 24, 28
_END_MARK = b"\x0c\xff\x80"  # filler data, which may end an access unit (H.264 7.4.1.2.3)
_KEYFRAME, _UNIT_END = int(Flags.KEYFRAME), int(Flags.UNIT_END)

# RFC 6184 5.8: the two bytes before each piece of a NAL unit by its header: the first, those between, the last.
_FU_HEADERS = [
    tuple(bytes((header & 0x60 | _FU_A, bits | header & 0x1F)) for bits in (0x80, 0, 0x40)) for header in range(128)
]


def announced_track(parameters: Mapping[str, str]) -> Track:
    """The track as the ``fmtp`` parameters of a session description have it (RFC 6184 8.1)."""
    if sps := ParameterSets(parameters.get("sprop-parameter-sets", "")).active:
        return Track(Kind.VIDEO, "H264", CLOCK_RATE, 1, sps.profile_level_id, sps.problem)
    profile = parameters.get("profile-level-id", "").lower()
    return Track(Kind.VIDEO, "H264", CLOCK_RATE, 1, profile if re.fullmatch("[0-9a-f]{6}", profile) else "")


class _Fate(Enum):
    """What becomes of the NAL unit that is arriving."""

    UNDECIDED = auto()  # depends on its first byte
    PUBLISH = auto()
    HOLD = auto()  # until the picture that it belongs to begins
    SKIP = auto()


_UNDECIDED, _PUBLISH, _HOLD, _SKIP = _Fate  # looked up for every packet


class H264:
    """One camera's H.264 track."""

    def __init__(self, parameters: Mapping[str, str], output: Output) -> None:
        self.frames = 0
        self.keyframes = 0
        self.dropped = 0  # packets
        self._output = output
        self._sets = ParameterSets(parameters.get("sprop-parameter-sets", ""))
        self._announced = announced_track(parameters)
        self._reordered = False  # a B slice was seen
        self._arrival_ns = 0
        # The NAL unit that is arriving: its header, -1 for none.
        self._header = -1
        self._fate = _UNDECIDED
        self._rest = b""  # what of it has come and not been sent
        self._fragmented = False  # whether a piece of it has been sent
        # The packet that is arriving, if it holds several.
        self._left = MAX_UNITS  # NAL units that it may still hold
        self._aggregate = False
        # The access unit that is arriving.
        self._timestamp = -1
        self._has_slices = False
        self._publishing = False
        self._size = 0
        self._held: list[bytes] = []
        self._marked_timestamp = -1  # of the last one that the marker ended
        self._trust_markers = True
        self._marked_open = False  # the marker has come, and its NAL unit has no end
        self._endless = 0  # units in a row that ended like that
        # The stream.
        self._open = False  # a keyframe has come, and nothing was lost since
        self._idr_ns = 0  # arrival of the last IDR picture; until there is one, of the first picture
        self._no_idr = False
        self._waiting_ns = 0  # arrival of the first NAL unit since nothing is published; 0 while something is
        self._recoveries = 0  # recovery points since then that are no keyframes
        self._h265_units = 0  # in a row that would be H.265

    @property
    def hindrance(self) -> str:
        """Why nothing of what comes is published; empty while something is."""
        if self._open:
            return ""
        waited_ns = self._arrival_ns - self._waiting_ns if self._waiting_ns else 0
        if self._recoveries >= RECOVERIES and waited_ns >= NO_KEYFRAME_NS // 2:
            return (
                "it renews its picture bit by bit (intra refresh) and sends no keyframes, and browsers start with one; "
                "switch intra refresh off in the camera, or set a keyframe interval (GOP) of 1 to 4 s"
            )
        if waited_ns >= NO_KEYFRAME_NS:
            return (
                f"no keyframe has come for {waited_ns // 10**9} s, and browsers start with one; "
                "set a keyframe interval (GOP, I-frame interval) of 1 to 4 s in the camera"
            )
        return "" if self.keyframes else "waiting for its first keyframe"

    @property
    def sps(self) -> SequenceParameterSet | None:
        """The sequence parameter set in force, if one is known."""
        return self._sets.active

    @property
    def track(self) -> Track:
        """As it is known now; a parameter set in the stream may change it."""
        sps = self._sets.active
        if self._h265_units >= H265_UNITS:
            return replace(self._announced, codec="H265", profile="", problem=_LOOKS_LIKE_H265)
        if sps is None:
            return replace(self._announced, warning=self._warning(None))
        return Track(Kind.VIDEO, "H264", CLOCK_RATE, 1, sps.profile_level_id, sps.problem, self._warning(sps))

    def _warning(self, sps: SequenceParameterSet | None) -> str:
        warnings = []
        if self._reordered and not (sps and sps.reorders is False):
            warnings.append("it has B-frames, which browsers show in the wrong order; turn them off in the camera")
        if sps and sps.interlaced:
            warnings.append("it is interlaced, which browsers show with comb lines")
        if self._no_idr:
            warnings.append("it has no IDR pictures, without which most browsers do not start")
        return "; ".join(warnings)

    def lost(self) -> None:
        """Packets are missing between the last one and the next."""
        self._header = -1
        self._close()

    def restart(self) -> None:
        """Another stream begins: nothing of the old one is continued."""
        self.lost()
        self._marked_timestamp = self._timestamp = -1

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """The payload ``packet[start:end]``, not empty, in order; ``timestamp`` is extended."""
        if timestamp != self._timestamp:
            if self._marked_open:  # nothing of the unit came after the marker
                self._endless, self._marked_open = self._endless + 1, False
            self._end_unit()
            self._timestamp = timestamp
        self._arrival_ns = arrival_ns
        if not self._output.payloads:
            self._output.arrival_ns = arrival_ns
        kind = packet[start] & 0x1F
        if kind == _FU_A:
            self._receive_fragment(packet, start, end)
        elif kind == _STAP_A:
            self._receive_aggregate(packet, start + 1, end)
        elif kind < _STAP_A:
            self._receive_whole(packet[start:end])
        else:  # RFC 6184 5.2: the other aggregates need the interleaved mode, which cannot be played
            self.dropped += 1
        if marker and self._has_slices and self._trust_markers:
            if self._header >= 0 and self._endless < ENDLESS:
                self._marked_open = True  # a marker within a fragmented NAL unit: too early, or the end bit is missing
                return
            self._end_unit()
            self._marked_timestamp = timestamp

    def mark(self) -> None:
        """A packet of the last timestamp without a payload carries the marker: the access unit ends."""
        if self._has_slices and self._header < 0 and self._trust_markers:
            self._end_unit()
            self._marked_timestamp = self._timestamp

    # From packets to NAL units.

    def _receive_fragment(self, packet: bytes, start: int, end: int) -> None:
        """RFC 6184 5.8."""
        if end - start < 2:
            self.dropped += 1
            return
        bits = packet[start + 1]
        if bits & 0x80:
            self._finish()  # one that never got its end
            self._begin(packet[start] & 0x60 | bits & 0x1F)
        elif self._header < 0:
            if self._timestamp == self._marked_timestamp:
                self._endless = 0  # the marker came too early after all
            self.dropped += 1
            return
        elif self._marked_open:
            self._endless, self._marked_open = 0, False
        self._append(packet[start + 2 : end])
        if bits & 0x40:
            self._finish()

    def _receive_aggregate(self, packet: bytes, at: int, end: int) -> None:
        """RFC 6184 5.7.1; zeros behind the last NAL unit are padding."""
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
            self._receive_whole(packet[at : at + size])
            at += size
        self._aggregate = False

    def _receive_whole(self, nal: bytes) -> None:
        self._finish()
        if nal[0] == 0:  # a start code comes first
            nal = nal.lstrip(b"\0")[1:]
            if not nal:
                return
        self._begin(nal[0] & 0x7F)
        self._append(nal[1:])
        self._finish()

    def _begin(self, header: int) -> None:
        self._header = header
        self._fate = _UNDECIDED
        self._rest = b""
        self._fragmented = False

    def _append(self, data: bytes) -> None:
        """More of the NAL unit that is arriving; Annex B start codes in it begin others."""
        if not data:
            return
        if self._fate is _UNDECIDED:
            if self._sets.several:  # which of them is said in the first bytes
                data, self._rest = self._rest + data, b""
                if len(data) < SLICE_HEADER and self._header & 0x1F in (SLICE, IDR):
                    self._rest = data
                    return
            self._decide(data, 0)
        known = len(self._rest)
        rest = self._rest + data if known else data
        at = rest.find(_START_CODE, max(known - _HELD_BACK, 0), len(rest) - 1)
        if at >= 0:
            rest = self._split(rest, at)
        if rest:
            self._keep(rest)

    def _split(self, data: bytes, at: int) -> bytes:
        """Finish all NAL units in ``data`` but the last. Returns what of that one has come; the first start code is at
        ``at``."""
        if not self._aggregate:
            self._left = MAX_UNITS
        begin = 0
        while at >= 0:
            self._rest = data[begin:at]
            self._finish()
            self._begin(data[at + 3] & 0x7F)
            begin = at + 4
            self._left -= 1
            if self._left < 0:
                self._too_much()
                return b""
            if begin == len(data):
                return b""
            self._decide(data, begin)
            at = data.find(_START_CODE, begin, len(data) - 1)
        return data[begin:]

    def _too_much(self) -> None:
        """More than any camera sends at once: give it up, and the picture until the next keyframe."""
        self.dropped += 1
        self._fate = _SKIP
        self._close()

    def _keep(self, rest: bytes) -> None:
        """Send what can be sent, of a NAL unit of which ``rest`` has come and not been sent."""
        if self._fate is _PUBLISH:
            last = len(rest) - _FRAGMENT - _HELD_BACK
            if last >= 0:
                header, between, _ = _FU_HEADERS[self._header]
                if self._fragmented:
                    header = between
                append = self._output.payloads.append
                at = 0
                while at <= last:
                    append(header + rest[at : at + _FRAGMENT])
                    header = between
                    at += _FRAGMENT
                self._fragmented = True
                self._size += at
                rest = rest[at:]
        elif self._fate is _SKIP:
            if self._header & 0x1F in (SLICE, IDR):
                self.dropped += 1
            rest = rest[-_HELD_BACK:]
        self._rest = rest
        if self._size > MAX_UNIT_BYTES or len(rest) > MAX_HELD_BYTES:
            self._too_much()

    def _finish(self) -> None:
        """The NAL unit that is arriving, if one is, has come to its end."""
        header = self._header
        if header < 0:
            return
        if self._fate is _UNDECIDED and self._rest:  # so short that its picture parameter set was waited for
            self._decide(self._rest, 0)
        self._header = -1
        rest = self._rest.rstrip(b"\0")  # zeros behind a NAL unit belong to Annex B, or are padding
        if self._fate is _PUBLISH:
            self._output.payloads += _packets(header, rest, self._fragmented)
            self._size += len(rest)
        elif self._fate is _HOLD:
            self._hold(header, bytes((header,)) + rest)

    # From NAL units to access units.

    def _decide(self, data: bytes, at: int) -> None:
        """The header, and what begins at ``data[at]`` behind it, say what becomes of a NAL unit."""
        kind = self._header & 0x1F
        if not self._open and not self._waiting_ns:
            self._waiting_ns = self._arrival_ns
        if kind in (SLICE, IDR):
            self._fate = _PUBLISH if self._begin_slice(kind, data, at) else _SKIP
        elif kind in (SEI, SPS, PPS):
            self._fate = _HOLD
        else:
            self._fate = _SKIP
            if kind in _H265_KINDS and 0 < data[at] < 8:
                self._h265_units += 1

    def _begin_slice(self, kind: int, data: bytes, at: int) -> bool:
        """A slice begins, and perhaps an access unit with it. Whether it is to be published."""
        slice_type = first_slice_type(data[at])
        self._h265_units = 0
        if self._has_slices:
            if slice_type is None or (self._sets.active and self._sets.active.interlaced):
                return self._publishing
            self._complete_unit()  # the next picture, without a marker or a new timestamp between them
        self._has_slices = True
        if slice_type is None and self._timestamp == self._marked_timestamp:
            self._trust_markers = False  # they stand on every slice
            self._publishing = self._open
            return self._open
        self._reordered |= slice_type in B_SLICES
        sets: list[bytes] = []
        if slice_type is not None and self._may_be_key(kind, slice_type):
            sets = self._sets.units(slice_picture_set(data[at : at + 2 * SLICE_HEADER]) if self._sets.several else None)
            if self.sps and self.sps.problem:
                sets = []
            if kind == IDR and not sets:
                self._close()
        if sets:
            self._open = True
            self._waiting_ns = self._recoveries = 0
            self._no_idr = kind != IDR
            self.keyframes += 1
        if not self._open:
            self._held.clear()
            return False
        self._publishing = True
        self._output.begin(self._timestamp, self._arrival_ns, _KEYFRAME if sets else 0)
        self._send_held(sets)
        return True

    def _may_be_key(self, kind: int, slice_type: int) -> bool:
        """Whether a decoder can start with this picture, once it has the parameter sets."""
        if kind == IDR or not self._idr_ns:
            self._idr_ns = self._arrival_ns
        if kind == IDR:
            return True
        late = self._arrival_ns - self._idr_ns >= NO_IDR_AFTER_NS
        if not self._held or (self._open and not late):
            return False
        recovery = any(map(has_recovery_point, self._held))
        self._recoveries += recovery and not self._open
        # H.264 D.2.8: all pictures are right from some time after a recovery point on; after an I picture at once.
        return late and recovery and slice_type in I_SLICES

    def _hold(self, header: int, nal: bytes) -> None:
        if header & 0x1F == SEI:
            if len(self._held) == MAX_HELD or sum(map(len, self._held)) + len(nal) > MAX_HELD_BYTES:
                self.dropped += 1
                self._held.clear()
            self._held.append(nal)
            return
        if header & 0x1F == SPS:
            self._left -= SEQUENCE_SET_COST
        if not self._sets.learn(nal):
            self.dropped += 1
        elif self._sets.active and self._sets.active.problem:
            self._close()

    def _send_held(self, sets: list[bytes]) -> None:
        """What stands before the first slice: in one packet if it fits, so that it breaks no run of equal sizes."""
        units = [*sets, *self._held]
        self._held.clear()
        payloads = self._output.payloads
        if len(units) > 1 and 1 + sum(2 + len(nal) for nal in units) <= MAX_PAYLOAD:
            importance = max(nal[0] & 0x60 for nal in units)
            sized = (len(nal).to_bytes(2, "big") + nal for nal in units)
            payloads.append(bytes((importance | _STAP_A,)) + b"".join(sized))
            return
        for nal in units:
            payloads += _packets(nal[0], nal[1:], False)

    def _end_unit(self) -> None:
        self._finish()
        if self._has_slices:  # else what came belongs to the next one: markers on parameter sets and SEI mean nothing
            self._complete_unit()

    def _complete_unit(self) -> None:
        if self._publishing:
            output = self._output
            if not output.payloads:
                output.payloads.append(_END_MARK)
            output.cut(_UNIT_END)
            self.frames += 1
        self._has_slices = self._publishing = False
        self._size = 0

    def _close(self) -> None:
        """Publish nothing until the next keyframe."""
        self._output.discard()
        self._held.clear()
        self._open = self._has_slices = self._publishing = False
        self._size = 0


def _packets(header: int, data: bytes, fragmented: bool) -> list[bytes]:
    """The payloads that end a NAL unit of which ``data`` is left to be sent; ``fragmented`` if pieces were sent."""
    if not fragmented and len(data) < MAX_PAYLOAD:
        return [bytes((header,)) + data]
    first, between, last = _FU_HEADERS[header]
    payloads = []
    at = 0
    while len(data) - at > _FRAGMENT:
        payloads.append((between if fragmented else first) + data[at : at + _FRAGMENT])
        fragmented = True
        at += _FRAGMENT
    payloads.append(last + (data[at:] or b"\0"))  # an empty fragment would be no packet
    return payloads
