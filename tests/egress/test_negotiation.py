import json
import re
from dataclasses import replace

import pytest

from common.control import CONVERTERS_FULL
from common.errors import RequestError
from common.media import Kind, Track
from egress.answer import TransportDescription, write_answer
from egress.formats import Format
from egress.media.feed import Source
from egress.negotiation import Section, _negotiate, negotiate, renditions_for
from rigs.browser import MODE_0_TYPE, Browser, audio_section, video_section
from tests.fakes.offers import CHANNEL, CONSTRAINED_BASELINE, HIGH, MAIN, OPUS, h264, transport_in

BROWSER = Browser()
OURS = TransportDescription("ufrag", "password", "sha-256 AB", (("127.0.0.1", 5_000),))


@pytest.mark.parametrize(
    ("profile", "offered", "chosen"),
    [
        (CONSTRAINED_BASELINE, ("42001f", "64001f"), "42001f"),
        (CONSTRAINED_BASELINE, ("64001f", "4d001f"), "4d001f"),
        (MAIN, ("42e01f", "64001f"), "64001f"),
        (HIGH, ("42e01f",), "42e01f"),  # no decoder announces less than it has more often than H.264's
        ("64001f", ("4d001f", "640c1f"), "640c1f"),
        ("64503c", ("4d001f", "64001f"), "64001f"),  # odd constraint flags, unknown level
    ],
)
def test_the_nearest_profile_is_taken(profile: str, offered: tuple[str, ...], chosen: str) -> None:
    types = {name: 100 + 2 * n for n, name in enumerate(offered)}
    negotiated = negotiate(BROWSER.offer(video_section(h264=types)), [h264(profile)])
    assert [f.payload_type for f in negotiated.sections[0].formats] == [types[chosen]]


def test_a_profile_that_no_offered_decoder_has_is_refused_with_reason() -> None:
    with pytest.raises(RequestError) as caught:
        negotiate(BROWSER.offer(video_section()), [h264("7a0028")])  # High 4:2:2
    assert (caught.value.status, caught.value.code) == (406, "no_usable_codec")
    assert "7a0028" in str(caught.value)
    assert "VP8" in str(caught.value)


TRACKS = [h264(CONSTRAINED_BASELINE), Track(Kind.AUDIO, "opus", 48_000, 2)]


def in_order(offer: str, *kinds: str) -> str:
    """The offer with its sections in that order."""
    head, *sections = re.split(r"(?=^m=)", offer, flags=re.MULTILINE)
    return head + "".join(next(each for each in sections if each.startswith(f"m={kind}")) for kind in kinds)


@pytest.mark.parametrize("kinds", [("video", "audio"), ("audio", "video")])
@pytest.mark.parametrize("leave_out", ["a=group:BUNDLE.*\r\n", "a=(?:group:BUNDLE|mid).*\r\n"])
def test_without_bundle_the_picture_is_served_wherever_it_stands(kinds: tuple[str, ...], leave_out: str) -> None:
    offer = in_order(BROWSER.offer(video_section(), audio_section()), *kinds)
    negotiated = negotiate(re.sub(leave_out, "", offer), TRACKS)
    assert [section.kind for section in negotiated.sections] == [Kind.VIDEO]
    answer = write_answer(negotiated, OURS, {Kind.VIDEO: Source(1, 2)}, "camera")
    assert [line.split(" ")[:2] for line in answer.splitlines() if line.startswith("m=")] == [
        [f"m={kind}", "9" if kind == "video" else "0"] for kind in kinds
    ]


@pytest.mark.parametrize("group", ["", " x y"])
def test_a_bundle_of_what_is_not_there_is_none(group: str) -> None:
    offer = re.sub(r"BUNDLE.*", f"BUNDLE{group}", BROWSER.offer(video_section(), audio_section()))
    assert [section.kind for section in negotiate(offer, TRACKS).sections] == [Kind.VIDEO]


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
def test_an_offer_that_asks_for_nothing_is_told_so(direction: str) -> None:
    offer = BROWSER.offer(video_section(), audio_section()).replace("recvonly", direction)
    with pytest.raises(RequestError, match="asks for no picture or sound") as caught:
        negotiate(offer, TRACKS)
    assert (caught.value.status, caught.value.code) == (406, "nothing_wanted")


def test_packetization_mode_1_is_taken_where_there_is_one() -> None:
    negotiated = negotiate(BROWSER.offer(), [h264(CONSTRAINED_BASELINE)])
    assert MODE_0_TYPE not in [f.payload_type for f in negotiated.sections[0].formats]


def test_without_packetization_mode_1_any_other_will_do() -> None:
    negotiated = negotiate(BROWSER.offer(video_section(h264={})), [h264(HIGH)])
    assert [f.payload_type for f in negotiated.sections[0].formats] == [MODE_0_TYPE]


def test_formats_without_any_parameter_are_taken() -> None:
    bare = re.sub("a=fmtp:.*\r\n", "", BROWSER.offer(video_section(h264={}))).replace("H264/", "h264/")
    for tracks in ([h264(HIGH), OPUS], []):
        formats = negotiate(bare, tracks).sections[0].formats
        assert [f.payload_type for f in formats if f.codec == "H264"] == [MODE_0_TYPE]


def test_a_browser_without_h264_is_told_what_it_lacks() -> None:
    offer = BROWSER.offer().replace("H264/90000", "VP9/90000")
    for tracks in ([h264(HIGH)], [h264(HIGH), Track(Kind.AUDIO, "PCMU", 8_000, problem="no")]):
        with pytest.raises(RequestError, match=r"The browser lacks H\.264: .*OpenH264") as caught:
            negotiate(offer, tracks)
        assert caught.value.status == 406
    with pytest.raises(RequestError) as caught:
        negotiate(BROWSER.offer(video_section()), [OPUS])
    assert "missing" not in str(caught.value)


def test_a_refusal_lists_a_few_codecs_however_many_are_offered() -> None:
    names = "".join(f"a=rtpmap:{n} {'x' * 500}{n}/90000\r\n" for n in range(35, 64))
    with pytest.raises(RequestError) as caught:
        negotiate(BROWSER.offer(video_section(h264={}) + names), [OPUS])
    assert len(str(caught.value)) < 600


def test_unplayable_tracks_are_named() -> None:
    tracks = [Track(Kind.VIDEO, "H265", 90_000, problem="H.265 cannot be played yet.")]
    with pytest.raises(RequestError, match=r"H265 \(H\.265 cannot be played yet\)"):
        negotiate(BROWSER.offer(), tracks)


def sections(*tracks: Track, convertible: tuple[Kind, ...] = tuple(Kind)) -> list[tuple[list[str], bool, bool]]:
    """Each section's codecs, whether it is converted, and whether it may be yet."""
    negotiated = negotiate(BROWSER.offer(), tracks, convertible)
    return [(codecs(section), section.converted, section.convertible) for section in negotiated.sections]


def codecs(section: Section) -> list[str]:
    return list(dict.fromkeys(form.codec for form in section.formats))


def test_what_the_viewer_does_not_take_is_converted() -> None:
    tracks = Track(Kind.VIDEO, "JPEG", 90_000, convert="no"), Track(Kind.AUDIO, "AAC", 16_000, convert="no")
    assert sections(*tracks) == [(["H264"], True, True), (["opus"], True, True)]


L16 = Track(Kind.AUDIO, "L16", 16_000, convert="browsers do not play uncompressed sound (L16)")


@pytest.mark.parametrize(
    ("offered", "track", "codec", "is_converted"),
    [
        (("opus", "L16"), L16, "L16/16000/1", False),
        (("opus", "PCMU"), L16, "opus", True),
        (("opus", "L16"), replace(L16, clock_rate=96_000), "opus", True),
        (("opus", "L16"), replace(L16, channels=2), "opus", True),
    ],
)
def test_who_takes_uncompressed_sound_gets_it_as_it_comes(
    offered: tuple[str, ...], track: Track, codec: str, is_converted: bool
) -> None:
    [section] = negotiate(BROWSER.offer(audio_section(codecs=offered)), [track], tuple(Kind)).sections
    assert (codecs(section)[0], section.converted) == (codec, is_converted)
    before = negotiate(BROWSER.offer(audio_section(codecs=offered)), [], tuple(Kind)).sections
    renditions = renditions_for(before, "door", [track], tuple(Kind))
    assert renditions == {Kind.AUDIO: "door/opus" if is_converted else "door"}, "nor if it came before the camera"


def test_a_picture_that_nobody_converts_is_named_with_what_to_set() -> None:
    camera = Track(Kind.VIDEO, "H265", 90_000, profile="profile-id=1;tier-flag=0;level-id=150")
    with pytest.raises(RequestError) as caught:
        negotiate(BROWSER.offer(video_section().replace("H265", "XYZ")), [camera], (), "no transcode worker is running")
    assert "The camera sends H265; " in caught.value.message
    assert caught.value.message.endswith("worker is running. Set the camera to H.264, which all browsers play.")


@pytest.mark.parametrize(
    ("offered", "track", "made"),
    [
        (("PCMU", "PCMA"), OPUS, "PCMU"),
        (("PCMA",), OPUS, "PCMA"),
        (("PCMU",), Track(Kind.AUDIO, "PCMA", 8_000), "PCMU"),
        (("PCMU",), Track(Kind.AUDIO, "AAC", 16_000, convert="no"), "PCMU"),
        (("PCMU", "PCMA"), Track(Kind.AUDIO, "PCMA", 8_000), ""),
        (("opus", "PCMU"), Track(Kind.AUDIO, "G722", 8_000), "opus"),
    ],
)
def test_who_takes_no_opus_gets_g711(offered: tuple[str, ...], track: Track, made: str) -> None:
    offer = BROWSER.offer(audio_section(codecs=offered))
    [section] = negotiate(offer, [track], tuple(Kind)).sections
    assert (codecs(section)[0], section.converted) == (made or track.codec, bool(made))
    expected = {Kind.AUDIO: f"door/{made.lower()}" if made else "door"}
    for sections in ([section], negotiate(offer, [], tuple(Kind)).sections):
        assert renditions_for(sections, "door", [track], tuple(Kind)) == expected
    if made:
        with pytest.raises(RequestError, match=r"camera sends .*; the offer accepts"):
            negotiate(offer, [track])


def test_a_profile_that_comes_later_and_that_no_decoder_fits_is_not_sent() -> None:
    section = Section("0", Kind.VIDEO, (Format(96, "VP9", "0"), Format(98, "H264", "42e01f")))
    assert section.choose("VP9", "0") == section.choose("VP9") == Format(96, "VP9", "0")
    assert section.choose("VP9", "3") is None
    assert section.choose("AV1") is None


def test_a_viewer_may_be_sent_what_a_converter_makes_later_on() -> None:
    tracks = Track(Kind.VIDEO, "VP8", 90_000), Track(Kind.AUDIO, "PCMU", 8_000)
    assert sections(*tracks) == [(["VP8", "H264"], False, True), (["PCMU", "opus"], False, True)]
    assert sections(*tracks, convertible=()) == [(["VP8"], False, False), (["PCMU"], False, False)]
    video, sound = sections()
    assert (video[1:], sound[1:]) == ((False, True), (False, True)), "nothing is known of the camera"


def test_a_viewer_accepts_what_the_other_stream_sends_too() -> None:
    vp8 = Track(Kind.VIDEO, "VP8", 90_000)
    negotiated = negotiate(BROWSER.offer(), [vp8], others=[h264(HIGH), OPUS])
    assert codecs(negotiated.sections[0]) == ["VP8", "H264"]
    assert renditions_for(negotiated.sections, "door/sub", [h264(HIGH)], ()) == {Kind.VIDEO: "door/sub"}
    unknown = negotiate(BROWSER.offer(), [vp8], others=[])
    assert set(codecs(unknown.sections[0])) >= {"VP8", "H264"}


@pytest.mark.parametrize(
    ("tracks", "convertible", "expected"),
    [
        ((), tuple(Kind), ["door/sub", "door/sub"]),
        ((h264(HIGH), OPUS), (), ["door/sub", "door/sub"]),
        ((Track(Kind.VIDEO, "H265", 90_000), OPUS), tuple(Kind), ["door/sub/h264", "door/sub"]),
        ((Track(Kind.VIDEO, "H265", 90_000), OPUS), (), [None, "door/sub"]),
        ((replace(h264(HIGH), convert="B-frames"), OPUS), tuple(Kind), ["door/sub/h264", "door/sub"]),
        ((replace(h264(HIGH), convert="B-frames"), OPUS), (), ["door/sub", "door/sub"]),
        ((h264(HIGH),), tuple(Kind), ["door/sub", None]),
    ],
)
def test_a_session_that_is_moved_gets_what_it_takes_of_the_other_stream(
    tracks: tuple[Track, ...], convertible: tuple[Kind, ...], expected: list[str | None]
) -> None:
    sections = negotiate(BROWSER.offer(), [h264(HIGH), OPUS]).sections
    renditions = renditions_for(sections, "door/sub", tracks, convertible)
    assert [renditions.get(kind) for kind in Kind] == expected


def test_transport_wide_feedback_needs_the_extension_and_the_feedback() -> None:
    without = BROWSER.offer().replace("a=extmap:3", "a=extmap:15")
    assert [s.transport_cc for s in negotiate(BROWSER.offer(), []).sections] == [3, 0]
    assert negotiate(without, []).sections[0].transport_cc == 0
    assert negotiate(BROWSER.offer().replace("transport-cc\r\n", "x\r\n"), []).sections[0].transport_cc == 0


def test_offers_of_one_browser_are_parsed_once_and_keep_their_own_fingerprints() -> None:
    _negotiate.cache_clear()
    browsers = [Browser() for _ in range(3)]
    offers = [
        browser.offer().replace("a=mid:1", f"a=candidate:{n} 1 udp 1 192.0.2.{n} 9 typ host\r\na=mid:1")
        for n, browser in enumerate(browsers)
    ]
    assert len(set(offers)) == 3
    for browser, offer in zip(browsers, offers, strict=True):
        assert negotiate(offer, [OPUS]).fingerprints == (browser.certificate.fingerprint(),)
    assert (_negotiate.cache_info().misses, _negotiate.cache_info().hits) == (1, 2)
    negotiate(offers[0], [h264(HIGH)])
    assert _negotiate.cache_info().misses == 2, "another camera, another answer"


def test_what_we_have_no_use_for_may_say_anything() -> None:
    _negotiate.cache_clear()
    for port, line in ((9, "a=candidate:what"), (5000, "a=ssrc:x"), (6000, "a=rtcp:7000 IN IP4 192.0.2.1")):
        offer = BROWSER.offer().replace("m=video 9 ", f"m=video {port} ").replace("a=mid:0", f"{line}\r\na=mid:0")
        assert len(negotiate(offer.replace("IP4 0.0.0.0", "IP4 192.0.2.1"), []).sections) == 2
    assert _negotiate.cache_info().misses == 1
    assert len(negotiate(BROWSER.offer().replace("m=video 9 ", "m=video 0 "), []).sections) == 1


def test_of_several_fingerprints_each_stays_in_its_place() -> None:
    aa, bb, cc = (":".join([pair] * size) for pair, size in (("AA", 32), ("BB", 64), ("CC", 32)))
    video, audio = f"a=fingerprint:sha-256 {aa}\r\na=fingerprint:sha-512 {bb}", f"a=fingerprint:sha-256 {cc}"
    bare = re.sub("a=fingerprint:.*\r\n", "", BROWSER.offer())
    for first, second, expected in (
        (video, audio, [("sha-256", aa), ("sha-512", bb)]),
        (audio, video, [("sha-256", cc)]),
    ):
        offer = bare.replace("a=mid:0", f"{first}\r\na=mid:0").replace("a=mid:1", f"{second}\r\na=mid:1")
        assert [(f.algorithm, f.value) for f in negotiate(offer, []).fingerprints] == expected


@pytest.mark.parametrize(
    ("offer", "problem"),
    [
        ("", "no media section"),
        ("v=0\r\n", "no media section"),
        ("garbage", "no media section"),
        ("v=0\r\nm=video\r\n", "without a payload type"),
        ("v=0\r\nm=application 9\r\n", "cannot be parsed"),
        (json.dumps({"type": "offer", "sdp": BROWSER.offer()}), "send the text of localDescription.sdp as it is"),
        (json.dumps(BROWSER.offer()), "send the text of localDescription.sdp as it is"),
        (repr(BROWSER.offer())[1:-1], "send the text of localDescription.sdp as it is"),
        (BROWSER.offer().replace("a=fingerprint:sha-256", "a=fingerprint:sha-1"), "by sha-256, sha-384 or sha-512"),
        (BROWSER.offer().replace("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 AB"), "hexadecimal digits"),
        (BROWSER.offer(setup="passive"), "a=setup:passive"),
        (BROWSER.offer(fingerprint=False), "fingerprint"),
        (BROWSER.offer().replace("a=ice-pwd", "a=ice-pvd"), "ice-ufrag"),
        (BROWSER.offer().replace("a=ice-ufrag", "a=ice-lite\r\na=ice-ufrag"), "ICE-lite"),
        (BROWSER.offer().replace("a=rtcp-mux\r\n", ""), "rtcp-mux"),
        (BROWSER.offer().replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "RTP/AVP"),
        (BROWSER.offer(video_section("0"), audio_section("0")), "distinct a=mid"),
        (BROWSER.offer(*[video_section(str(n)) for n in range(20)]), "more than 16"),
        (BROWSER.offer(video_section(), "m=audio 9 UDP/TLS/RTP/SAVPF  \r\na=mid:1\r\n"), "without a payload type"),
        (BROWSER.offer(video_section(), "m=audio 9 UDP/TLS/RTP/SAVPF 128 72 x\r\n"), "without a payload type"),
    ],
)
def test_a_bad_offer_says_what_is_wrong(offer: str, problem: str) -> None:
    with pytest.raises(RequestError, match=problem) as caught:
        negotiate(offer, [])
    assert caught.value.status == 400


def test_the_transport_is_that_of_the_first_section_that_is_not_rejected() -> None:
    value = ":".join(["11"] * 32)
    own = f"a=fingerprint:sha-256 {value}\r\n"
    offer = BROWSER.offer(CHANNEL.replace("a=mid:2", "a=mid:0"), audio_section("1") + own)
    assert [f.value for f in negotiate(offer, [OPUS]).fingerprints][-1] == value
    offer = BROWSER.offer(video_section("0"), audio_section("1") + own)
    assert [f.value for f in negotiate(offer, [OPUS]).fingerprints][-1] != value
    assert negotiate(transport_in(1, BROWSER.offer()), [h264(HIGH), OPUS]).fingerprints == (
        BROWSER.certificate.fingerprint(),
    ), "where the first says none"


def test_sound_alone_that_has_to_be_converted_is_refused_for_now_while_converters_are_full() -> None:
    with pytest.raises(RequestError) as caught:
        negotiate(BROWSER.offer(), [Track(Kind.AUDIO, "AAC", 16_000, convert="no")], (), CONVERTERS_FULL)
    assert (caught.value.status, caught.value.code) == (503, "converters_full")
