from __future__ import annotations

import pytest

from egress.mse.descriptions import AdtsFrame, describe_aac, describe_h265, describe_opus, opus_samples
from ingest.payload.aac import Configuration

VPS = bytes.fromhex("40010c01ffff01600000030090000003000003005d959809")
SPS = bytes.fromhex(
    "420101016000000300900000030000030 05da00280802d165959a4932bc05a70100000fa00001d4c02".replace(" ", "")
)


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"\x00", 480),  # SILK, 10 ms
        (b"\x18", 2_880),  # SILK, 60 ms
        (b"\x68", 960),  # hybrid, 20 ms
        (b"\x80", 120),  # CELT, 2.5 ms
        (b"\xfc", 960),  # CELT, 20 ms, stereo
        (b"\xfd", 1_920),  # two frames
        (b"\xff\x83", 2_880),  # three, said by number
    ],
)
def test_an_opus_packet_says_how_long_it_is(packet: bytes, samples: int) -> None:
    assert opus_samples(packet) == samples


@pytest.mark.parametrize("packet", [b"", b"\x03"])
def test_an_opus_packet_that_is_cut_off_says_nothing(packet: bytes) -> None:
    with pytest.raises(ValueError, match="Opus"):
        opus_samples(packet)


def test_aac_is_as_its_header_says() -> None:
    frame = AdtsFrame.parse(Configuration(2, 96_000, 6).adts(3) + b"abc")
    assert frame == AdtsFrame(2, 96_000, 6, b"abc")
    assert describe_aac(frame).codec == "mp4a.40.2"
    assert describe_aac(frame).timescale == 96_000


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xf1\x50\x80\x01\x1f\xfc", b"abcdefghijk", Configuration(2, 8_000, 1).adts(3)]
)
def test_what_is_no_frame_with_its_header_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="ADTS"):
        AdtsFrame.parse(data)


def test_h265_is_named_by_profile_compatibility_tier_level_and_constraints() -> None:
    assert describe_h265(VPS, SPS, [b"\x44\x01\xc1"]).codec == "hvc1.1.6.L93.90"
    with pytest.raises(ValueError, match="too long"):
        describe_h265(bytes(70_000), SPS, [])


def sps(*, chroma_format: int = 1, bit_depth: int = 8) -> bytes:
    """Main profile, 640 by 480."""

    def ue(value: int) -> str:
        code = f"{value + 1:b}"
        return "0" * (len(code) - 1) + code

    general = "0000" + "000" + "1" + "00000001" + f"{0x6000_0000:032b}" + f"{0xB000_0000_0000:048b}" + f"{93:08b}"
    depths = ue(bit_depth - 8) * 2
    bits = general + ue(0) + ue(chroma_format) + ue(640) + ue(480) + "0" + depths + ue(4) + "1" + ue(1) + ue(0) + ue(0)
    bits += "1" + "0" * (-len(bits + "1") % 8)
    raw = int(bits, 2).to_bytes(len(bits) // 8)
    return b"\x42\x01" + raw.replace(b"\0\0\0", b"\0\0\3\0")


@pytest.mark.parametrize("other", [{"chroma_format": 256}, {"bit_depth": 300}, {"chroma_format": 4}, {"bit_depth": 17}])
def test_what_no_picture_of_h265_can_be_like_is_refused(other: dict[str, int]) -> None:
    assert describe_h265(VPS, sps(), []).codec == "hvc1.1.6.L93.B0"
    with pytest.raises(ValueError, match="picture format"):
        describe_h265(VPS, sps(**other), [])


def test_opus_counts_at_48_khz() -> None:
    assert describe_opus().timescale == 48_000
