"""As much of the H.265 bitstream syntax (ITU-T H.265) as forwarding needs; no I/O.

Sequence parameter sets are read far enough to know which decoders take the stream; nothing is ever decoded. What cannot
be read raises ``ValueError``.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.payload.bits import Bits

VPS, SPS, PPS, PREFIX_SEI = 32, 33, 34, 39  # nal_unit_type, table 7-1; of those that are no slices, the ones passed on
IRAP = range(16, 24)  # pictures that decoding can begin with
SLICES = range(32)
LEADING = range(6, 10)  # RADL and RASL pictures: shown before the IRAP picture that they follow
MAX_PARAMETER_SET_BYTES = 4_096

_MAIN, _MAIN_10 = 1, 2  # general_profile_idc, annex A.3
_MAX_DIMENSION = 16_384  # samples; beyond level 6.2
_MAX_SUB_LAYERS = 7


@dataclass(frozen=True, slots=True)
class SequenceParameterSet:
    """7.3.2.2.1, as far as it matters here."""

    profile: int  # general_profile_idc
    tier: int  # general_tier_flag
    level: int  # general_level_idc: thirty times the level
    width: int  # luma samples, cropped
    height: int
    bit_depth: int
    reorders: bool  # whether pictures are shown in another order than decoded
    chroma_format: int = 1  # 1: 4:2:0

    @property
    def profile_tier_level(self) -> str:
        """The parameters of an ``fmtp`` line (RFC 7798 7.1) that an offer's are compared with."""
        return f"profile-id={self.profile};tier-flag={self.tier};level-id={self.level}"

    @property
    def convert(self) -> str:
        """Why no browser takes the stream as it comes; empty if some do."""
        if self.profile not in (_MAIN, _MAIN_10):
            return f"browsers do not play H.265 of profile {self.profile}"
        return "it has B-frames, which browsers show in the wrong order" if self.reorders else ""


def parse_sps(nal: bytes) -> SequenceParameterSet:
    """Read a sequence parameter set, its NAL header included. Raises ``ValueError``."""
    if len(nal) < 6 or nal[0] >> 1 & 0x3F != SPS or len(nal) > MAX_PARAMETER_SET_BYTES:
        raise ValueError("not a sequence parameter set")
    bits = Bits(nal[2:].replace(b"\0\0\3", b"\0\0"))  # 7.3.1.1: emulation prevention
    bits.u(4)  # sps_video_parameter_set_id
    sub_layers = bits.u(3)  # sps_max_sub_layers_minus1
    bits.u(1)  # sps_temporal_id_nesting_flag
    if sub_layers >= _MAX_SUB_LAYERS:
        raise ValueError("sps_max_sub_layers_minus1 out of range")
    bits.u(2)  # general_profile_space
    tier, profile = bits.u(1), bits.u(5)
    compatible = bits.u(32)
    bits.u(48)  # constraint flags
    level = bits.u(8)
    _skip_sub_layers(bits, sub_layers)
    if not profile:  # A.3: what a decoder may go by where the profile is not said
        profile = next((idc for idc in (_MAIN, _MAIN_10) if compatible >> 31 - idc & 1), 0)
    bits.ue()  # sps_seq_parameter_set_id
    chroma_format = bits.ue()
    if chroma_format == 3:
        bits.u(1)  # separate_colour_plane_flag
    width, height = bits.ue(), bits.ue()
    if bits.u(1):  # conformance_window_flag
        left, right, top, bottom = (bits.ue() for _ in range(4))
        width -= (left + right) * (2 if chroma_format in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma_format == 1 else 1)
    if not (0 < width <= _MAX_DIMENSION and 0 < height <= _MAX_DIMENSION):
        raise ValueError("picture size out of range")
    bit_depth = 8 + max(bits.ue(), bits.ue())
    if chroma_format > 3 or bit_depth > 16:  # 7.4.3.2.1
        raise ValueError("picture format out of range")
    bits.ue()  # log2_max_pic_order_cnt_lsb_minus4
    reorders = False
    for _ in range(sub_layers + 1 if bits.u(1) else 1):  # sps_sub_layer_ordering_info_present_flag
        _, count, _ = bits.ue(), bits.ue(), bits.ue()
        reorders = count > 0  # sps_max_num_reorder_pics, of the highest sub-layer
    return SequenceParameterSet(profile, tier, level, width, height, bit_depth, reorders, chroma_format)


def _skip_sub_layers(bits: Bits, count: int) -> None:
    """7.3.3: the rest of profile_tier_level."""
    present = [(bits.u(1), bits.u(1)) for _ in range(count)]
    if count:
        bits.u(2 * (8 - count))
    for profile, level in present:
        bits.u(88 * profile + 8 * level)
