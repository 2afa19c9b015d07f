"""Kinds of H.264 that browsers do not decode, or show otherwise than they are meant: the track says so."""

from __future__ import annotations

import pytest

from rigs.video import TICKS, encode, packetise
from tests.fakes.h264 import PARAMETER_SETS, SEI, SPROP, UNITS, Stream

TURNED_90, UPRIGHT, MIRRORED, CANCELLED = (
    bytes.fromhex(f"062f{message}80") for message in ("03080009", "03000009", "03400009", "01c0")
)  # display orientation, H.264 D.1.27


def test_profile_comes_from_the_session_description_and_is_corrected_by_the_stream() -> None:
    stream = Stream(**{"profile-level-id": "42E01F"})
    assert stream.track.track.profile == "42e01f"
    stream.feed(packetise(UNITS))
    assert stream.track.track.profile == PARAMETER_SETS[0][1:4].hex()
    assert stream.track.track.playable
    assert Stream(SPROP, **{"profile-level-id": "nonsense"}).track.track.profile == PARAMETER_SETS[0][1:4].hex()


@pytest.mark.parametrize("announced", ["0033e7", "276400", "000000", "7a001e", "58a01e"])
def test_a_profile_that_no_browser_decodes_is_not_believed_before_it_comes(announced: str) -> None:
    stream = Stream(**{"profile-level-id": announced})
    assert (stream.track.track.profile, stream.track.track.convert) == ("", "")
    stream.feed(packetise(UNITS))
    assert stream.track.track.profile == PARAMETER_SETS[0][1:4].hex()


@pytest.mark.parametrize(
    ("profile", "pixels", "named"),
    [("high10", "yuv420p10le", "High 10"), ("high422", "yuv422p", "4:2:2"), ("high444", "yuv444p", "4:4:4")],
)
def test_profiles_that_no_browser_decodes(profile: str, pixels: str, named: str) -> None:
    units = encode(12, profile=profile, pixels=pixels)
    stream = Stream().feed(packetise(units))
    assert len(stream.units()) == len(units), "for a converter"
    assert named in stream.track.track.convert
    stream.feed(packetise(UNITS, start=30 * TICKS))
    assert stream.track.track.convert == ""
    stream.feed(packetise(units, start=60 * TICKS))
    assert named in stream.track.track.convert


def test_b_frames_are_named() -> None:
    units = encode(20, options="bframes=2:b-adapt=0", profile="main")
    stream = Stream().feed(packetise(units))
    assert "B-frames" in stream.track.track.convert
    assert stream.track.track.playable
    assert len(stream.units()) == 20


def test_plain_streams_have_no_warning() -> None:
    assert Stream().feed(packetise(UNITS)).track.track.warning == ""


@pytest.mark.parametrize(
    ("aspect", "words"),
    [
        ("1:1", ""),
        ("100:101", ""),
        ("16:11", "(16:11), and browsers show it too narrow"),
        ("10:11", "too wide"),
        ("1:9", ""),
    ],
)
def test_pixels_that_are_not_square_are_named(aspect: str, words: str) -> None:
    stream = Stream().feed(packetise(encode(2, options="sar=" + aspect.replace(":", "\\:"))))
    warning = stream.track.track.warning
    assert words in warning if words else not warning
    assert stream.track.track.convert == ""


def test_a_picture_that_is_to_be_turned_is_converted_until_it_is_upright_again() -> None:
    stream = Stream()
    for message, turned in ((TURNED_90, True), (SEI, True), (UPRIGHT, False), (MIRRORED, True), (CANCELLED, False)):
        stream.feed(packetise([[message, *UNITS[0]]]))
        assert bool(stream.track.track.convert) is turned


def test_how_a_picture_is_turned_stands_before_each_keyframe_though_it_was_said_once() -> None:
    """A still, or a conversion that begins later, decodes from the newest keyframe on."""
    stream = Stream()
    for number, (message, before) in enumerate([(TURNED_90, TURNED_90), (SEI, TURNED_90), (UPRIGHT, b""), (SEI, b"")]):
        first, *rest = UNITS[:10]
        stream.feed(packetise([[message, *first], *rest], start=number * 10 * TICKS))
        keyframe, *others = stream.units()[-10:]
        assert [nal for nal in keyframe if nal in (TURNED_90, UPRIGHT)] == [
            nal for nal in (before or message,) if nal != SEI
        ]
        assert all(TURNED_90 not in unit for unit in others)
    stream.feed(packetise([[TURNED_90, *UNITS[0]]], start=50 * TICKS))
    stream.track.restart()
    stream.feed(packetise(UNITS[:1], start=60 * TICKS))
    assert TURNED_90 not in stream.units()[-1]
    assert not stream.track.track.convert


def test_interlaced_is_named() -> None:
    units = encode(20, options="tff=1", profile="main")
    stream = Stream().feed(packetise(units))
    assert "interlaced" in stream.track.track.convert
    assert stream.units() == [list(unit) for unit in units]
