"""The streams that a viewer is promised, by what its browser takes and its camera has."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest

from common.control import Offer
from common.errors import RequestError
from common.media import Kind, Track
from egress.promise import negotiated, promised
from rigs.browser import Browser

PCMU = Track(Kind.AUDIO, "PCMU", 8_000)
H264 = Track(Kind.VIDEO, "H264", 90_000, profile="42e01f")
JPEG = Track(Kind.VIDEO, "JPEG", 90_000, convert="browsers do not play Motion JPEG")


@pytest.mark.parametrize(
    ("tracks", "others", "convertible", "fixed", "camera"),
    [
        ((H264,), (H264,), (), False, "door"),
        ((JPEG,), (H264,), (), False, "door/sub"),  # it would be refused
        ((JPEG, PCMU), (H264,), (), False, "door/sub"),  # there would be sound alone
        ((JPEG,), (H264,), tuple(Kind), False, "door"),  # it is converted
        ((JPEG,), (H264,), (), True, None),  # the viewer asked for it
        ((JPEG,), (JPEG,), tuple(Kind), False, "door"),
        ((JPEG,), (), tuple(Kind), False, "door"),  # of the other nothing is known
        ((JPEG,), (), (), False, "door/sub"),  # and yet it is worth a try
        ((), (H264,), (), False, "door"),
    ],
)
def test_a_viewer_begins_with_the_stream_that_its_browser_takes(
    tracks: tuple[Track, ...],
    others: tuple[Track, ...],
    convertible: tuple[Kind, ...],
    fixed: bool,
    camera: str | None,
) -> None:
    offer = Offer("s", "door", Browser().offer(), tracks, convertible, "", "door/sub", others, fixed)
    with contextlib.nullcontext() if camera else pytest.raises(RequestError):
        assert negotiated(offer)[0] == camera


def test_a_stream_without_sound_begins_with_that_of_the_other() -> None:
    offer = Offer("s", "door/sub", Browser().offer(), (H264,), (), "", "door", (H264, PCMU))
    camera, agreed = negotiated(offer)
    assert promised(agreed, camera, "door") == {Kind.VIDEO: "door/sub", Kind.AUDIO: "door"}
    aac = Track(Kind.AUDIO, "AAC", 16_000, convert="browsers do not play AAC")
    _, agreed = negotiated(dataclasses.replace(offer, other_tracks=(H264, aac), convertible=tuple(Kind)))
    assert promised(agreed, camera, "door")[Kind.AUDIO] == "door/opus"


def test_what_neither_stream_gives_is_refused_with_the_reason_of_the_first() -> None:
    for offer in (
        Offer("s", "door", Browser().offer(), (JPEG,), other="door/sub", other_tracks=(JPEG,)),
        Offer("s", "door", "v=0", (JPEG,), other="door/sub", other_tracks=(H264,)),
    ):
        with pytest.raises(RequestError) as caught:
            negotiated(offer)
        assert caught.value.status == (406 if len(offer.sdp) > 9 else 400)
