"""H.264 over RTP (RFC 6184) from cameras, made fit for WebRTC; no I/O.

``NalPayloadFormat`` takes the packets apart and makes new ones; here is what H.264's NAL units mean.

* Parameter sets go out before every IDR picture and nowhere else, whether the camera sent them there or not.
* Access unit delimiters, filler and all else that browsers have no use for are taken out.
* How the picture is to be turned, though it was said once, goes out before every keyframe: who begins there decodes it.
* Where no IDR picture comes for long, an I picture behind a recovery point is a keyframe (open GOPs).
* Where not even that comes, the picture is renewed bit by bit (intra refresh): any recovery point is a keyframe then,
  for a decoder that shows nothing before all is renewed. A browser's is none, so the picture is converted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from common.media import Flags, Kind, Track
from common.payload.fragmentation import FragmentHeaders
from common.payload.h264_syntax import (
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
from common.payload.output import Output
from common.payload.supplemental import orientation, turns
from ingest.payload.access_units import PUBLISHED
from ingest.payload.h264_sets import ParameterSets
from ingest.payload.keyframes import AWAITED
from ingest.payload.nal_format import NalPayloadFormat
from ingest.payload.nal_units import (
    AGGREGATE,
    FRAGMENT,
    HOLD,
    NONE,
    PUBLISH,
    SINGLE,
    SKIP,
    UNUSABLE,
    Fate,
    NalSyntax,
    Structure,
)

CLOCK_RATE = 90_000

SEQUENCE_SET_COST = 16  # NAL units of a packet that a sequence parameter set counts for: it takes longer to read
NO_IDR_AFTER_NS = 10_000_000_000  # this long without an IDR picture, and recovery points have to do (open GOPs)
REFRESHES = 2  # recovery points before predicted pictures, after which it is intra refresh
H265_UNITS = 16  # NAL units in a row: one or two may be anything

# H.265 (RFC 7798 1.1.4) has two bytes of header: the type in six bits of the first, a layer, which is 0, and a temporal
# id in the second. Its slices, parameter sets and fragments look like these kinds, of which H.264 uses none in any
# profile that browsers decode.
_H265_KINDS = (0, 2, 4)
_LOOKS_LIKE_H265 = (
    "the stream is announced as H.264 and looks like H.265; "
    "set this stream of the camera to H.264, or restart the camera, so that it announces what it sends"
)

_NO_IDR = "no IDR picture arrives, and most browsers need one to start; set a keyframe interval in the camera"

_INTERLEAVED = (
    "its packets are interleaved (packetization mode 2), which browsers cannot take; set mode 1 in the camera"
)
_UNREADABLE = "what arrives as H.264 cannot be read; restart the camera, or set this stream to H.264 or H.265 again"
_REFRESHED = "the picture is refreshed piece by piece (intra refresh), and browsers need a keyframe to start"

TURNED = "its picture should be rotated for display, which browsers do not do"
_SQUARE_PIXELS = "set a size of 16:9 or 4:3 in the camera (1280 by 720, 640 by 480)"
SQUARE = 0.01  # so far from a square one a pixel still is
LEAST_ASPECT = 1 / 3  # of a pixel, and its inverse: what is beyond is a slip

_STAP_A, _FU_A = 24, 28
# profile-level-id of Baseline, Main and High. Some write another word than their sequence parameter set has: OpenIPC
# 0033e7, Eufy the set's first bytes (276400). It says what is so; until it comes, viewers are not refused for a slip.
_PROFILE = re.compile("(?:42|4d|64)[0-9a-f]{4}")
_FIRST_OF_B = frozenset(byte for byte in range(256) if first_slice_type(byte) in B_SLICES)  # behind a slice's header
_KEYFRAME = int(Flags.KEYFRAME)


def _structure(byte: int) -> Structure:
    """RFC 6184 5.2: aggregates other than STAP-A need the interleaved mode, which cannot be played."""
    kind = byte & 0x1F
    return {_FU_A: FRAGMENT, _STAP_A: AGGREGATE}.get(kind, SINGLE if kind < _STAP_A else UNUSABLE)


def _fragment_headers(header: int) -> FragmentHeaders:
    """RFC 6184 5.8: indicator and header, with the bits for the first and the last fragment."""
    first, between, last = (bytes((header & 0x60 | _FU_A, bits | header & 0x1F)) for bits in (0x80, 0, 0x40))
    return first, between, last


_HEADERS = [bytes((byte & 0x7F,)) for byte in range(256)]  # without the bit that has to be 0
_SYNTAX = NalSyntax(
    header_size=1,
    structures=tuple(map(_structure, range(256))),
    decisive=SLICE_HEADER,
    slices=frozenset({SLICE, IDR}),
    end_mark=b"\x0c\xff\x80",  # H.264 7.4.1.2.3
    types=tuple(byte & 0x1F for byte in range(256)),
    header_at=lambda data, at: _HEADERS[data[at]],
    fragmented_at=lambda packet, at: bytes((packet[at] & 0x60 | packet[at + 1] & 0x1F,)),
    fragment_headers={_HEADERS[header]: _fragment_headers(header) for header in range(128)},
    aggregate_header=lambda units: bytes((max(unit[0] & 0x60 for unit in units) | _STAP_A,)),
)


def announced_track(parameters: Mapping[str, str]) -> Track:
    """The track as the ``fmtp`` parameters of a session description have it (RFC 6184 8.1)."""
    if sps := ParameterSets(parameters.get("sprop-parameter-sets", "")).active:
        return replace(_track(sps), convert=sps.convert)
    profile = parameters.get("profile-level-id", "").lower()
    return Track(Kind.VIDEO, "H264", CLOCK_RATE, 1, profile if _PROFILE.fullmatch(profile) else "")


def _shape(sps: SequenceParameterSet) -> str:
    """Why a picture of that sequence is shown too wide or too narrow; empty if it is not."""
    across, down = sps.aspect
    if abs(across / down - 1) < SQUARE or not LEAST_ASPECT <= across / down <= 1 / LEAST_ASPECT:
        return ""
    how = "narrow" if across > down else "wide"
    return f"its pixels are not square ({across}:{down}), and browsers show it too {how}; {_SQUARE_PIXELS}"


def _track(sps: SequenceParameterSet) -> Track:
    return Track(Kind.VIDEO, "H264", CLOCK_RATE, 1, sps.profile_level_id, width=sps.width, height=sps.height)


class H264(NalPayloadFormat):
    """One camera's H.264 track."""

    def __init__(self, parameters: Mapping[str, str], output: Output) -> None:
        super().__init__(_SYNTAX, output)
        self._sets = ParameterSets(parameters.get("sprop-parameter-sets", ""))
        self._announced = announced_track(parameters)
        self._reordered = False  # a B slice was seen
        self._idr_ns = 0  # arrival of the last IDR picture; until there is one, of the first picture
        self._no_idr = False  # the last keyframe was none
        self._refreshes = 0  # recovery points before predicted pictures since the last IDR picture
        self._refreshed = False  # such recovery points are keyframes
        self._turned = b""  # what says that its pictures are to be turned
        self._h265_units = 0  # in a row that would be H.265
        self._idr_seen = False

    @property
    def sps(self) -> SequenceParameterSet | None:
        """The sequence parameter set in force, if one is known."""
        return self._sets.active

    @property
    def track(self) -> Track:
        """The track as it is known now; a parameter set in the stream may change it."""
        sps = self.sps
        if self._h265_units >= H265_UNITS:
            return replace(self._announced, codec="H265", profile="", problem=_LOOKS_LIKE_H265)
        track = self._announced
        if sps is not None:
            track = _track(sps)
        warning = _NO_IDR if self._no_idr and not self._refreshed else ""
        convert = self._convert(sps)
        if sps is not None and not convert and not warning:
            warning = _shape(sps)
        return replace(track, warning=warning, convert=convert)

    def _convert(self, sps: SequenceParameterSet | None) -> str:
        """Why browsers do not show the pictures as they should be; empty if they do."""
        if self._reordered and not (sps and sps.reorders is False):
            return "the picture has B-frames, which browsers show in the wrong order"
        if sps and sps.interlaced:
            return "the picture is interlaced, which browsers show with comb lines"
        if self._refreshed:
            return _REFRESHED
        if self._turned:
            return TURNED
        return sps.convert if sps else self._announced.convert

    @property
    def hindrance(self) -> str:
        """Why nothing of what comes is published; empty while something is."""
        waits = super().hindrance
        if not waits or waits == AWAITED or self.keyframes:
            return waits
        if self._idr_seen and self._unusable:  # its parameter sets may be in those
            return _INTERLEAVED
        if self._idr_seen:
            return f"its {self._sets.missing} never arrives; restart the camera, or set up this stream again"
        if not self._idr_ns:
            return _INTERLEAVED if self._unusable else _UNREADABLE
        return waits

    @property
    def unseen(self) -> bool:
        """Whether nothing of it will be seen as it comes."""
        return super().unseen or (not self.keyframes and self.hindrance not in ("", AWAITED) and not self._predicted)

    @property
    def _predicted(self) -> bool:
        """Whether pictures come, and no keyframe among them."""
        return self._idr_ns > 0 and not self._idr_seen

    def expects_picture(self, arrival_ns: int) -> bool:
        """Whether ``receive_picture`` may be called: nothing of the next picture has come, and no keyframe is due."""
        access_units = self._access_units
        return (
            self._gate.open
            and not self._refreshed  # else any recovery point is a keyframe
            and self._fate is NONE
            and access_units.expects_marker
            and not self._held
            and not self._output.payloads
            and arrival_ns - self._idr_ns < NO_IDR_AFTER_NS  # after that a recovery point may have to do
        )

    def expects_pictures_until(self, arrival_ns: int) -> int:
        """The time for which ``expects_picture`` holds if nothing else comes; 0 if it does not hold now."""
        return self._idr_ns + NO_IDR_AFTER_NS if self.expects_picture(arrival_ns) else 0

    def restart(self) -> None:
        """See ``NalPayloadFormat``."""
        super().restart()
        self._turned = b""

    def receive_picture(self, payloads: list[bytes], first: int, timestamp: int, arrival_ns: int) -> None:
        """Take a whole picture that is no keyframe, as it goes out, with the byte behind its first slice's header.

        It came as ``receive`` takes it, and that would have made the same of it.
        """
        self._arrival_ns = arrival_ns
        self._h265_units = 0
        self._reordered |= first in _FIRST_OF_B
        self._access_units.take(payloads, timestamp, arrival_ns)

    def _decide(self, data: bytes, at: int) -> Fate:
        kind = self._type
        if not self._gate.open:
            self._gate.arrived(self._arrival_ns)
        if kind in (SLICE, IDR):
            return PUBLISH if self._begin_slice(kind, data, at) else SKIP
        if kind in (SEI, SPS, PPS):
            return HOLD
        if kind in _H265_KINDS and 0 < data[at] < 8:
            self._h265_units += 1
        return SKIP

    def _is_later_slice(self, kind: int, begin: int) -> bool:
        return kind & 0x1F in (SLICE, IDR) and begin < 0x80  # first_mb_in_slice is not 0, H.264 7.3.3

    def _awaits_more(self) -> bool:
        """The first bytes of a slice say to which of several picture parameter sets it refers."""
        return self._sets.several and self._type in (SLICE, IDR)

    def _begin_slice(self, kind: int, data: bytes, at: int) -> bool:
        """A slice begins, and perhaps an access unit with it. Whether it is to be published."""
        slice_type = first_slice_type(data[at])
        self._h265_units = 0
        gate, access_units = self._gate, self._access_units
        sps = self._sets.active
        interlaced = sps is not None and sps.interlaced
        if not access_units.begin(slice_type is not None, interlaced, gate.open):
            return access_units.picture is PUBLISHED
        self._reordered |= slice_type in B_SLICES
        sets: list[bytes] = []
        if slice_type is not None and self._may_be_key(kind, slice_type):
            sets = self._sets.units(slice_picture_set(data[at : at + 2 * SLICE_HEADER]) if self._sets.several else None)
            self._idr_seen |= kind == IDR
            if kind == IDR and not sets:
                self._close()
        if sets:
            gate.pass_keyframe()
            self._no_idr = kind != IDR
            if self._turned and all(turns(nal, 1) is None for nal in self._held):
                self._held.insert(0, self._turned)
        if not gate.open:
            self._held.clear()
            return False
        access_units.publish(self._arrival_ns, _KEYFRAME if sets else 0)
        if sets or self._held:
            self._send_held(sets)
        return True

    def _may_be_key(self, kind: int, slice_type: int) -> bool:
        """Whether a decoder can start with this picture, once it has the parameter sets."""
        late = self._idr_ns > 0 and self._arrival_ns - self._idr_ns >= NO_IDR_AFTER_NS
        if kind == IDR or not self._idr_ns:
            self._idr_ns = self._arrival_ns
        if kind == IDR:
            self._refreshes = 0
            self._refreshed &= late  # one in a minute spares nobody the wait
            return True
        if not self._held or (self._gate.open and not late and not self._refreshed):
            return False
        if not any(map(has_recovery_point, self._held)):
            return False
        # H.264 D.2.8: all pictures are right from some time after a recovery point on; after an I picture at once.
        if slice_type in I_SLICES:
            return late
        self._refreshes += 1
        if self._refreshes >= REFRESHES and (late or self._gate.waits_long(self._arrival_ns)):
            self._refreshed = True
        return self._refreshed

    def _learn(self, nal: bytes) -> None:
        kind = nal[0] & 0x1F
        if kind == SEI:
            if (turned := turns(nal, 1)) is not None:
                self._turned = orientation(nal, 1) if turned else b""
            self._hold(nal)
            return
        if kind == SPS:
            self._left -= SEQUENCE_SET_COST
        if not self._sets.learn(nal):
            self.dropped += 1
