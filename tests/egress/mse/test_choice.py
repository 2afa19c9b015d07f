from __future__ import annotations

import pytest

from common.cameras import CameraName
from common.control import CONVERTERS_FULL
from common.errors import RequestError
from common.media import Kind, Track
from egress.mse.choice import check_renditions, renditions_for

DOOR = CameraName("door")
H264, H265 = Track(Kind.VIDEO, "H264", 90_000), Track(Kind.VIDEO, "H265", 90_000)
JPEG = Track(Kind.VIDEO, "JPEG", 90_000, convert="browsers do not play JPEG")
AAC = Track(Kind.AUDIO, "AAC", 48_000, 2, convert="browsers do not play AAC")
PCMU, OPUS = Track(Kind.AUDIO, "PCMU", 8_000), Track(Kind.AUDIO, "opus", 48_000, 2)
BOTH = (Kind.VIDEO, Kind.AUDIO)
TAKES = ("H264", "AAC", "opus")


@pytest.mark.parametrize(
    ("tracks", "convertible", "expected"),
    [
        ((), (), {Kind.VIDEO: "door", Kind.AUDIO: "door"}),
        ((H264, AAC), BOTH, {Kind.VIDEO: "door", Kind.AUDIO: "door"}),
        ((H264, OPUS), (), {Kind.VIDEO: "door", Kind.AUDIO: "door"}),
        ((H264, PCMU), BOTH, {Kind.VIDEO: "door", Kind.AUDIO: "door/opus"}),
        ((H264, PCMU), (), {Kind.VIDEO: "door"}),
        ((H265,), BOTH, {Kind.VIDEO: "door/h264"}),
        ((JPEG, PCMU), BOTH, {Kind.VIDEO: "door/h264", Kind.AUDIO: "door/opus"}),
        ((Track(Kind.VIDEO, "H264", 90_000, convert="it has B-frames"),), BOTH, {Kind.VIDEO: "door/h264"}),
        ((Track(Kind.VIDEO, "H264", 90_000, convert="it has B-frames"),), (), {Kind.VIDEO: "door"}),
        ((Track(Kind.VIDEO, "H264", 90_000, problem="broken"), OPUS), BOTH, {Kind.AUDIO: "door"}),
        ((JPEG, PCMU), (), {}),
    ],
)
def test_what_comes_is_taken_if_it_can_be_and_else_converted(
    tracks: tuple[Track, ...], convertible: tuple[Kind, ...], expected: dict[Kind, str]
) -> None:
    assert renditions_for(TAKES, DOOR, tracks, convertible) == expected


def test_a_browser_without_opus_gets_no_converted_sound() -> None:
    assert renditions_for(("H264",), DOOR, (H264, PCMU), BOTH) == {Kind.VIDEO: "door"}


def test_a_refusal_says_what_comes_and_what_would_do() -> None:
    check_renditions((Kind.VIDEO,), TAKES, (H264,), "")
    with pytest.raises(RequestError, match=r"sends JPEG, PCMU; .* take AAC, H264, opus\. .* because nobody") as refused:
        check_renditions((), TAKES, (JPEG, PCMU), "nobody converts")
    assert (refused.value.status, refused.value.code) == (406, "no_usable_codec")
    with pytest.raises(RequestError) as full:
        check_renditions((Kind.AUDIO,), TAKES, (JPEG, OPUS), CONVERTERS_FULL)
    assert (full.value.status, full.value.code) == (503, "converters_full")
