"""The decoder gets what was cut into packets, and nothing that was damaged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.media import CLOCK_RATES, Batch, Flags, Kind
from common.payload.access_unit import MAX_SCANS
from common.payload.assembler import MAX_UNIT_BYTES, AccessUnit, Assembler

START = b"\0\0\0\1"
KEY_AND_END = int(Flags.KEYFRAME | Flags.UNIT_END)


def batch(codec: str, *payloads: bytes, flags: int = KEY_AND_END, at: int = 7) -> Batch:
    kind = "video" if CLOCK_RATES.get(codec, 90_000) == 90_000 else "audio"
    return Batch(kind, codec, 1, 0, 0, at, at + 1, flags, list(payloads))


def data_of(codec: str, *payloads: bytes) -> bytes | None:
    unit = Assembler(Kind.VIDEO, codec).push(batch(codec, *payloads))
    return unit.data if unit is not None else None


def test_h264_in_one_packet_in_an_aggregate_and_in_fragments_is_a_byte_stream() -> None:
    aggregate = b"\x78" + b"\0\2\x67\1" + b"\0\3\x68\2\3"
    assert data_of("H264", aggregate, b"\x7c\x85ab", b"\x7c\x05cd", b"\x7c\x45e") == (
        START + b"\x67\1" + START + b"\x68\2\3" + START + b"\x65abcde"
    )


def test_h265_in_one_packet_in_an_aggregate_and_in_fragments_is_a_byte_stream() -> None:
    aggregate = b"\x60\1" + b"\0\3\x40\1v" + b"\0\3\x42\1s"
    fragments = b"\x62\1\x93ab", b"\x62\1\x13cd", b"\x62\1\x53e"
    assert data_of("H265", aggregate, b"\x44\1p", *fragments) == (
        START + b"\x40\1v" + START + b"\x42\1s" + START + b"\x44\1p" + START + b"\x26\1abcde"
    )


@pytest.mark.parametrize("cut", [1, 3, 1_000])
def test_an_image_of_more_scans_than_any_encoder_makes_comes_to_no_decoder(cut: int) -> None:
    """Each of them goes over all of the picture: 18,000 fit into a megabyte, and take ten seconds at 8K."""

    def image(scans: int) -> list[bytes]:
        whole = b"\xff\xd8" + b"\xff\xda\0\x08\1\1\0\1\x3f\0data" * scans + b"\xff\xd9"
        return [whole[at : at + cut] for at in range(0, len(whole), cut)]

    assert data_of("JPEG", *image(MAX_SCANS)) == b"".join(image(MAX_SCANS))
    assert data_of("JPEG", *image(MAX_SCANS + 1)) is None


@pytest.mark.parametrize(
    "descriptor",
    [b"\x10", b"\x90\x80\x05", b"\x90\x80\x85\x05", b"\x90\xe0\x05\x07\x20", b"\x90\x40\x07", b"\x90\x20\x20"],
    ids=["plain", "picture id", "long picture id", "all", "layer index", "temporal id"],
)
def test_vp8_loses_its_descriptor(descriptor: bytes) -> None:
    assert data_of("VP8", descriptor + b"frame") == b"frame"


@pytest.mark.parametrize(
    "descriptor",
    [
        b"\x08",
        b"\x88\x05",
        b"\x88\x85\x05",
        b"\xa8\x05\x20\x07",
        b"\xb8\x05\x20",
        b"\xd8\x05\x03\x02",
        b"\x8a\x05\x18\0\1\0\1\1\x04\2",
    ],
    ids=["plain", "picture id", "long picture id", "layers", "layers, flexible", "differences", "structure"],
)
def test_vp9_loses_its_descriptor(descriptor: bytes) -> None:
    assert data_of("VP9", descriptor + b"frame") == b"frame"


def test_av1_gets_the_sizes_that_a_decoder_needs() -> None:
    sequence, frame = b"\x08seq", b"\x30" + b"f" * 200
    first = bytes((0x40 | 2 << 4,)) + bytes((len(sequence),)) + sequence + frame[:100]
    second = bytes((0x80 | 1 << 4,)) + frame[100:]
    assert data_of("AV1", first, second) == b"\x12\0" + b"\x0a\3seq" + b"\x32\xc8\x01" + b"f" * 200


def test_all_others_are_put_together_as_they_were_cut() -> None:
    assert data_of("JPEG", b"\xff\xd8", b"abc", b"\xff\xd9") == b"\xff\xd8abc\xff\xd9"


def test_a_unit_in_several_batches_has_the_times_of_the_first() -> None:
    assembler = Assembler(Kind.VIDEO, "H264")
    assert assembler.push(batch("H264", b"\x67s", flags=int(Flags.KEYFRAME), at=5)) is None
    unit = assembler.push(batch("H264", b"\x65p", flags=int(Flags.UNIT_END), at=9))
    assert unit == AccessUnit(START + b"\x67s" + START + b"\x65p", 5, 6, keyframe=True)


def test_nothing_comes_before_a_keyframe_nor_after_a_loss() -> None:
    assembler, later = Assembler(Kind.VIDEO, "H264"), batch("H264", b"\x41p", flags=int(Flags.UNIT_END))
    assert assembler.push(later) is None
    assert assembler.push(batch("H264", b"\x65p")) is not None
    assert assembler.push(later) is not None
    assembler.lost()
    assert assembler.push(later) is None


def test_sound_goes_on_after_a_loss() -> None:
    assembler = Assembler(Kind.AUDIO, "AAC")
    assembler.lost()
    assert assembler.push(batch("AAC", b"frame", flags=int(Flags.UNIT_END))) is not None


@pytest.mark.parametrize(
    ("codec", "payloads"),
    [
        ("H264", [b"\x7c"]),
        ("H264", [b"\x7c\x05cd"]),
        ("H264", [b"\x78\0\x09a"]),
        ("H264", [b"\x1d"]),
        ("H265", [b"\x26"]),
        ("H265", [b"\x62\1\x13cd"]),
        ("H265", [b"\x64\1cd"]),
        ("VP8", [b"\x90"]),
        ("VP9", [b"\x8a\5"]),
        ("AV1", [b"\x40ab"]),
        ("AV1", [b"\x90ab"]),
        ("AV1", [b"\x00\xff\xff\xff\xff\xff\xff"]),
        ("AV1", [b"\x10\x34"]),
    ],
)
def test_a_damaged_unit_is_counted_and_waits_for_a_keyframe(codec: str, payloads: list[bytes]) -> None:
    assembler = Assembler(Kind.VIDEO, codec)
    assert assembler.push(batch(codec, *payloads)) is None
    assert assembler.damaged == 1
    assert assembler.push(batch(codec, *payloads, flags=int(Flags.UNIT_END))) is None, "it waits"
    assert assembler.damaged == 1


def test_a_unit_without_end_is_given_up() -> None:
    assembler = Assembler(Kind.VIDEO, "H264")
    assembler.push(batch("H264", b"\x67s", flags=int(Flags.KEYFRAME)))
    for _ in range(MAX_UNIT_BYTES // 1_100_000 + 1):
        assembler.push(batch("H264", *[bytes(1_100)] * 1_000, flags=0))
    assert assembler.damaged == 1


@given(
    codec=st.sampled_from(["H264", "H265", "VP8", "VP9", "AV1", "JPEG"]),
    payloads=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6),
)
def test_any_bytes_become_a_unit_or_are_counted(codec: str, payloads: list[bytes]) -> None:
    assembler = Assembler(Kind.VIDEO, codec)
    unit = assembler.push(batch(codec, *payloads))
    assert (unit is None) == (assembler.damaged == 1)
