"""H.265 over RTP (RFC 7798) from cameras, made fit for WebRTC; no I/O.

In: single NAL units, aggregation packets and fragmentation units, and what cameras make of them: start codes within a
packet, zero padding, markers missing. Out: the same in payloads of at most ``MAX_PAYLOAD`` bytes, as RFC 7798 has them.

* Parameter sets go out before every picture that decoding can begin with (IRAP) and nowhere else, wherever the camera
  sent them, in one packet where they fit in one. A video parameter set that never came is made of the sequence's.
* Access unit delimiters, filler and supplemental information are taken out: browsers have no use for them. What turns
  the picture is left in, for a converter.
* Of several layers (annexes F to I) the first one goes out alone.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from common.errors import ProtocolError
from common.media import CLOCK_RATES, MAX_PAYLOAD, Kind, Track
from common.payload.access_unit import access_unit
from common.payload.bits import Bits
from common.payload.h265_syntax import (
    IRAP,
    MAX_PARAMETER_SET_BYTES,
    PPS,
    PREFIX_SEI,
    SLICES,
    SPS,
    VPS,
    SequenceParameterSet,
    parse_sps,
)
from common.payload.output import Output, pieces
from common.payload.supplemental import orientation, turns
from ingest.payload.access_units import ENDLESS
from ingest.payload.frames import Frames, Unit
from ingest.payload.h264 import TURNED
from ingest.payload.h265_vps import video_parameter_set

MAX_UNITS = 1_024  # NAL units of an access unit: a picture of 8K has 600 slices at most (A.4.1)
MAX_SETS = 64  # parameter sets of a kind that are kept; picture parameter sets may be as many (7.4.3.3.1)

_START_CODE = re.compile(b"\0\0\1")
_NAMES = {VPS: "sprop-vps", SPS: "sprop-sps", PPS: "sprop-pps"}  # RFC 7798 7.1
_AGGREGATE, _FRAGMENT, _PACI = 48, 49, 50  # RFC 7798 4.4.2 to 4.4.4
_HEADER = 2  # bytes
_LOOKED_AT = 4  # payloads of a picture that may have its video parameter set: one may be a delimiter


def announced_track(parameters: Mapping[str, str]) -> Track:
    """The track as the ``fmtp`` parameters of a session description have it (RFC 7798 7.1)."""
    return _track(ParameterSets(parameters).sequence)


class ParameterSets:
    """The parameter sets that were announced or have come: video, sequence and picture parameter sets.

    The first of these is made where there is none.

    A camera has one of the first two kinds at a time, and of picture parameter sets one for each identifier.
    """

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.sequence: SequenceParameterSet | None = None  # the newest
        self._made: list[bytes] = []  # the video parameter set that it would follow
        self._sets: dict[int, dict[int, bytes]] = {kind: {} for kind in _NAMES}
        for kind, name in _NAMES.items():
            for text in parameters.get(name, "").split(","):
                for nal in _START_CODE.split(_decoded(text)):
                    if _kind(nal) == kind:
                        with suppress(ValueError):  # it may still come in the stream
                            self.learn(nal)

    def learn(self, nal: bytes) -> None:
        """Take in one that has come. Raises ``ValueError`` if it cannot be read."""
        kind = _kind(nal)
        if len(nal) > MAX_PARAMETER_SET_BYTES:
            raise ValueError("a parameter set is too long")
        known = self._sets[kind]
        if kind == SPS:
            self.sequence, self._made = parse_sps(nal), [video_parameter_set(nal)]
            if nal not in known.values():  # pictures of the old sequence need none of these
                self._sets[PPS].clear()
        known[Bits(nal[_HEADER : _HEADER + 8]).ue() if kind == PPS else 0] = nal  # pps_pic_parameter_set_id
        while len(known) > MAX_SETS:
            del known[next(iter(known))]

    @property
    def missing(self) -> str:
        """The kind that has not come yet; empty if all have."""
        return next((name for kind, name in ((SPS, "sequence"), (PPS, "picture")) if not self._sets[kind]), "")

    @property
    def units(self) -> list[bytes]:
        """All of them, in the order in which a decoder needs them."""
        made = [] if self._sets[VPS] else self._made
        return made + [nal for known in self._sets.values() for nal in known.values()]


class H265(Frames):
    """One camera's H.265 track."""

    def __init__(self, parameters: Mapping[str, str], output: Output) -> None:
        self._sets = ParameterSets(parameters)
        self._irap_seen = False
        self._turned = b""  # what says that its pictures are to be turned
        self._marked_open = False  # the marker has come, and its NAL unit has no end
        self._endless = 0  # pictures in a row that ended without the end bit
        self._numbered = parameters.get("sprop-max-don-diff", "0").strip("0") != ""  # RFC 7798 7.1
        super().__init__(_track(self._sets.sequence), self._repack_unit, output)

    @property
    def hindrance(self) -> str:
        """Why nothing of what comes is published; empty while something is."""
        if not self.keyframes and self._irap_seen and self._sets.missing:
            return f"its {self._sets.missing} parameter set never arrives; restart the camera's stream"
        return super().hindrance

    @property
    def unseen(self) -> bool:
        """See ``Frames``."""
        return super().unseen or (not self.keyframes and self._irap_seen and bool(self._sets.missing))

    def _begin(self, timestamp: int) -> None:
        super()._begin(timestamp)
        self._marked_open = False

    def _ends(self, packet: bytes, start: int, end: int) -> bool:
        """See ``Frames``; as ``AccessUnits`` judges markers of H.264."""
        if not self._trust_markers:
            return False
        if packet[start] >> 1 & 0x3F == _FRAGMENT and end - start > _HEADER and not packet[start + _HEADER] & 0x40:
            self._marked_open = self._endless < ENDLESS
            return not self._marked_open
        if self._marked_open:
            self._endless, self._marked_open = 0, False
        return True

    def _is_rest(self, packet: bytes, start: int, end: int) -> bool:
        """See ``Frames``: a fragment, which is of no use; or a slice, and then markers stand on all of them."""
        kind, at = packet[start] >> 1 & 0x3F, start + _HEADER
        if kind == _FRAGMENT:
            if at < end and packet[at] < 0x80:
                self._endless = 0 if at + 1 < end else self._endless  # its end bit alone says that the marker was right
                return True
            kind, at = packet[at] & 0x3F if at < end else -1, at + 1
        at += 2 if self._numbered else 0  # bytes of the decoding order number
        self._trust_markers &= kind not in SLICES or at >= end or packet[at] >= 0x80
        return False

    def _continues(self, packet: bytes, start: int, end: int) -> bool:
        continues = self._goes_on(packet, start, end)
        if self._marked_open and not continues:  # nothing of the picture came after the marker
            self._endless, self._marked_open = self._endless + 1, False
        return continues

    def _goes_on(self, packet: bytes, start: int, end: int) -> bool:
        if packet[start] >> 1 & 0x3F == _PACI:
            packet = _bare(packet[start:end])
            start, end = 0, len(packet)
        number = 2 if self._numbered else 0  # bytes of the decoding order number, before the slice
        if end - start <= _HEADER + number + 1:
            return False
        kind, at = packet[start] >> 1 & 0x3F, start + _HEADER
        if kind == _FRAGMENT:
            begin = packet[at]
            return begin < 0x80 or (begin & 0x3F in SLICES and packet[at + number + 1] < 0x80)
        # first_slice_segment_in_pic_flag is not set, H.265 7.3.6.1
        return kind in SLICES and packet[at + number] < 0x80

    def expects_picture(self, arrival_ns: int) -> bool:
        """See ``Frames``."""
        return not self._numbered and self._trust_markers and super().expects_picture(arrival_ns)

    def _repack_unit(self, payloads: list[bytes]) -> list[Unit]:
        slices: list[bytes] = []
        before: list[bytes] = []
        irap = False
        for nal in self._nal_units(payloads):
            kind = _kind(nal)
            if kind in _NAMES:
                self._learn(nal)
            elif kind in SLICES:
                slices.append(nal)
                irap |= kind in IRAP
            elif kind == PREFIX_SEI and (turned := turns(nal, _HEADER)) is not None:
                before.append(nal)
                self._turn(orientation(nal, _HEADER) if turned else b"")
        if not slices:
            return []
        self._irap_seen |= irap
        keyframe = irap and not self._sets.missing
        if irap and not keyframe:
            raise ProtocolError("a picture has come before its parameter sets")
        units = _packets(self._sets.units) if keyframe else []
        if keyframe and self._turned and not before:
            before.append(self._turned)
        for nal in (*before, *slices):
            units += _fragments(nal)
        return [Unit(units, keyframe)]

    def _nal_units(self, payloads: list[bytes]) -> Iterator[bytes]:
        """As a byte stream, so that start codes that a camera left in its packets begin NAL units as well."""
        payloads = [bare for payload in payloads if _is_read(bare := _bare(payload))]
        said = (numbered for payload in payloads[:_LOOKED_AT] if (numbered := _is_numbered(payload)) is not None)
        self._numbered = next(said, self._numbered)
        stream = access_unit("H265", [*map(_unnumbered, payloads)] if self._numbered else payloads)
        units = _START_CODE.split(stream, maxsplit=MAX_UNITS)
        if len(units) > MAX_UNITS:
            raise ProtocolError("an access unit has too many NAL units")
        for nal in units:
            nal = nal.rstrip(b"\0")
            if len(nal) > _HEADER and not _layer(nal):
                yield nal

    def _learn(self, nal: bytes) -> None:
        before = self._sets.sequence
        try:
            self._sets.learn(nal)
        except ValueError:
            self.dropped += 1
        if self._sets.sequence != before:
            self._turn(self._turned)

    def restart(self) -> None:
        """See ``Frames``."""
        super().restart()
        self._turn(b"")

    def _turn(self, turned: bytes) -> None:
        """The track as it is by its parameter sets, and by what says that it is to be turned."""
        track = _track(self._sets.sequence)
        self._turned = turned
        self.track = replace(track, convert=TURNED) if turned and not track.convert else track


def _track(sequence: SequenceParameterSet | None) -> Track:
    track = Track(Kind.VIDEO, "H265", CLOCK_RATES["H265"])
    if sequence is None:
        return track
    return replace(
        track,
        profile=sequence.profile_tier_level,
        convert=sequence.convert,
        width=sequence.width,
        height=sequence.height,
    )


def _is_read(payload: bytes) -> bool:
    """Whether anything can be made of a payload: not of an end of sequence, which is a header alone, nor of types that
    nobody has given a meaning (H.265 table 7-1)."""
    return len(payload) > _HEADER and _kind(payload) <= _FRAGMENT


def _bare(payload: bytes) -> bytes:
    """A payload without what a PACI packet says of it (RFC 7798 4.4.4): type and size of that stand in 16 bits."""
    if _kind(payload) != _PACI or len(payload) < _HEADER + 2:
        return payload
    fields = int.from_bytes(payload[_HEADER : _HEADER + 2])
    header = bytes((fields >> 8 & 0x80 | fields >> 8 & 0x7E | payload[0] & 1, payload[1]))
    return header + payload[_HEADER + 2 + (fields >> 4 & 0x1F) :]


def _is_numbered(payload: bytes) -> bool | None:
    """Whether a payload with a video parameter set has decoding order numbers; ``None`` for any other.

    Such a set has 16 bits of one behind 32 bits (H.265 7.3.2.1), so it says by itself where it begins.
    """
    kind = _kind(payload)
    if kind not in (VPS, _AGGREGATE):
        return None
    first = 0 if kind == VPS else _HEADER + 2  # an aggregate says each unit's size
    for number in (0, 2):  # bytes of it
        at = first + number
        is_set = kind == VPS or _kind(payload[at : at + 1]) == VPS
        if is_set and payload[at + 4 : at + 6] == b"\xff\xff":
            return number > 0
    return None


def _unnumbered(payload: bytes) -> bytes:
    """A payload without its decoding order numbers (RFC 7798 4.4): those who send them send in order all the same."""
    kind, at = _kind(payload), _HEADER
    if kind == _FRAGMENT:
        begins = payload[at : at + 1] >= b"\x80"
        return payload[: at + 1] + payload[at + 3 :] if begins else payload
    if kind != _AGGREGATE:
        return payload[:at] + payload[at + 2 :]
    out, at = payload[:at], at + 2
    while at + 2 <= len(payload):
        end = at + 2 + int.from_bytes(payload[at : at + 2])
        out += payload[at:end]
        at = end + 1  # behind the difference to the next number
    return out


def _kind(nal: bytes) -> int:
    return nal[0] >> 1 & 0x3F if nal else -1


def _layer(nal: bytes) -> int:
    """nuh_layer_id (H.265 7.3.1.2): another view, or more detail, that decoders of one layer know nothing of."""
    return (nal[0] & 1) << 5 | nal[1] >> 3


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""


def _packets(nals: list[bytes]) -> list[bytes]:
    """In one aggregation packet (RFC 7798 4.4.2) if they fit, so that they break no run of equal sizes."""
    if len(nals) > 1 and _HEADER + sum(2 + len(nal) for nal in nals) <= MAX_PAYLOAD:
        return [bytes((_AGGREGATE << 1, 1)) + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)]
    return [payload for nal in nals for payload in _fragments(nal)]


def _fragments(nal: bytes) -> list[bytes]:
    """The NAL unit in one packet, or in fragmentation units of equal size (RFC 7798 4.4.3)."""
    if len(nal) <= MAX_PAYLOAD:
        return [nal]
    header = bytes((nal[0] & 0x81 | _FRAGMENT << 1, nal[1]))
    parts = pieces(nal[_HEADER:], MAX_PAYLOAD - _HEADER - 1)
    bits = bytearray([_kind(nal)] * len(parts))
    bits[0] |= 0x80
    bits[-1] |= 0x40
    return [header + bytes((bit,)) + part for bit, part in zip(bits, parts, strict=True)]
