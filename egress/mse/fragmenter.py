"""From the batches of one track to the fragments that all its viewers are sent; pure.

Parameter sets are taken out of the pictures and stand in the initialization segment, which is made anew when they
change. Each access unit is a fragment as soon as it is whole. How long a picture is shown is known only when the next
one comes, so it is said to be as long as the one before was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from common.media import Batch, Kind
from common.payload import h264_syntax, h265_syntax
from common.payload.assembler import AccessUnit, Assembler
from egress.mse.boxes import Description, fragment, initialization
from egress.mse.clock import MediaClock
from egress.mse.descriptions import (
    AAC_SAMPLES,
    OPUS_CLOCK,
    VIDEO_CLOCK,
    AdtsFrame,
    describe_aac,
    describe_h264,
    describe_h265,
    describe_opus,
    opus_samples,
)

FIRST_DURATION = VIDEO_CLOCK // 25  # of a picture before which there was none
LONGEST = 1.0  # seconds for which a picture is said to be shown: behind a pause the next one comes when it comes
_START_CODE = b"\0\0\0\1"


@dataclass(frozen=True, slots=True)
class Initialization:
    """The beginning of a track, and of each change of it."""

    codec: str  # RFC 6381 3.3
    segment: bytes


@dataclass(frozen=True, slots=True)
class Fragment:
    """One access unit as a media segment. ``seconds`` is its time; decoding can begin with a keyframe."""

    initialization: Initialization
    segment: bytes
    seconds: float
    keyframe: bool


class Fragmenter(Protocol):
    """Makes fragments of one track."""

    def push(self, batch: Batch, timestamp: int) -> Fragment | None:
        """The fragment that ``batch`` ends, if it ends one. ``timestamp`` is extended, in the feed's timeline."""


def fragmenter_of(kind: Kind, codec: str, origin_ns: int) -> Fragmenter | None:
    """A fragmenter for the codec; ``None`` if no Media Source takes it. ``origin_ns``: see ``MediaClock``."""
    if kind is Kind.VIDEO and codec in _PICTURES:
        return PictureFragmenter(codec, origin_ns)
    if codec == "opus":
        return OpusFragmenter(origin_ns)
    return AacFragmenter(origin_ns) if codec == "AAC" else None


class PictureFragmenter:
    """H.264 or H.265. ``damaged`` counts access units that no fragment came of though they were whole."""

    def __init__(self, codec: str, origin_ns: int) -> None:
        self.damaged = 0
        self._assembler = Assembler(Kind.VIDEO, codec)
        self._sets: _Sets = _PICTURES[codec]()
        self._clock = MediaClock(VIDEO_CLOCK, origin_ns)
        self._initialization: Initialization | None = None
        self._number = 0
        self._last: int | None = None  # time of the last picture
        self._duration = FIRST_DURATION

    def push(self, batch: Batch, timestamp: int) -> Fragment | None:
        """See ``Fragmenter``."""
        unit = self._assembler.push(batch._replace(timestamp=timestamp))
        return self._cut(unit) if unit is not None else None

    def _cut(self, unit: AccessUnit) -> Fragment | None:
        slices = [nal for nal in unit.data.split(_START_CODE)[1:] if nal and not self._sets.take(nal)]
        if unit.keyframe:
            self._describe()
        if self._initialization is None or not slices:
            self.damaged += 1
            return None
        time = self._clock.place(unit.timestamp, unit.capture_ns)
        if self._last is not None:
            self._duration = min(time - self._last, int(LONGEST * VIDEO_CLOCK))
        self._last = time
        self._number += 1
        sample = b"".join([len(nal).to_bytes(4) + nal for nal in slices])
        segment = fragment(self._number, time, self._duration, sample, sync=unit.keyframe)
        return Fragment(self._initialization, segment, time / VIDEO_CLOCK, unit.keyframe)

    def _describe(self) -> None:
        """Begin anew if the parameter sets are others. If they cannot be read, what there was is good no more."""
        if not self._sets.changed:
            return
        self._sets.changed = False
        try:
            description = self._sets.describe()
        except ValueError:
            self._initialization = None
        else:
            self._initialization = Initialization(description.codec, initialization(description))


class _Sets(Protocol):
    """The newest parameter sets of a picture's codec."""

    changed: bool  # since they were described

    def take(self, nal: bytes) -> bool:
        """Whether this NAL unit is none that a sample has; a parameter set is kept."""

    def describe(self) -> Description:
        """Raises ``ValueError`` if they cannot be read, or are not whole."""


class _H264Sets:
    """The newest parameter sets of H.264."""

    def __init__(self) -> None:
        self.changed = False
        self._sps = b""
        self._pps: dict[int, bytes] = {}

    def take(self, nal: bytes) -> bool:
        """See ``_Sets``."""
        kind = nal[0] & 0x1F
        if kind == h264_syntax.SPS:
            if nal != self._sps:
                self._sps, self._pps, self.changed = nal, {}, True
        elif kind == h264_syntax.PPS:
            self._take_pps(nal)
        return kind in (h264_syntax.SPS, h264_syntax.PPS, 9)  # and access unit delimiters

    def describe(self) -> Description:
        """See ``_Sets``."""
        return describe_h264(self._sps, [self._pps[number] for number in sorted(self._pps)])

    def _take_pps(self, nal: bytes) -> None:
        try:
            number, _ = h264_syntax.parse_pps_ids(nal)
        except ValueError:
            return
        if self._pps.get(number) != nal and (number in self._pps or len(self._pps) < _MAX_PPS):
            self._pps[number], self.changed = nal, True


class _H265Sets:
    """The newest parameter sets of H.265."""

    def __init__(self) -> None:
        self.changed = False
        self._newest = {h265_syntax.VPS: b"", h265_syntax.SPS: b""}
        self._pps: list[bytes] = []

    def take(self, nal: bytes) -> bool:
        """See ``_Sets``."""
        kind = nal[0] >> 1 & 0x3F
        if len(nal) > h265_syntax.MAX_PARAMETER_SET_BYTES:  # kept would be as many of them as a camera likes
            return kind in (*self._newest, h265_syntax.PPS)
        if kind in self._newest:
            if self._newest[kind] != nal:
                self._newest[kind], self.changed = nal, True
                self._pps = []
        elif kind == h265_syntax.PPS and nal not in self._pps:
            if len(self._pps) == _MAX_PPS:
                self._pps = []
            self._pps.append(nal)
            self.changed = True
        return kind in (h265_syntax.VPS, h265_syntax.SPS, h265_syntax.PPS, 35)  # and access unit delimiters

    def describe(self) -> Description:
        """See ``_Sets``."""
        return describe_h265(self._newest[h265_syntax.VPS], self._newest[h265_syntax.SPS], self._pps)


_MAX_PPS = 31  # of H.264 in an initialization segment: the field of their number has five bits in old readers
_PICTURES: dict[str, type[_H264Sets | _H265Sets]] = {"H264": _H264Sets, "H265": _H265Sets}


class OpusFragmenter:
    """Opus, a packet in each fragment."""

    def __init__(self, origin_ns: int) -> None:
        description = describe_opus()
        self._clock = MediaClock(OPUS_CLOCK, origin_ns)
        self._initialization = Initialization(description.codec, initialization(description))
        self._number = 0

    def push(self, batch: Batch, timestamp: int) -> Fragment | None:
        """See ``Fragmenter``."""
        packet = b"".join(batch.payloads)
        try:
            duration = opus_samples(packet)
        except ValueError:
            return None
        time = self._clock.place(timestamp, batch.capture_ns)
        self._number += 1
        segment = fragment(self._number, time, duration, packet, sync=True)
        return Fragment(self._initialization, segment, time / OPUS_CLOCK, True)


class AacFragmenter:
    """AAC with ADTS headers, a frame in each fragment. Time is counted in samples: see ``MediaClock``."""

    def __init__(self, origin_ns: int) -> None:
        self._origin_ns = origin_ns
        self._assembler = Assembler(Kind.AUDIO, "AAC")
        self._kind: tuple[int, int, int] | None = None
        self._clock = MediaClock(1, origin_ns)
        self._seconds = 0.0  # of the last fragment
        self._initialization: Initialization | None = None
        self._number = 0

    def push(self, batch: Batch, timestamp: int) -> Fragment | None:
        """See ``Fragmenter``."""
        unit = self._assembler.push(batch)
        if unit is None:
            return None
        try:
            frame = AdtsFrame.parse(unit.data)
        except ValueError:
            return None
        kind = frame.object_type, frame.rate, frame.channels
        if kind != self._kind or self._initialization is None:
            self._kind = kind
            description = describe_aac(frame)
            self._clock = MediaClock(frame.rate, self._origin_ns, self._seconds)
            self._initialization = Initialization(description.codec, initialization(description))
        time = self._clock.place(self._number * AAC_SAMPLES, unit.capture_ns)
        self._number += 1
        segment = fragment(self._number, time, AAC_SAMPLES, frame.data, sync=True)
        self._seconds = time / frame.rate
        return Fragment(self._initialization, segment, self._seconds, True)
