"""The H.264 bitstream syntax (ITU-T H.264), as much of it as forwarding needs; no I/O.

Parameter sets are read far enough to know what a browser will make of the stream; nothing is ever decoded. What cannot
be read raises ``ValueError``.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

from common.payload.bits import Bits
from common.payload.supplemental import RECOVERY_POINT, messages

SLICE, IDR, SEI, SPS, PPS = 1, 5, 6, 7, 8  # nal_unit_type, table 7-1; the ones that are passed on
MAX_SPS_ID, MAX_PPS_ID = 31, 255
MAX_PARAMETER_SET_BYTES = 4_096  # real ones stay under 100; scaling lists can take some hundred

_MAX_DIMENSION = 16_384  # samples; beyond level 6.2
_HIGH_PROFILES = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}  # 7.3.2.1.1: with chroma_format_idc
_EXTENDED_SAR = 255
_ASPECTS = (
    *((1, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11)),
    *((80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1)),
)  # of a sample, by aspect_ratio_idc: table E-1

# What no browser decodes, by profile_idc (annex A.2).
_UNPLAYABLE_PROFILES = {
    88: "Extended",
    110: "High 10",
    122: "High 4:2:2",
    244: "High 4:4:4 Predictive",
    44: "CAVLC 4:4:4 Intra",
    83: "Scalable Baseline",
    86: "Scalable High",
    118: "Multiview High",
    128: "Stereo High",
}


@dataclass(frozen=True, slots=True)
class SequenceParameterSet:
    """7.3.2.1.1, as far as it matters here."""

    id: int
    profile_level_id: str  # six hex digits: profile_idc, constraint flags, level_idc
    width: int  # luma samples, cropped
    height: int
    interlaced: bool  # may hold fields
    chroma_format: int  # 1: 4:2:0
    bit_depth: int
    reorders: bool | None  # whether pictures are output in another order than decoded; None: not said
    frame_rate: float | None  # as the timing in its VUI says, if it does
    aspect: tuple[int, int] = (1, 1)  # width and height of a sample, as its VUI says

    @property
    def convert(self) -> str:
        """Why no browser can decode the stream; empty if they can."""
        profile = _UNPLAYABLE_PROFILES.get(int(self.profile_level_id[:2], 16))
        what = f"profile {profile}" if profile else ""
        if not what and self.bit_depth != 8:
            what = f"{self.bit_depth} bits a sample"
        if not what and self.chroma_format != 1:
            what = "a chroma format other than 4:2:0"
        return f"browsers do not decode H.264 with {what}" if what else ""


def parse_sps(nal: bytes) -> SequenceParameterSet:
    """Read a sequence parameter set, its NAL header included. Raises ``ValueError``."""
    if len(nal) < 5 or nal[0] & 0x1F != SPS or len(nal) > MAX_PARAMETER_SET_BYTES:
        raise ValueError("not a sequence parameter set")
    bits = Bits(_unescape(nal[4:]))
    identifier = bits.ue()
    if identifier > MAX_SPS_ID:
        raise ValueError("seq_parameter_set_id out of range")
    chroma_format, separate_planes, bit_depth = _samples(bits) if nal[1] in _HIGH_PROFILES else (1, 0, 8)
    bits.ue()  # log2_max_frame_num_minus4
    order_count_type = _order_count_type(bits)
    bits.ue()  # max_num_ref_frames
    bits.u(1)  # gaps_in_frame_num_value_allowed_flag
    width, height = 16 * (bits.ue() + 1), 16 * (bits.ue() + 1)
    frame_only = bits.u(1)
    if not frame_only:
        height *= 2
        bits.u(1)  # mb_adaptive_frame_field_flag
    bits.u(1)  # direct_8x8_inference_flag
    if bits.u(1):
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        unit_x, unit_y = 1, 2 - frame_only
        if not separate_planes and chroma_format:  # table 6-1
            unit_x *= 2 if chroma_format < 3 else 1
            unit_y *= 2 if chroma_format == 1 else 1
        width -= unit_x * (left + right)
        height -= unit_y * (top + bottom)
    if chroma_format > 3 or not (0 < width <= _MAX_DIMENSION and 0 < height <= _MAX_DIMENSION):
        raise ValueError("picture format out of range")
    reorders: bool | None = None
    frame_rate: float | None = None
    aspect = (1, 1)
    if bits.u(1):
        with suppress(ValueError):  # broken VUI is common, and everything that is needed has been read
            aspect = _aspect(bits)
            reorders, frame_rate = _parse_vui(bits)
    if order_count_type == 2:  # 8.2.1: output order is decoding order
        reorders = False
    profile, interlaced = nal[1:4].hex(), not frame_only
    return SequenceParameterSet(
        identifier, profile, width, height, interlaced, chroma_format, bit_depth, reorders, frame_rate, aspect
    )


def _samples(bits: Bits) -> tuple[int, int, int]:
    """Chroma format, whether its planes are coded separately, and bit depth, of a set that says so."""
    chroma_format = bits.ue()
    separate_planes = bits.u(1) if chroma_format == 3 else 0
    bit_depth = 8 + max(bits.ue(), bits.ue())
    bits.u(1)  # qpprime_y_zero_transform_bypass_flag
    if bits.u(1):
        for index in range(8 if chroma_format != 3 else 12):
            if bits.u(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma_format, separate_planes, bit_depth


def _order_count_type(bits: Bits) -> int:
    """``pic_order_cnt_type``, and past what belongs to it. Raises ``ValueError``."""
    kind = bits.ue()
    if kind == 0:
        bits.ue()
    elif kind == 1:
        bits.u(1)
        bits.se()
        bits.se()
        cycle = bits.ue()
        if cycle > 255:
            raise ValueError("num_ref_frames_in_pic_order_cnt_cycle out of range")
        for _ in range(cycle):
            bits.se()
    return kind


def parse_pps_ids(nal: bytes) -> tuple[int, int]:
    """The id of a picture parameter set, and that of the sequence parameter set it refers to. Raises ``ValueError``."""
    if len(nal) < 2 or nal[0] & 0x1F != PPS or len(nal) > MAX_PARAMETER_SET_BYTES:
        raise ValueError("not a picture parameter set")
    bits = Bits(_unescape(nal[1:16]))
    own, sequence = bits.ue(), bits.ue()
    if own > MAX_PPS_ID or sequence > MAX_SPS_ID:
        raise ValueError("parameter set id out of range")
    return own, sequence


SLICE_HEADER = 4  # bytes behind the NAL header that hold ``pic_parameter_set_id`` of a picture's first slice


def slice_picture_set(data: bytes) -> int | None:
    """``pic_parameter_set_id`` (7.3.3) of a slice from what follows its NAL header; ``None`` if that cannot be read."""
    bits = Bits(_unescape(data[: 2 * SLICE_HEADER]))
    with suppress(ValueError):
        bits.ue()  # first_mb_in_slice
        bits.ue()  # slice_type
        identifier = bits.ue()
        return identifier if identifier <= MAX_PPS_ID else None
    return None


def has_recovery_point(nal: bytes) -> bool:
    """Whether an SEI NAL unit holds a recovery point message (D.1.8) among its first."""
    return any(kind == RECOVERY_POINT for kind, _ in messages(_unescape(nal[1:])))


def _ue_in_seven_bits(bits: int) -> int:
    """The Exp-Golomb code at the start of seven bits; 10 if it is longer."""
    for zeros in range(4):
        if bits & (0x40 >> zeros):
            length = 2 * zeros + 1
            return (bits >> 7 - length) - 1
    return 10


_SLICE_TYPES = bytes(_ue_in_seven_bits(bits) for bits in range(128))
I_SLICES = {2, 4, 7, 9}  # table 7-6, SI included
B_SLICES = {1, 6}


def first_slice_type(byte: int) -> int | None:
    """``slice_type`` from the first byte after the NAL header; ``None`` if this is not the first slice of its picture.

    7.3.3: ``first_mb_in_slice`` of 0 is the single bit 1, and every ``slice_type`` fits into the seven that follow.
    """
    return _SLICE_TYPES[byte & 0x7F] if byte & 0x80 else None


def _unescape(data: bytes) -> bytes:
    """Remove emulation prevention (7.4.1)."""
    return data.replace(b"\0\0\3", b"\0\0")


def _skip_scaling_list(bits: Bits, size: int) -> None:
    """7.3.2.1.1.1."""
    last = next_scale = 8
    for _ in range(size):
        if next_scale:
            next_scale = (last + bits.se()) % 256
        last = next_scale or last


def _aspect(bits: Bits) -> tuple[int, int]:
    """E.1.1, how it begins: width and height of a sample."""
    kind = bits.u(8) if bits.u(1) else 0
    if kind == _EXTENDED_SAR:
        width, height = bits.u(16), bits.u(16)
        return (width, height) if width and height else (1, 1)
    return _ASPECTS[kind] if kind < len(_ASPECTS) else (1, 1)


def _parse_vui(bits: Bits) -> tuple[bool | None, float | None]:
    """E.1.1, behind the aspect: whether pictures are reordered, and the frame rate; ``None`` for what is not said."""
    frame_rate = None
    if bits.u(1):
        bits.u(1)  # overscan_appropriate_flag
    if bits.u(1):
        bits.u(4)  # video_format, video_full_range_flag
        if bits.u(1):
            bits.u(24)
    if bits.u(1):
        bits.ue()  # chroma sample locations
        bits.ue()
    if bits.u(1):
        tick, scale = bits.u(32), bits.u(32)
        bits.u(1)  # fixed_frame_rate_flag
        if tick and 1 <= (rate := Fraction(scale, 2 * tick)) <= 1_000:  # a tick is a field's
            frame_rate = round(float(rate), 3)
    hrd_present = False
    for _ in range(2):  # of the NAL units, of the slices
        if bits.u(1):
            _skip_hrd(bits)
            hrd_present = True
    if hrd_present:
        bits.u(1)  # low_delay_hrd_flag
    bits.u(1)  # pic_struct_present_flag
    if not bits.u(1):
        return None, frame_rate
    bits.u(1)  # motion_vectors_over_pic_boundaries_flag
    for _ in range(4):
        bits.ue()
    return bits.ue() > 0, frame_rate  # max_num_reorder_frames


def _skip_hrd(bits: Bits) -> None:
    """E.1.2."""
    count = bits.ue() + 1
    if count > 32:
        raise ValueError("cpb_cnt_minus1 out of range")
    bits.u(8)
    for _ in range(count):
        bits.ue()
        bits.ue()
        bits.u(1)
    bits.u(20)
