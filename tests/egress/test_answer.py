import contextlib
import re

import pytest
from aiortc import sdp
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RequestError
from common.media import Kind, Track
from egress.answer import PLAYOUT_DELAY, Negotiated, Source, Transport, _negotiate, negotiate, write_answer
from rigs.browser import H264_TYPES, MODE_0_TYPE, Browser, audio_section, video_section

CONSTRAINED_BASELINE, MAIN, HIGH, BASELINE = "42e01f", "4d0029", "640028", "420029"
OPUS = Track(Kind.AUDIO, "opus", 48_000, 2)
TRANSPORT = Transport("ours", "our password", "sha-256 AB:CD", (("192.0.2.1", 8189), ("2001:db8::1", 8189)))
SOURCES = {Kind.VIDEO: Source(1, 2), Kind.AUDIO: Source(3, 4)}
BROWSER = Browser()
CHANNEL = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctp-port:5000\r\n"


def h264(profile: str) -> Track:
    return Track(Kind.VIDEO, "H264", 90_000, profile=profile)


def answer(negotiated: Negotiated) -> sdp.SessionDescription:
    text = write_answer(negotiated, TRANSPORT, SOURCES, "name")
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    return sdp.SessionDescription.parse(text)


@pytest.mark.parametrize(
    ("profile", "chosen"),
    [(CONSTRAINED_BASELINE, "42e01f"), (BASELINE, "42001f"), (MAIN, "4d001f"), (HIGH, "64001f")],
)
def test_the_answer_has_what_the_stream_really_is(profile: str, chosen: str) -> None:
    negotiated = negotiate(BROWSER.offer(), [h264(profile), OPUS])
    video, audio = answer(negotiated).media
    assert video.fmt == [H264_TYPES[chosen], H264_TYPES[chosen] + 1]
    assert video.rtp.codecs[0].parameters["profile-level-id"] == chosen
    assert video.rtp.codecs[0].parameters["packetization-mode"] == "1"
    assert video.rtp.codecs[1].parameters == {"apt": H264_TYPES[chosen]}
    assert audio.fmt == [111]
    assert audio.rtp.codecs[0].parameters == {"minptime": 10, "useinbandfec": 1}


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
        with pytest.raises(RequestError, match=r"H\.264 is missing in the browser: .*OpenH264") as caught:
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


def test_a_section_we_cannot_serve_is_rejected_and_the_others_are_not() -> None:
    offer = BROWSER.offer(video_section("a"), audio_section("b", codecs=("PCMU",)))
    negotiated = negotiate(offer, [h264(HIGH), OPUS])
    text = write_answer(negotiated, TRANSPORT, SOURCES, "name")
    assert "a=group:BUNDLE a\r\n" in text
    video, audio = text.split("m=")[1:]
    assert "a=sendonly" in video
    assert audio.startswith("audio 0 UDP/TLS/RTP/SAVPF 0\r\n")
    assert "a=inactive" in audio
    assert "a=mid:b" in audio
    assert "a=fingerprint:" in audio, "GStreamer's webrtcbin looks for one in every section"
    assert "a=ssrc" not in audio


def test_data_channels_second_videos_and_sections_that_send_are_rejected() -> None:
    offer = BROWSER.offer(video_section("0", direction="sendonly"), video_section("1"), CHANNEL, video_section("3"))
    negotiated = negotiate(offer, [h264(HIGH), OPUS])
    assert [s.mid for s in negotiated.sections] == ["1"]
    assert [m.port for m in answer(negotiated).media] == [9, 9, 0, 0], "of a bundle the first is not rejected"
    assert answer(negotiated).media[0].direction == "inactive"


def test_while_the_camera_is_unknown_everything_stays_open() -> None:
    negotiated = negotiate(BROWSER.offer(), [])
    video, audio = negotiated.sections
    assert [f.payload_type for f in video.formats if f.codec == "H264"] == list(H264_TYPES.values())
    assert [f.codec for f in video.formats if f.codec != "H264"] == ["H265", "VP8", "AV1"]
    assert [f.payload_type for f in audio.formats] == [111, 0, 8]
    chosen = video.choose("H264", HIGH)
    assert chosen is not None
    assert chosen.payload_type == H264_TYPES["64001f"]
    assert audio.choose("PCMA") is audio.formats[2]
    assert audio.choose("G722") is None
    assert len(answer(negotiated).media[1].rtp.codecs) == 3


def test_the_answers_transport() -> None:
    text = write_answer(negotiate(BROWSER.offer(), [h264(HIGH), OPUS]), TRANSPORT, SOURCES, "name")
    assert text.count("a=ice-lite") == 1
    assert text.index("a=ice-lite") < text.index("m=")
    for section in text.split("m=")[1:]:
        assert "a=setup:passive" in section
        assert "a=ice-ufrag:ours" in section
        assert "a=fingerprint:sha-256 AB:CD" in section
        first, second = [line for line in section.splitlines() if line.startswith("a=candidate")]
        assert first.endswith("192.0.2.1 8189 typ host")
        assert second.endswith("2001:db8::1 8189 typ host")
        assert int(first.split()[3]) > int(second.split()[3])
        assert "a=end-of-candidates" in section
    # The media's SSRC comes first: Chromium takes the first line for it.
    video = text.split("m=")[1]
    assert video.index("a=ssrc:1 ") < video.index("a=ssrc:2 ")
    assert "a=ssrc-group:FID 1 2" in video
    assert video.count("a=extmap:3 ") == video.count("transport-cc\r\n") == 1
    assert "extmap" not in text.split("m=")[2]


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
    video, audio = "a=fingerprint:sha-256 AA\r\na=fingerprint:sha-512 BB", "a=fingerprint:sha-256 CC"
    bare = re.sub("a=fingerprint:.*\r\n", "", BROWSER.offer())
    for first, second, expected in (
        (video, audio, [("sha-256", "AA"), ("sha-512", "BB")]),
        (audio, video, [("sha-256", "CC")]),
    ):
        offer = bare.replace("a=mid:0", f"{first}\r\na=mid:0").replace("a=mid:1", f"{second}\r\na=mid:1")
        assert [(f.algorithm, f.value) for f in negotiate(offer, []).fingerprints] == expected


def test_a_playout_delay_travels_beside_a_transport_wide_sequence_number() -> None:
    with_delay = BROWSER.offer().replace("a=extmap:3 ", f"a=extmap:6 {PLAYOUT_DELAY}\r\na=extmap:3 ")
    assert [s.playout_delay for s in negotiate(with_delay, []).sections] == [6, 0]
    assert negotiate(with_delay.replace("transport-cc\r\n", "x\r\n"), []).sections[0].playout_delay == 0
    assert negotiate(with_delay.replace("a=extmap:6", "a=extmap:15"), []).sections[0].playout_delay == 0
    text = write_answer(negotiate(with_delay, []), TRANSPORT, SOURCES, "name")
    assert f"a=extmap:6 {PLAYOUT_DELAY}\r\n" in text.split("m=")[1]
    assert "playout" not in write_answer(negotiate(BROWSER.offer(), []), TRANSPORT, SOURCES, "name")


@pytest.mark.parametrize(
    ("offer", "problem"),
    [
        ("", "no media section"),
        ("v=0\r\n", "no media section"),
        ("garbage", "no media section"),
        ("v=0\r\nm=video\r\n", "cannot be parsed"),
        ("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=fmtp:97 x=y\r\n", "cannot be parsed"),
        (BROWSER.offer(setup="passive"), "a=setup:passive"),
        (BROWSER.offer(fingerprint=False), "fingerprint"),
        (BROWSER.offer().replace("a=ice-pwd", "a=ice-pvd"), "ice-ufrag"),
        (BROWSER.offer().replace("a=ice-ufrag", "a=ice-lite\r\na=ice-ufrag"), "ICE-lite"),
        (BROWSER.offer().replace("a=rtcp-mux\r\n", ""), "rtcp-mux"),
        (BROWSER.offer().replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "RTP/AVP"),
        (BROWSER.offer(video_section("0"), audio_section("0")), "distinct a=mid"),
        (BROWSER.offer(*[video_section(str(n)) for n in range(20)]), "more than 16"),
        (BROWSER.offer(video_section(), "m=audio 9 UDP/TLS/RTP/SAVPF  \r\na=mid:1\r\n"), "without a format"),
    ],
)
def test_a_bad_offer_says_what_is_wrong(offer: str, problem: str) -> None:
    with pytest.raises(RequestError, match=problem) as caught:
        negotiate(offer, [])
    assert caught.value.status == 400


def transport_in(number: int, offer: str) -> str:
    """The offer with its transport described in one section alone, and the sections after it bundle-only.

    As RFC 8829 5.2.1 has it: such a section has no attribute of the categories IDENTICAL and TRANSPORT.
    """
    session, *sections = offer.split("m=")
    attributes = [line for line in session.splitlines() if line.startswith(("a=ice-", "a=setup", "a=fingerprint"))]
    session = "".join(f"{line}\r\n" for line in session.splitlines() if line not in attributes)
    for at, section in enumerate(sections):
        if at == number:
            sections[at] = section + "".join(f"{line}\r\n" for line in attributes)
        elif at > number:
            section = section.replace(" 9 ", " 0 ", 1).replace("a=rtcp-mux\r\n", "")
            sections[at] = section + "a=bundle-only\r\n"
    return "m=".join([session, *sections])


def test_bundle_only_sections_share_the_transport_of_the_tagged_one() -> None:
    negotiated = negotiate(transport_in(0, BROWSER.offer()), [h264(HIGH), OPUS])
    assert [s.mid for s in negotiated.sections] == ["0", "1"]
    assert negotiated.fingerprints == negotiate(BROWSER.offer(), []).fingerprints
    assert [m.port for m in answer(negotiated).media] == [9, 9]


@pytest.mark.parametrize(
    ("first", "port"), [(video_section("0"), 9), (CHANNEL.replace("a=mid:2", "a=mid:0"), 0)], ids=["video", "channel"]
)
def test_a_bundle_only_section_is_served_where_the_tagged_one_is_not(first: str, port: int) -> None:
    negotiated = negotiate(transport_in(0, BROWSER.offer(first, audio_section("1"))), [OPUS])
    assert [s.mid for s in negotiated.sections] == ["1"]
    assert [m.port for m in answer(negotiated).media] == [port, 9]


def test_a_bundle_whose_first_section_is_not_served_keeps_its_transport_there() -> None:
    negotiated = negotiate(BROWSER.offer(), [Track(Kind.VIDEO, "H265", 90_000, problem="no"), OPUS])
    text = write_answer(negotiated, TRANSPORT, SOURCES, "name")
    assert "a=group:BUNDLE 0 1\r\n" in text
    _, video, audio = text.split("m=")
    assert video.startswith("video 9 ")
    for line in ("a=inactive", "a=mid:0", "a=rtcp-mux", "a=ice-ufrag:ours", "a=setup:passive", "a=end-of-candidates"):
        assert f"{line}\r\n" in video
    assert "a=sendonly" in audio


def test_the_transport_is_that_of_the_first_section_that_is_not_rejected() -> None:
    own = "a=fingerprint:sha-256 11:22\r\n"
    offer = BROWSER.offer(CHANNEL.replace("a=mid:2", "a=mid:0"), audio_section("1") + own)
    assert [f.value for f in negotiate(offer, [OPUS]).fingerprints][-1] == "11:22"
    offer = BROWSER.offer(video_section("0"), audio_section("1") + own)
    assert [f.value for f in negotiate(offer, [OPUS]).fingerprints][-1] != "11:22"
    with pytest.raises(RequestError, match="video section has no a=fingerprint"):
        negotiate(transport_in(1, BROWSER.offer()), [h264(HIGH), OPUS])


def test_a_section_that_the_viewer_rejects_stays_rejected() -> None:
    offer = BROWSER.offer().replace("m=audio 9", "m=audio 0")
    negotiated = negotiate(offer, [h264(HIGH), OPUS])
    assert [m.port for m in answer(negotiated).media] == [9, 0]
    alone = BROWSER.offer(audio_section() + "a=bundle-only\r\n", bundle=False).replace("m=audio 9", "m=audio 0")
    with pytest.raises(RequestError, match="cannot play"):
        negotiate(alone, [OPUS])


def test_a_section_without_mid_is_answered_without() -> None:
    offer = BROWSER.offer(video_section(), bundle=False).replace("a=mid:0\r\n", "")
    assert "a=mid" not in write_answer(negotiate(offer, [h264(HIGH)]), TRANSPORT, SOURCES, "name")


def test_without_bundle_one_section_is_served() -> None:
    negotiated = negotiate(BROWSER.offer(bundle=False), [])
    assert [s.kind for s in negotiated.sections] == [Kind.VIDEO]
    assert "a=group" not in write_answer(negotiated, TRANSPORT, SOURCES, "name")


@given(st.data())
def test_mutilated_offers_are_answered_or_refused(data: st.DataObject) -> None:
    lines = BROWSER.offer().splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = data.draw(st.sampled_from([lines[at][:-3], lines[at] * 2, "", "a=x", lines[-at], "m=video 1 A 96"]))
    with contextlib.suppress(RequestError):
        write_answer(negotiate("\r\n".join(lines), [h264(HIGH), OPUS]), TRANSPORT, SOURCES, "name")
