import contextlib
from dataclasses import replace

import pytest
from aiortc import sdp
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RequestError
from common.media import Kind, Track
from egress.answer import TransportDescription, write_answer
from egress.media.feed import Source
from egress.negotiation import Negotiated, negotiate
from egress.offer import PLAYOUT_DELAY
from rigs.browser import H264_TYPES, Browser, audio_section, video_section
from tests.fakes.offers import BASELINE, CHANNEL, CONSTRAINED_BASELINE, HIGH, MAIN, OPUS, h264, transport_in

TRANSPORT = TransportDescription("ours", "our password", "sha-256 AB:CD", (("192.0.2.1", 8189), ("2001:db8::1", 8189)))
SOURCES = {Kind.VIDEO: Source(1, 2), Kind.AUDIO: Source(3, 4)}
BROWSER = Browser()


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


def test_the_format_of_a_rejected_section_is_named() -> None:
    """pion looks up each format of an answer, also where nothing comes: of sound it offers, a camera has none."""
    negotiated = negotiate(BROWSER.offer(video_section("a"), audio_section("b")), [h264(HIGH)])
    _, audio = write_answer(negotiated, TRANSPORT, SOURCES, "name").split("m=")[1:]
    assert audio.startswith("audio 0 UDP/TLS/RTP/SAVPF 111\r\n")
    assert "a=rtpmap:111 opus/48000/2\r\n" in audio


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


def test_passive_tcp_candidates_come_after_udp() -> None:
    transport = replace(TRANSPORT, tcp_candidates=(("192.0.2.1", 8189), ("2001:db8::1", 8189)))
    text = write_answer(negotiate(BROWSER.offer(), [h264(HIGH), OPUS]), transport, SOURCES, "name")
    for section in text.split("m=")[1:]:
        candidates = [line.split() for line in section.splitlines() if line.startswith("a=candidate")]
        assert [each[2] for each in candidates] == ["udp", "udp", "tcp", "tcp"]
        assert [" ".join(each[4:]) for each in candidates[2:]] == [
            "192.0.2.1 8189 typ host tcptype passive",
            "2001:db8::1 8189 typ host tcptype passive",
        ]
        priorities = [int(each[3]) for each in candidates]
        assert priorities == sorted(set(priorities), reverse=True)
        assert len({each[0] for each in candidates}) == 4, "foundations differ"
        assert section.index("tcptype") < section.index("a=end-of-candidates")
    parsed = sdp.SessionDescription.parse(text).media[0].ice_candidates
    assert [(each.protocol, each.tcpType) for each in parsed][1:3] == [("udp", None), ("tcp", "passive")]


def test_a_playout_delay_travels_beside_a_transport_wide_sequence_number() -> None:
    with_delay = BROWSER.offer().replace("a=extmap:3 ", f"a=extmap:6 {PLAYOUT_DELAY}\r\na=extmap:3 ")
    assert [s.playout_delay for s in negotiate(with_delay, []).sections] == [6, 0]
    assert negotiate(with_delay.replace("transport-cc\r\n", "x\r\n"), []).sections[0].playout_delay == 0
    assert negotiate(with_delay.replace("a=extmap:6", "a=extmap:15"), []).sections[0].playout_delay == 0
    text = write_answer(negotiate(with_delay, []), TRANSPORT, SOURCES, "name")
    assert f"a=extmap:6 {PLAYOUT_DELAY}\r\n" in text.split("m=")[1]
    assert "playout" not in write_answer(negotiate(BROWSER.offer(), []), TRANSPORT, SOURCES, "name")


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


def test_a_section_that_the_viewer_rejects_stays_rejected() -> None:
    offer = BROWSER.offer().replace("m=audio 9", "m=audio 0")
    negotiated = negotiate(offer, [h264(HIGH), OPUS])
    assert [m.port for m in answer(negotiated).media] == [9, 0]
    alone = BROWSER.offer(audio_section() + "a=bundle-only\r\n", bundle=False).replace("m=audio 9", "m=audio 0")
    with pytest.raises(RequestError, match="asks for no picture"):
        negotiate(alone, [OPUS])


def test_a_section_without_mid_is_answered_without() -> None:
    offer = BROWSER.offer(video_section(), bundle=False).replace("a=mid:0\r\n", "")
    assert "a=mid" not in write_answer(negotiate(offer, [h264(HIGH)]), TRANSPORT, SOURCES, "name")


def test_of_two_sections_without_names_the_one_that_can_be_is_served() -> None:
    first, second = video_section("0", direction="sendonly"), video_section("1", h264={"64001f": 104})
    offer = BROWSER.offer(first, second, bundle=False).replace("a=mid:0\r\n", "").replace("a=mid:1\r\n", "")
    media = answer(negotiate(offer, [h264(HIGH)])).media
    assert [each.port for each in media] == [0, 9]
    assert media[1].fmt[0] == 104


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
