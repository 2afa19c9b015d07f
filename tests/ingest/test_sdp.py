"""Session descriptions as cameras write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sdp import MAX_ALL_FORMATS, MAX_FORMATS, MAX_MEDIA, Format, SessionDescription, parse

USUAL = b"""v=0\r
o=- 1700000000 1 IN IP4 10.0.0.2\r
s=Media Presentation\r
c=IN IP4 0.0.0.0\r
t=0 0\r
a=control:rtsp://10.0.0.2/live/\r
m=video 0 RTP/AVP 96\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 packetization-mode=1; profile-level-id=64001F; sprop-parameter-sets=Z2QAH6zZ,aOvjyyLA\r
a=control:trackID=1\r
m=audio 0 RTP/AVP 0\r
a=control:trackID=2\r
m=application 0 RTP/AVP 107\r
a=rtpmap:107 vnd.onvif.metadata/90000\r
a=control:trackID=3\r
"""


def only_format(text: bytes) -> Format:
    [section] = parse(text).media
    [found] = section.formats
    return found


def test_usual() -> None:
    session = parse(USUAL)
    video, audio, metadata = session.media
    assert session.control == "rtsp://10.0.0.2/live/"
    assert (video.kind, video.protocol, video.control, video.back_channel) == ("video", "RTP/AVP", "trackID=1", False)
    parameters = {
        "packetization-mode": "1",
        "profile-level-id": "64001F",
        "sprop-parameter-sets": "Z2QAH6zZ,aOvjyyLA",
    }
    assert video.formats == (Format(96, "H264", 90_000, 1, parameters),)
    assert audio.formats == (Format(0, "PCMU", 8_000, 1),)
    assert metadata.formats[0].codec == "vnd.onvif.metadata"


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace(b"\r\n", b"\n"),
        lambda t: t.replace(b"\r\n", b"\r\n\r\n"),
        lambda t: t.replace(b"v=0\r\n", b"").replace(b"t=0 0\r\n", b"").replace(b"s=Media Presentation\r\n", b""),
        lambda t: t.replace(b"s=Media", b"s=one\r\ns=two\r\ns=Media"),
        lambda t: t.replace(b"1700000000", b"0xDEADBEEF").replace(b"IN IP4", b"IN IPV4"),
        lambda t: t.replace(b"t=0 0", b"t=now-"),
        lambda t: t.replace(b"Media", b"Cam\xe9ra \xff"),
        lambda t: t.replace(b"a=control", b"a=x-unknown:1\r\nnonsense\r\n=\r\na=\r\na=control"),
        lambda t: (
            t.replace(b"a=rtpmap:", b"a=rtpmap: ").replace(b"m=video", b"M = video").replace(b"a=fmtp", b" a=fmtp")
        ),
        lambda t: t + b"\0\0",
    ],
)
def test_what_cameras_get_wrong(change: object) -> None:
    assert callable(change)
    assert parse(change(USUAL)) == parse(USUAL)


@pytest.mark.parametrize("text", [b"", b"\0", b"v=0", b"<html></html>", b"m=", b"m=video", b"m=video 0", b"\xff\xfe"])
def test_no_media(text: bytes) -> None:
    assert parse(text) == SessionDescription()


def test_fmtp_in_another_section() -> None:
    text = b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 0\na=fmtp:96 packetization-mode=1\n"
    assert parse(text).media[0].formats[0].parameters == {"packetization-mode": "1"}
    assert parse(text).media[1].formats[0].parameters == {}


def test_fmtp_of_a_number_that_nobody_has_is_of_the_only_format() -> None:
    text = b"m=audio 0 RTP/AVP 104\na=rtpmap:104 MPEG4-GENERIC/16000\na=fmtp:97 config=1408\n"
    assert parse(text).media[0].formats[0].parameters == {"config": "1408"}


def test_fmtp_of_the_own_section_wins() -> None:
    text = (
        b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 x=1\n"
        b"m=audio 0 RTP/AVP 96\na=rtpmap:96 opus/48000/2\na=fmtp:96 x=2\n"
    )
    assert [section.formats[0].parameters["x"] for section in parse(text).media] == ["1", "2"]


def test_payload_type_below_96() -> None:
    assert only_format(b"m=video 0 RTP/AVP 35\na=rtpmap:35 H264/90000\n") == Format(35, "H264", 90_000)
    assert only_format(b"m=video 0 RTP/AVP 26\na=rtpmap:26 H264/90000\n") == Format(26, "H264", 90_000)


def test_clock_of_a_static_type_is_known() -> None:
    assert only_format(b"m=audio 0 RTP/AVP 8\na=rtpmap:8 PCMA\n") == Format(8, "PCMA", 8_000)


def test_smart_payload_type() -> None:
    text = b"m=video 0 RTP/AVP smart/1/90000\na=rtpmap:96 H264/90000\na=fmtp:96 x=1\n"
    assert only_format(text) == Format(96, "H264", 90_000, 1, {"x": "1"})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"a=rtpmap:97 opus/48000/2", Format(97, "opus", 48_000, 2)),
        (b"a=rtpmap:97 PCMA", Format(97, "PCMA", 0)),
        (b"a=rtpmap:97 L16/16000/0", Format(97, "L16", 16_000)),
        (b"a=rtpmap:97   OPUS / 48000 / 2 ", Format(97, "OPUS", 48_000, 2)),
        (b"a=rtpmap:x", Format(97, "", 0)),
        (b"", Format(97, "", 0)),
    ],
)
def test_rtpmap(line: bytes, expected: Format) -> None:
    assert only_format(b"m=audio 0 RTP/AVP 97\n" + line) == expected


def test_fmtp_spellings() -> None:
    text = b"m=video 0 RTP/AVP 96\na=fmtp:96 Packetization-Mode = 1;;sprop-parameter-sets=Z0I=,aM4=;flag\na=fmtp:97 y=1"
    assert only_format(text).parameters == {
        "packetization-mode": "1",
        "sprop-parameter-sets": "Z0I=,aM4=",
        "flag": "",
    }


def test_back_channel() -> None:
    text = b"m=audio 0 RTP/AVP 0\na=recvonly\nm=audio 0 RTP/AVP 0\na=sendonly\n"
    assert [section.back_channel for section in parse(text).media] == [False, True]


def test_all_back_channels_means_none() -> None:
    text = b"m=video 0 RTP/AVP 96\na=sendonly\na=control:1\nm=audio 0 RTP/AVP 0\na=sendonly\n"
    assert [section.back_channel for section in parse(text).media] == [False, False]
    assert parse(text).media[0].control == "1"


@pytest.mark.parametrize(
    ("session", "video", "audio", "back"),
    [
        ("", "sendonly", ["recvonly"], [False]),  # D-Link DCS-2630L: its own view, and its only sound
        ("", "sendonly", ["recvonly", "sendonly"], [True, False]),
        ("", "sendonly", ["sendonly"], [False]),
        ("", "recvonly", ["sendonly"], [True]),  # ONVIF
        ("", "recvonly", ["recvonly", "sendonly"], [False, True]),
        ("", "", ["sendonly"], [True]),
        ("", "", ["", "sendonly"], [False, True]),
        ("", "inactive", ["sendonly"], [True]),
        ("a=sendonly\n", "", [""], [False]),
        ("a=recvonly\n", "", ["", "sendonly"], [False, True]),
        ("", "sendrecv", ["sendrecv"], [False]),
    ],
)
def test_only_sound_can_be_a_back_channel(session: str, video: str, audio: list[str], back: list[bool]) -> None:
    text = session + "".join(
        f"m={kind} 0 RTP/AVP 0\na={direction}\n"
        for kind, direction in [("video", video), *(("audio", a) for a in audio)]
    )
    first, *others = parse(text.encode()).media
    assert not first.back_channel
    assert [section.back_channel for section in others] == back


def test_an_rtpmap_with_another_number_than_its_only_format() -> None:
    assert only_format(b"m=video 0 RTP/AVP 96\na=rtpmap:97 H264/90000\n") == Format(96, "H264", 90_000)
    assert only_format(b"m=audio 0 RTP/AVP 0\na=rtpmap:97 opus/48000/2\n").codec == "PCMU"


def test_several_formats() -> None:
    [section] = parse(b"m=audio 0 RTP/AVP 0 8 8 200 x 97\na=rtpmap:97 opus/48000/2\n").media
    assert [found.codec for found in section.formats] == ["PCMU", "PCMA", "opus"]


def test_bounded() -> None:
    assert len(parse(b"m=video 0 RTP/AVP 96\n" * 1_000).media) == MAX_MEDIA
    [section] = parse(b"m=video 0 RTP/AVP " + b" ".join(b"%d" % n for n in range(128))).media
    assert len(section.formats) == MAX_FORMATS


@given(st.binary(max_size=400))
def test_any_bytes(body: bytes) -> None:
    parse(body)


@given(st.lists(st.sampled_from(USUAL.splitlines()), max_size=30), st.binary(max_size=30))
def test_any_lines(lines: list[bytes], junk: bytes) -> None:
    for section in parse(b"\n".join([*lines, junk])).media:
        assert all(0 <= found.payload_type <= 127 for found in section.formats)


def test_a_direction_of_the_session_holds_for_sections_without_one() -> None:
    text = b"v=0\na=inactive\nm=video 0 RTP/AVP 96\nm=audio 0 RTP/AVP 0\na=sendrecv\n"
    assert [section.direction for section in parse(text).media] == ["inactive", "sendrecv"]


def test_the_formats_of_all_sections_together_are_bounded() -> None:
    section = b"m=video 0 RTP/AVP " + b" ".join(b"%d" % n for n in range(96, 96 + MAX_FORMATS)) + b"\n"
    sections = parse(section * MAX_MEDIA).media
    assert sum(len(section.formats) for section in sections) == MAX_ALL_FORMATS
