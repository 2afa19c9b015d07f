"""Codecs that are played, and why the rest are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.cameras import CameraState
from common.errors import CameraError
from common.media import CLOCK_RATES, Kind, Track
from common.payload.output import Output
from ingest import sdp
from ingest.payload.aac import Aac
from ingest.payload.frames import Frames
from ingest.payload.g711 import G711
from ingest.payload.h264 import H264
from ingest.payload.h265 import H265
from ingest.payload.jpeg import Jpeg
from ingest.payload.l16 import L16
from ingest.payload.opus import Opus
from ingest.payload.registry import choose, make
from ingest.payload.sound import Sound
from ingest.payload.speech import Speech
from ingest.payload.vpx import Vp9
from tests.fakes.clocks import ArrivalClock

VIDEO = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:v\n"
AUDIO = "m=audio 0 RTP/AVP 0\na=control:a\n"


def chosen(text: str) -> tuple[list[Track], list[Track]]:
    played, others = choose(sdp.parse(text.encode()))
    return [choice.track for choice in played], others


def problem(text: str, kind: Kind) -> str:
    """The track of the section of that kind, next to one that can be played."""
    played, others = chosen(text + (AUDIO if kind is Kind.VIDEO else VIDEO))
    assert len(played) == 1
    [other] = others
    assert other.kind is kind
    return other.problem


@pytest.mark.parametrize(
    ("text", "track", "cls"),
    [
        (VIDEO, Track(Kind.VIDEO, "H264", 90_000), H264),
        (VIDEO.replace("H264/90000", "h264"), Track(Kind.VIDEO, "H264", 90_000), H264),
        (VIDEO + "a=fmtp:96 profile-level-id=42E01F", Track(Kind.VIDEO, "H264", 90_000, 1, "42e01f"), H264),
        (AUDIO, Track(Kind.AUDIO, "PCMU", 8_000), G711),
        (AUDIO.replace("AVP 0", "AVP 8"), Track(Kind.AUDIO, "PCMA", 8_000), G711),
        ("m=audio 0 RTP/AVP 97\na=rtpmap:97 pcma/8000/1\n", Track(Kind.AUDIO, "PCMA", 8_000), G711),
        ("m=audio 0 RTP/AVP 97\na=rtpmap:97 OPUS/48000/2\n", Track(Kind.AUDIO, "opus", 48_000, 2), Opus),
        ("m=audio 0 RTP/AVP 97\na=rtpmap:97 PCMU/16000\n", Track(Kind.AUDIO, "PCMU", 8_000), G711),
        ("m=audio 0 RTP/AVP 97\na=rtpmap:97 PCMA/8000/2\n", Track(Kind.AUDIO, "PCMA", 8_000), G711),
        ("m=video 0 RTP/AVP 96\n", Track(Kind.VIDEO, "H264", 90_000), H264),  # AJA Helo
        (VIDEO.replace("H264", "H.264"), Track(Kind.VIDEO, "H264", 90_000), H264),
        ("m=audio 0 RTP/AVP 97\na=rtpmap:97 G711U/8000\n", Track(Kind.AUDIO, "PCMU", 8_000), G711),
    ],
)
def test_played(text: str, track: Track, cls: type) -> None:
    [choice], others = choose(sdp.parse(text.encode()))
    assert choice.track == track
    assert others == []
    assert CLOCK_RATES[track.codec] == track.clock_rate
    made = make(choice, Output(track.kind, track.codec, ArrivalClock(), 0))
    assert type(made) is cls
    assert made.track == track


def converted(kind: Kind, codec: str, rate: int, channels: int = 1, name: str = "") -> Track:
    return Track(kind, codec, rate, channels, convert=f"browsers do not play {name or codec}")


@pytest.mark.parametrize(
    ("media", "track", "cls"),
    [
        ("video 0 RTP/AVP 96\na=rtpmap:96 hevc/90000", Track(Kind.VIDEO, "H265", 90_000), H265),
        ("video 0 RTP/AVP 96\na=rtpmap:96 H.265/90000", Track(Kind.VIDEO, "H265", 90_000), H265),
        ("video 0 RTP/AVP 96\na=rtpmap:96 VP8/90000", Track(Kind.VIDEO, "VP8", 90_000), Frames),
        ("video 0 RTP/AVP 96\na=rtpmap:96 VP9/90000", Track(Kind.VIDEO, "VP9", 90_000), Vp9),
        ("video 0 RTP/AVP 96\na=rtpmap:96 AV1/90000", Track(Kind.VIDEO, "AV1", 90_000), Frames),
        ("video 0 RTP/AVP 26", converted(Kind.VIDEO, "JPEG", 90_000, name="Motion JPEG"), Jpeg),
        ("video 0 RTP/AVP 32", converted(Kind.VIDEO, "MPV", 90_000, name="MPEG-2 video"), Frames),
        (
            "video 0 RTP/AVP 96\na=rtpmap:96 MP4V-ES/90000",
            converted(Kind.VIDEO, "MP4V-ES", 90_000, name="MPEG-4 video"),
            Frames,
        ),
        ("video 0 RTP/AVP 34", converted(Kind.VIDEO, "H263", 90_000, name="H.263"), Frames),
        (
            "video 0 RTP/AVP 96\na=rtpmap:96 H263-2000/90000",
            converted(Kind.VIDEO, "H263", 90_000, name="H.263"),
            Frames,
        ),
        ("audio 0 RTP/AVP 9", Track(Kind.AUDIO, "G722", 8_000), G711),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/16000/1", converted(Kind.AUDIO, "AAC", 16_000), Aac),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 MP4A-LATM/44100/2", converted(Kind.AUDIO, "AAC", 44_100, 2), Aac),
        (
            "audio 0 RTP/AVP 97\na=rtpmap:97 L16/16000",
            converted(Kind.AUDIO, "L16", 16_000, name="uncompressed sound (L16)"),
            L16,
        ),
        (
            "audio 0 RTP/AVP 11\na=rtpmap:11 PCM/48000",
            converted(Kind.AUDIO, "L16", 48_000, name="uncompressed sound (L16)"),
            L16,
        ),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 G726-32/8000", converted(Kind.AUDIO, "G726-32", 8_000, name="G.726"), Sound),
        ("audio 0 RTP/AVP 14", converted(Kind.AUDIO, "MPA", 90_000, name="MPEG audio (MP2 or MP3)"), Sound),
        (
            "audio 0 RTP/AVP 97\na=rtpmap:97 L16/48000/6",
            converted(Kind.AUDIO, "L16", 48_000, 6, name="uncompressed sound (L16)"),
            Sound,
        ),
        (
            "audio 0 RTP/AVP 97\na=rtpmap:97 L16/96000/2",
            converted(Kind.AUDIO, "L16", 96_000, 2, name="uncompressed sound (L16)"),
            Sound,
        ),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 AC3/48000/2", converted(Kind.AUDIO, "AC3", 48_000, 2, name="AC-3"), Sound),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 eac3/48000", converted(Kind.AUDIO, "EAC3", 48_000, name="AC-3"), Sound),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 speex/16000", converted(Kind.AUDIO, "SPEEX", 16_000, name="Speex"), Sound),
        ("audio 0 RTP/AVP 3", converted(Kind.AUDIO, "GSM", 8_000, name="GSM"), Speech),
        ("audio 0 RTP/AVP 4", converted(Kind.AUDIO, "G723", 8_000, name="G.723"), Speech),
        ("audio 0 RTP/AVP 6", converted(Kind.AUDIO, "DVI4", 16_000, name="ADPCM (DVI4)"), Sound),
        ("audio 0 RTP/AVP 18", converted(Kind.AUDIO, "G729", 8_000, name="G.729"), Speech),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 AMR/8000/1", converted(Kind.AUDIO, "AMR", 8_000), Speech),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 AMR-WB/16000", converted(Kind.AUDIO, "AMR-WB", 16_000, name="AMR"), Speech),
    ],
)
def test_published_as_it_comes_or_for_a_converter(media: str, track: Track, cls: type) -> None:
    [choice], others = choose(sdp.parse(f"m={media}\n".encode()))
    assert (choice.track, others) == (track, [])
    made = make(choice, Output(track.kind, track.codec, ArrivalClock(), 0))
    assert type(made) is cls
    assert made.track == track


def test_what_every_browser_takes_is_preferred() -> None:
    text = "m=video 0 RTP/AVP 26\n" + VIDEO.replace("H264", "H265") + VIDEO + "m=audio 0 RTP/AVP 14\n" + AUDIO
    assert [track.codec for track in chosen(text)[0]] == ["H264", "PCMU"]
    text = "m=video 0 RTP/AVP 26\n" + VIDEO.replace("H264", "H265")
    assert [track.codec for track in chosen(text)[0]] == ["H265"]


@pytest.mark.parametrize(
    ("media", "kind", "words"),
    [
        ("video 0 RTP/AVP 96\na=rtpmap:96 H266/90000", Kind.VIDEO, ["H.266 ", "H.264"]),
        ("video 0 RTP/AVP 33", Kind.VIDEO, ["MPEG transport stream"]),
        ("video 0 RTP/AVP 96\na=rtpmap:96 H264/90000000", Kind.VIDEO, ["90000000 Hz"]),
        ("video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=2", Kind.VIDEO, ["interleaved"]),
        ("video 0 UDP/TLS/RTP/SAVP 96\na=rtpmap:96 H264/90000", Kind.VIDEO, ["encrypted"]),
        ("video 0 RTP/AVP 96\na=rtpmap:96 X-\u202eodd/90000", Kind.VIDEO, ["X-?odd is not known"]),
        ("video 0 RTP/AVP 71", Kind.VIDEO, ["payload type 71"]),
        ("audio 0 RTP/AVP 98", Kind.AUDIO, ["payload type 98"]),
        ("video 0 RTP/AVP 255", Kind.VIDEO, ["does not say"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 MPEG4-GENERIC/16000/1\na=fmtp:97 config=F8E85000", Kind.AUDIO, ["AAC-LC"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 L16/100", Kind.AUDIO, ["100 Hz", "48 kHz or less"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 G726-32/1", Kind.AUDIO, ["1 Hz"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 L16/48000/9", Kind.AUDIO, ["9 channels"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 G7221/16000", Kind.AUDIO, ["G.722.1 cannot be played", "G.711, Opus or AAC"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 G722.1/32000", Kind.AUDIO, ["G.722.1 cannot be played"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 LPCM/48000/2", Kind.AUDIO, ["uncompressed sound", "G.711, Opus or AAC"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 iLBC/8000", Kind.AUDIO, ["iLBC cannot be played"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 QCELP/8000", Kind.AUDIO, ["QCELP", "G.711, Opus or AAC"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 AMR/8000\na=fmtp:97 crc=1", Kind.AUDIO, ["AMR with crc"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 multiopus/48000/6", Kind.AUDIO, ["how they are mapped", "G.711"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 PCMU/4000", Kind.AUDIO, ["4000 Hz", "8 kHz mono"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 PCMA/8000/6", Kind.AUDIO, ["6 channels"]),
        ("audio 0 RTP/AVP 97\na=rtpmap:97 H264/90000", Kind.AUDIO, ["H264 is not known"]),
    ],
)
def test_known_and_not_playable(media: str, kind: Kind, words: list[str]) -> None:
    text = problem(f"m={media}\n", kind)
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *(
            (name, "H264")
            for name in ("h.264", "H264+", "H264S", "SMART264", "H264-SVC", "X-H264", "avc", "avc1", '"H264"')
        ),
        *((name, "H265") for name in ("H.265", "H265+", "SMART265", "HEVC", "hev1", "hvc1", "X-HEVC")),
        ("MJPG", "JPEG"),
    ],
)
def test_a_picture_by_a_name_that_makers_have_for_its_codec_plays_beside_sound(name: str, codec: str) -> None:
    """Sound that plays was chosen alone, and the picture called unknown: nobody looked whether it is what it means."""
    played, others = choose(sdp.parse(f"{VIDEO.replace('H264', name)}{AUDIO}".encode()))
    assert ([choice.track.codec for choice in played], others) == ([codec, "PCMU"], [])


def test_profile_that_browsers_cannot_decode() -> None:
    sprop = "Z24ADabLICoQ8REYCIAAAAMAgAAAGQeKFSQ="  # High 10
    [track], _ = chosen(f"{VIDEO}a=fmtp:96 sprop-parameter-sets={sprop}\n")
    assert "High 10" in track.convert


def test_first_playable_of_each_kind() -> None:
    text = VIDEO.replace("H264", "H265") + VIDEO + VIDEO + AUDIO.replace("AVP 0", "AVP 15") + AUDIO
    played, others = choose(sdp.parse(text.encode()))
    assert [choice.track.codec for choice in played] == ["H264", "PCMU"]
    assert others == []


@pytest.mark.parametrize("rate", [1, 25, 1_000, 8_000, 30_000, 48_000, 90_000, 1_000_000])
def test_any_clock_of_h264_and_opus_is_taken_and_published_as_browsers_count(rate: int) -> None:
    opus = f"m=audio 0 RTP/AVP 97\na=rtpmap:97 opus/{rate}/2\n"
    choices, _ = choose(sdp.parse((VIDEO.replace("90000", str(rate)) + opus).encode()))
    assert [choice.clock_rate for choice in choices] == [rate, rate]
    assert [choice.track.clock_rate for choice in choices] == [90_000, 48_000]


def test_a_named_format_comes_before_one_that_says_nothing() -> None:
    [choice], _ = choose(sdp.parse(b"m=video 0 RTP/AVP 96 97\na=rtpmap:97 H264/90000\n"))
    assert choice.format.payload_type == 97


def test_an_active_section_comes_before_an_inactive_one_which_is_better_than_none() -> None:
    inactive = VIDEO + "a=inactive\n"
    [choice], _ = choose(sdp.parse((inactive + VIDEO.replace(":v", ":w")).encode()))
    assert choice.section.control == "w"
    [choice], _ = choose(sdp.parse(inactive.encode()))
    assert choice.section.control == "v"


def test_names_are_those_that_people_know() -> None:
    sound = ("MPEG4-GENERIC/16000", "MP4A-LATM/16000", "G726-32/8000", "MPA/90000")
    for kind, rtpmaps in ((Kind.AUDIO, sound), (Kind.VIDEO, ("MP4V-ES/90000",))):
        for rtpmap in rtpmaps:
            [track], _ = chosen(f"m={kind} 0 RTP/AVP 97\na=rtpmap:97 {rtpmap}\n")
            assert rtpmap.partition("/")[0] not in track.convert.split()
            wrong = next(other for other in Kind if other is not kind)
            assert (
                rtpmap.partition("/")[0]
                not in problem(f"m={wrong} 0 RTP/AVP 97\na=rtpmap:97 {rtpmap}\n", wrong).split()
            )


def test_playable_format_of_a_section() -> None:
    text = "m=audio 0 RTP/AVP 97 14 8\na=rtpmap:97 MPEG4-GENERIC/16000\n"
    [choice], _ = choose(sdp.parse(text.encode()))
    assert (choice.format.payload_type, choice.track.codec) == (8, "PCMA")


def test_metadata_and_back_channel_are_passed_over() -> None:
    metadata = "m=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\n"
    played, others = chosen(metadata + "m=text 0 RTP/AVP 98\n" + AUDIO + "a=sendonly\n" + VIDEO)
    assert [track.codec for track in played] == ["H264"]
    assert others == []


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *((name, "AAC") for name in ("AAC", "aac", "mp4a", "AAC-hbr", "X-AAC", "MPEG4-GENERIC")),
        *((name, "PCMA") for name in ("PCM-ALAW", "pcm_alaw", "G.711-ALAW", "ALAW", "G711A")),
        *((name, "PCMU") for name in ("MULAW", "G711MU", "PCM_MULAW", "G.711U")),
        *((name, "G726-32") for name in ("G726", "G.726-32", "G726_32", "G721")),
    ],
)
def test_sound_is_known_by_the_names_that_cameras_have_for_it(name: str, codec: str) -> None:
    played, _ = chosen(f"m=audio 0 RTP/AVP 97\na=rtpmap:97 {name}/8000\n")
    assert [track.codec.removesuffix("-32") for track in played] == [codec.removesuffix("-32")]


@pytest.mark.parametrize(
    "text", ["97\na=rtpmap:97 x-private/8000\n", "97\na=rtpmap:97 G711/8000\n", "13\n", "15\n", "20\n", "7\n"]
)
def test_every_sound_that_is_not_played_has_a_word_on_what_to_set(text: str) -> None:
    _, [track] = chosen(VIDEO + "m=audio 0 RTP/AVP " + text)
    assert "set the camera's sound to G.711, Opus or AAC" in track.problem


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither video nor audio"),
        ("m=application 0 RTP/AVP 107\n", "neither video nor audio"),
        ("m=video 0 RTP/AVP 96\na=rtpmap:96 H266/90000\nm=audio 0 RTP/AVP 15\n", "video: H.266"),
        ("m=video 0 RTP/AVP 96\na=rtpmap:96 H266/90000\nm=audio 0 RTP/AVP 20\n", "audio: the session"),
    ],
)
def test_nothing_playable(text: str, words: str) -> None:
    with pytest.raises(CameraError, match=words) as caught:
        choose(sdp.parse(text.encode()))
    assert caught.value.state is CameraState.NO_PLAYABLE_TRACK


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["video", "audio", "text", "VIDEO"]),
            st.sampled_from(["RTP/AVP", "RTP/SAVP", "x"]),
            st.integers(-1, 200),
            st.text(max_size=12) | st.sampled_from(["H264", "opus", "PCMU", "H265"]),
            st.integers(0, 100_000),
            st.text(max_size=30),
        ),
        max_size=5,
    )
)
def test_any_description(sections: list[tuple[str, str, int, str, int, str]]) -> None:
    text = "".join(
        f"m={kind} 0 {protocol} {pt}\na=rtpmap:{pt} {codec}/{rate}\na=fmtp:{pt} {fmtp}\n"
        for kind, protocol, pt, codec, rate, fmtp in sections
    )
    try:
        played, others = choose(sdp.parse(text.encode("utf-8", "surrogatepass")))
    except CameraError:
        return
    assert all(choice.track.playable for choice in played)
    assert not any(track.playable for track in others)
