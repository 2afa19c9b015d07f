"""A video parameter set (ITU-T H.265 7.3.2.1) for a stream that has none, made of its sequence parameter set; no I/O.

Decoders begin no picture without one, FFmpeg's among them, though what it says of a stream of one layer stands in the
sequence parameter set as well. Cameras leave it out of ``sprop-vps``, and some never send it.
"""

from __future__ import annotations

from common.payload.bits import Bits
from common.payload.h265_syntax import VPS

_HEADER = bytes((VPS << 1, 1))


def video_parameter_set(sps: bytes) -> bytes:
    """The one that a sequence parameter set, its NAL header included, would follow. Raises ``ValueError``."""
    bits = Bits(sps[2:].replace(b"\0\0\3", b"\0\0"))  # 7.3.1.1: emulation prevention
    number, sub_layers, nesting = bits.u(4), bits.u(3), bits.u(1)
    level = _level(bits, sub_layers)
    bits.ue()  # sps_seq_parameter_set_id
    if bits.ue() == 3:  # chroma_format_idc
        bits.u(1)
    for _ in range(2):  # the picture's size
        bits.ue()
    if bits.u(1):  # conformance_window_flag
        for _ in range(4):
            bits.ue()
    for _ in range(3):  # bit depths, log2_max_pic_order_cnt_lsb_minus4
        bits.ue()
    ordered = bits.u(1)  # sps_sub_layer_ordering_info_present_flag
    ordering = [bits.ue() for _ in range(3 * (sub_layers + 1 if ordered else 1))]
    written = f"{number:04b}11{0:06b}{sub_layers:03b}{nesting}{0xFFFF:016b}{level}{ordered}"
    written += "".join(map(_ue, ordering))
    written += f"{0:06b}{_ue(0)}00"  # no other layer, no timing, no extension
    return _HEADER + _escaped(_octets(written + "1"))


def _level(bits: Bits, sub_layers: int) -> str:
    """profile_tier_level (7.3.3), bit by bit."""
    general = f"{bits.u(96):096b}"
    if not sub_layers:
        return general
    present = [(bits.u(1), bits.u(1)) for _ in range(sub_layers)]
    written = general + "".join(f"{profile}{level}" for profile, level in present)
    reserved = 2 * (8 - sub_layers)
    sizes = [reserved, *(88 * profile + 8 * level for profile, level in present)]
    return written + "".join(f"{bits.u(size):0{size}b}" for size in sizes if size)


def _ue(value: int) -> str:
    """ue(v), 9.2."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def _octets(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _escaped(data: bytes) -> bytes:
    """7.4.2: with emulation prevention."""
    escaped = bytearray()
    for byte in data:
        if byte <= 3 and escaped[-2:] == b"\0\0":
            escaped.append(3)
        escaped.append(byte)
    return bytes(escaped)
