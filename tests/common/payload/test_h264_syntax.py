"""The H.264 syntax that is read: real encoders' parameter sets, and hostile ones."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.payload.h264_syntax import (
    B_SLICES,
    I_SLICES,
    first_slice_type,
    has_recovery_point,
    parse_pps_ids,
    parse_sps,
)
from rigs.video import encode, kind

# x264 and others, 25 frames a second, 322 by 242.
CONSTRAINED_BASELINE = bytes.fromhex("6742c00dd90150878888c044000003000400000300c83c50a920")
HIGH_WITH_B = bytes.fromhex("6764000dacd94150878888c044000003000400000300c83c50a658")
HIGH = bytes.fromhex("6764000dacb202a10f111180880000030008000003019078a15240")
HIGH_10 = bytes.fromhex("676e000da6cb202a10f1111808800000030080000019078a1524")
HIGH_422 = bytes.fromhex("677a000dbcd9415087888fc044000003000400000300c83c50a658")
HIGH_444 = bytes.fromhex("67f4000d919b282a10f1f1f808800000030080000019078a14cb")


@pytest.mark.parametrize(
    ("nal", "profile_level_id", "reorders", "problem"),
    [
        (CONSTRAINED_BASELINE, "42c00d", False, ""),
        (HIGH, "64000d", False, ""),
        (HIGH_WITH_B, "64000d", True, ""),
        (HIGH_10, "6e000d", False, "High 10"),
        (HIGH_422, "7a000d", True, "High 4:2:2"),
        (HIGH_444, "f4000d", True, "High 4:4:4"),
    ],
)
def test_profiles(nal: bytes, profile_level_id: str, reorders: bool, problem: str) -> None:
    sps = parse_sps(nal)
    assert (sps.profile_level_id, sps.reorders, sps.frame_rate) == (profile_level_id, reorders, 25.0)
    assert (sps.width, sps.height, sps.interlaced, sps.id) == (322, 242, False, 0)
    assert problem in sps.convert if problem else not sps.convert


@pytest.mark.parametrize(("width", "height"), [(320, 240), (1920, 1080), (642, 362), (16, 16)])
@pytest.mark.parametrize("options", ["", "colorprim=bt709:range=on", "nal-hrd=vbr:vbv-maxrate=900:vbv-bufsize=900"])
def test_sizes_and_usability_information(width: int, height: int, options: str) -> None:
    nals = encode(1, width=width, height=height, options=options)[0]
    sps = parse_sps(next(nal for nal in nals if kind(nal) == 7))
    assert (sps.width, sps.height, sps.frame_rate, sps.reorders) == (width, height, 25.0, False)
    assert parse_pps_ids(next(nal for nal in nals if kind(nal) == 8)) == (0, 0)


def test_interlaced() -> None:
    assert parse_sps(encode(1, options="tff=1", profile="main")[0][0]).interlaced


def test_scaling_lists() -> None:
    sps = parse_sps(encode(1, options="cqm=jvt")[0][0])
    assert (sps.width, sps.height) == (320, 240)


def test_ids() -> None:
    nals = encode(1, options="sps-id=5")[0]
    assert parse_sps(nals[0]).id == 5
    assert parse_pps_ids(nals[1]) == (5, 5)


def test_bit_depth_and_chroma_inside_high_are_problems_too() -> None:
    assert "10 bits" in parse_sps(b"\x67\x64" + HIGH_10[2:]).convert
    assert "4:2:0" in parse_sps(b"\x67\x64" + HIGH_422[2:]).convert


def test_broken_usability_information_is_passed_over() -> None:
    sps = parse_sps(HIGH_WITH_B[:14])
    assert (sps.width, sps.height, sps.reorders, sps.frame_rate) == (322, 242, None, None)


@pytest.mark.parametrize(
    "nal", [b"", b"\x67", b"\x68" + HIGH[1:], HIGH[:7], b"\x67" * 5000, b"\x67\x64\0\x1f" + bytes(40)]
)
def test_what_is_no_sps(nal: bytes) -> None:
    with pytest.raises(ValueError):
        parse_sps(nal)


@pytest.mark.parametrize("nal", [b"", b"\x68", b"\x67\xff", b"\x68\0\0\0\0\0\0", b"\x68\x00\xc0\x40"])
def test_what_is_no_pps(nal: bytes) -> None:
    with pytest.raises(ValueError):
        parse_pps_ids(nal)


@given(st.binary(max_size=80))
def test_any_bytes(data: bytes) -> None:
    for parse, header in ((parse_sps, b"\x67"), (parse_pps_ids, b"\x68")):
        with suppress(ValueError):
            parse(header + data)
    has_recovery_point(b"\x06" + data)


@given(st.integers(0, len(HIGH) * 8 - 1))
def test_any_bit_flipped(bit: int) -> None:
    flipped = bytearray(HIGH)
    flipped[bit // 8] ^= 0x80 >> bit % 8
    try:
        sps = parse_sps(bytes(flipped))
    except ValueError:
        return
    assert 0 < sps.width <= 16_384


def test_slice_types() -> None:
    units = encode(9, gop=9, options="bframes=2:b-adapt=0", profile="main")
    kinds = [first_slice_type(nal[1]) for unit in units for nal in unit if kind(nal) in (1, 5)]
    assert kinds[0] in I_SLICES
    assert sum(found in B_SLICES for found in kinds) == 5
    assert first_slice_type(0x7F) is None


def test_only_the_first_slice_is_the_first() -> None:
    slices = [nal for nal in encode(1, options="slices=3")[0] if kind(nal) == 5]
    assert [first_slice_type(nal[1]) is not None for nal in slices] == [True, False, False]


@pytest.mark.parametrize(
    ("nal", "expected"),
    [
        (b"\x06\x06\x01\xc4\x80", True),
        (b"\x06\x05\x02ab\x06\x01\xc4\x80", True),
        (b"\x06\x05\xff\x01" + bytes([7] * 256) + b"\x06\x01\xc4\x80", True),
        (b"\x06\x05\x02ab\x80", False),
        (b"\x06\x05\xff\x01\x06\x01\xc4\x80", False),
        (b"\x06", False),
        (b"\x06\xff\xff", False),
    ],
)
def test_recovery_point(nal: bytes, expected: bool) -> None:
    assert has_recovery_point(nal) is expected
