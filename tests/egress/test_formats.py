"""Each codec is carried by the payload type whose decoder fits it best, and by none that cannot decode it."""

from __future__ import annotations

import pytest
from aiortc import sdp

from common.media import Kind, Track
from egress.formats import formats_for
from rigs.browser import Browser, audio_section, video_section

MAIN_3_1 = "profile-id=1;tier-flag=0;level-id=93"
MAIN_10 = "profile-id=2;tier-flag=0;level-id=93"


def media(kind: Kind, **formats: str) -> sdp.MediaDescription:
    """A section of an offer with one payload type for each ``name_number``; the value is its fmtp."""
    lines, number = [], 100
    for name, parameters in formats.items():
        codec = name.partition("_")[0]
        clock = 90_000 if kind is Kind.VIDEO else 8_000
        lines += [f"a=rtpmap:{number} {codec}/{clock}", *([f"a=fmtp:{number} {parameters}"] if parameters else [])]
        lines += [f"a=rtpmap:{number + 1} rtx/{clock}", f"a=fmtp:{number + 1} apt={number}"]
        number += 2
    section = (video_section(h264={}) if kind is Kind.VIDEO else audio_section()).partition("\r\n")[2]
    kept = [line for line in section.split("\r\n") if line and not line.startswith(("a=rtpmap", "a=fmtp", "a=rtcp-fb"))]
    head = f"m={kind} 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, range(100, number)))}"
    offer = Browser().offer("\r\n".join([head, *kept, *lines]) + "\r\n")
    return sdp.SessionDescription.parse(offer).media[0]


def chosen(kind: Kind, track: Track, **formats: str) -> int | None:
    found = formats_for(media(kind, **formats), track)
    assert len(found) <= 1
    return found[0].payload_type if found else None


def h265(profile: str = "") -> Track:
    return Track(Kind.VIDEO, "H265", 90_000, profile=profile)


@pytest.mark.parametrize("codec", ["VP8", "VP9", "AV1", "H265"])
def test_a_codec_is_carried_where_it_is_offered_and_else_not(codec: str) -> None:
    track = Track(Kind.VIDEO, codec, 90_000)
    assert chosen(Kind.VIDEO, track, **{codec: "", "H264": ""}) == 100
    assert chosen(Kind.VIDEO, track, **{"H264": "", codec.lower(): ""}) == 102
    assert chosen(Kind.VIDEO, track, H264="") is None


def test_g722_is_carried_by_its_clock_of_8000() -> None:
    assert chosen(Kind.AUDIO, Track(Kind.AUDIO, "G722", 8_000), PCMU="", G722="") == 102


def test_retransmissions_go_with_their_format() -> None:
    [found] = formats_for(media(Kind.VIDEO, VP8=""), Track(Kind.VIDEO, "VP8", 90_000))
    assert (found.payload_type, found.rtx) == (100, 101)


@pytest.mark.parametrize(
    ("sent", "offers", "expected"),
    [
        (MAIN_3_1, {"H265": ""}, 100),
        (MAIN_3_1, {"H265": "profile-id=1;tier-flag=0;level-id=180;tx-mode=SRST"}, 100),
        (MAIN_3_1, {"H265_1": "profile-id=2;level-id=180", "H265_2": "profile-id=1;level-id=180"}, 102),
        (MAIN_3_1, {"H265_1": "profile-id=2;level-id=180"}, 100),
        (
            MAIN_10,
            {"H265_1": "level-id=180", "H265_2": "profile-id=2;level-id=180"},
            102,
        ),
        (MAIN_10, {"H265": "profile-id=1;level-id=180"}, None),
        ("profile-id=1;tier-flag=1;level-id=93", {"H265": "level-id=180"}, None),
        ("profile-id=1;tier-flag=0;level-id=186", {"H265": "level-id=120"}, 100),
        ("profile-id=1;tier-flag=0;level-id=153", {"H265_1": "level-id=120", "H265_2": "level-id=156"}, 102),
        (MAIN_3_1, {"H265": "profile-id=x;level-id=180"}, None),
        ("", {"H265": "profile-id=2;level-id=1"}, 100),
    ],
    ids=[
        "defaults",
        "as Chrome offers it",
        "Main before Main 10",
        "Main 10 decodes Main",
        "Main 10",
        "Main does not decode Main 10",
        "High tier",
        "a level that is too low, where there is no other",
        "the level that is enough",
        "nonsense",
        "a stream of unknown profile",
    ],
)
def test_h265_needs_the_profile_and_tier_and_prefers_the_level(
    sent: str, offers: dict[str, str], expected: int | None
) -> None:
    assert chosen(Kind.VIDEO, h265(sent), **offers) == expected


@pytest.mark.parametrize(("codec", "name"), [("VP9", "profile-id"), ("AV1", "profile")])
def test_of_several_profiles_the_one_of_8_bits_is_taken(codec: str, name: str) -> None:
    track = Track(Kind.VIDEO, codec, 90_000)
    assert chosen(Kind.VIDEO, track, **{f"{codec}_1": f"{name}=2", f"{codec}_2": f"{name}=0"}) == 102
    assert chosen(Kind.VIDEO, track, **{f"{codec}_1": f"{name}=2"}) is None


@pytest.mark.parametrize("codec", ["VP9", "AV1"])
def test_another_profile_is_carried_by_a_decoder_of_just_that(codec: str) -> None:
    track, name = Track(Kind.VIDEO, codec, 90_000, profile="2"), {"VP9": "profile-id", "AV1": "profile"}[codec]
    assert chosen(Kind.VIDEO, track, **{f"{codec}_1": "", f"{codec}_2": f"{name}=2"}) == 102
    assert chosen(Kind.VIDEO, track, **{codec: ""}) is None


@pytest.mark.parametrize(
    ("rate", "channels", "chosen"),
    [(16_000, 1, 97), (16_000, 2, 98), (44_100, 1, 11), (44_100, 2, 10), (48_000, 1, None), (48_000, 6, None)],
)
def test_l16_is_carried_as_it_is_sampled(rate: int, channels: int, chosen: int | None) -> None:
    lines = ["m=audio 9 UDP/TLS/RTP/SAVPF 97 98 10 11", "a=mid:0", "a=rtpmap:97 L16/16000", "a=rtpmap:98 l16/16000/2"]
    lines += ["a=rtpmap:10 L16/44100/2", "a=rtpmap:11 L16/44100/1"]
    section = sdp.SessionDescription.parse(Browser().offer("\r\n".join(lines) + "\r\n")).media[0]
    found = formats_for(section, Track(Kind.AUDIO, "L16", rate, channels))
    assert [form.payload_type for form in found] == ([] if chosen is None else [chosen])
    assert {form.codec for form in found} == (set() if chosen is None else {f"L16/{rate}/{channels}"})


def test_what_travels_to_converters_alone_is_carried_by_nothing() -> None:
    assert chosen(Kind.AUDIO, Track(Kind.AUDIO, "G726-32", 8_000), **{"G726-32": ""}) is None
