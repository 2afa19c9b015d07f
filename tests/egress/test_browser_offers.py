"""Offers of browsers that cannot be run here, and what of them carries a camera."""

from __future__ import annotations

import pytest
from aiortc import sdp

from common.errors import RequestError
from common.media import Kind, Track
from egress.answer import TransportDescription, write_answer
from egress.media.feed import Source
from egress.negotiation import negotiate
from rigs.browser import PASSWORD, UFRAG
from tests.fakes.browser_offers import (
    ANDROID_CHROMIUM_63,
    ANDROID_WEBVIEW,
    CHROMIUM_64_PLAN_B,
    SAFARI_12_IOS,
    SAFARI_12_IOS_WITH_DATA,
    SAFARI_13,
    SAFARI_17_IOS,
    SAFARI_18,
    Offer,
)
from tests.fakes.offers import CONSTRAINED_BASELINE, HIGH, MAIN, OPUS, h264

H265 = Track(Kind.VIDEO, "H265", 90_000, profile="profile-id=1;tier-flag=0;level-id=93")
VP8 = Track(Kind.VIDEO, "VP8", 90_000)
OFFERS = {
    "Safari 12, iOS": (SAFARI_12_IOS, (98, 96, 96), None, 100),
    "Safari 12, iOS, with data": (SAFARI_12_IOS_WITH_DATA, (98, 96, 96), None, 100),
    "Safari 13": (SAFARI_13, (98, 96, 96), None, 100),
    "Safari 17, iOS": (SAFARI_17_IOS, (98, 96, 96), None, 104),
    "Safari 18": (SAFARI_18, (98, 96, 96), 104, 106),
    "Chromium 63, Android": (ANDROID_CHROMIUM_63, (127, 127, 127), None, 96),
    "Android WebView": (ANDROID_WEBVIEW, (125, 125, 108), None, 96),
    "Chromium 64, Plan B": (CHROMIUM_64_PLAN_B, (127, 125, 108), None, 96),
}


@pytest.mark.parametrize(("offer", "h264_types", "h265_type", "vp8_type"), OFFERS.values(), ids=OFFERS)
def test_the_camera_is_carried_by_the_type_that_fits(
    offer: Offer, h264_types: tuple[int, int, int], h265_type: int | None, vp8_type: int
) -> None:
    expected = dict(zip(map(h264, (CONSTRAINED_BASELINE, MAIN, HIGH)), h264_types, strict=True))
    for track, payload_type in (expected | {VP8: vp8_type, H265: h265_type}).items():
        if payload_type is None:
            continue
        negotiated = negotiate(str(offer), [track, OPUS])
        by_kind = {section.kind: section for section in negotiated.sections}
        assert by_kind[Kind.VIDEO].formats[0].payload_type == payload_type, track
        assert by_kind[Kind.VIDEO].formats[0].rtx is not None
        assert by_kind[Kind.VIDEO].transport_cc
        assert by_kind[Kind.AUDIO].formats[0].payload_type == 111
        assert negotiated.ice == (UFRAG, PASSWORD.encode())


@pytest.mark.parametrize("offer", [each[0] for each in OFFERS.values()], ids=OFFERS)
def test_the_answer_has_the_offers_sections_in_their_order(offer: Offer) -> None:
    negotiated = negotiate(str(offer), [h264(HIGH), OPUS])
    transport = TransportDescription("ours", "a password of ours, 22", "sha-256 AB", (("192.0.2.1", 8189),))
    answer = write_answer(negotiated, transport, {kind: Source(7, 9) for kind in Kind}, "name")
    read = sdp.SessionDescription.parse(answer)
    mids = ["audio", "video"] if offer.audio_first else ["0", "1"]
    of_media, of_data = read.media[:2], read.media[2:]
    assert [media.rtp.muxId for media in of_media] == mids
    assert all(media.direction == "sendonly" and media.port for media in of_media)
    assert [(media.kind, media.port) for media in of_data] == ([("application", 0)] if offer.data else [])
    assert f"a=group:BUNDLE {' '.join(mids)}\r\n" in answer


def test_several_tracks_in_one_section_are_refused_with_a_sentence() -> None:
    lines = [f"a=ssrc:{number} msid:stream track-{number}" for number in (1, 2)]
    once = Offer(CHROMIUM_64_PLAN_B.video, CHROMIUM_64_PLAN_B.audio, more=(lines[0], "a=ssrc:7 msid:stream track-1"))
    assert negotiate(str(once), [h264(HIGH)]).sections, "one track may have several SSRCs"
    with pytest.raises(RequestError, match="Plan B") as caught:
        negotiate(str(Offer(CHROMIUM_64_PLAN_B.video, CHROMIUM_64_PLAN_B.audio, more=tuple(lines))), [h264(HIGH)])
    assert (caught.value.status, caught.value.code) == (400, "plan_b")
