"""A demuxer's tracks as a session description and RTP, read again by what reads cameras'."""

from __future__ import annotations

from contextlib import suppress

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from common.media import Batch, Kind, Track
from common.payload.access_unit import access_unit
from ingest.payload.registry import NothingPlayableError, choose
from ingest.rtp.rtcp import SenderReport
from ingest.rtp.rtcp import parse as parse_rtcp
from ingest.rtp.stream import CameraStream
from ingest.sdp import parse
from ingest.sources.media import _FORMS, Found, Medium, codec_of, describe
from rigs.video import encode
from tests.fakes.records import AVC

SECOND = 10**9
NOW = 1_700_000_000 * SECOND
AAC_LC_48K = bytes.fromhex("1190")


def published(found: Found, *units: bytes, every_ns: int = SECOND // 25) -> tuple[Track, list[Batch]]:
    """Each access unit through description, packets and receiver: the track, and what goes to the bus."""
    medium = Medium(found, 0)
    [choice], _ = choose(parse(describe([medium])))
    stream = CameraStream([choice], udp=False, epoch=1)
    batches: list[Batch] = []
    for number, unit in enumerate(units):
        at_ns = number * every_ns
        stream.receivers[0].receive_rtcp(medium.report(at_ns, NOW + at_ns), NOW + at_ns)
        for packet in medium.packets(unit, at_ns):
            stream.receivers[0].receive(packet, NOW + at_ns)
        batches += stream.take(NOW + at_ns)
    return stream.receivers[0].track, batches


def test_h264_of_a_byte_stream() -> None:
    units = [b"".join(b"\0\0\0\1" + nal for nal in nals) for nals in encode(6)]
    track, batches = published(Found(Kind.VIDEO, "h264"), *units)
    assert track.codec == "H264"
    assert track.width > 0
    assert batches[0].keyframe
    assert sum(batch.unit_end for batch in batches) == len(units)
    assert [batch.timestamp - batches[0].timestamp for batch in batches] == [n * 3_600 for n in range(len(units))]
    assert batches[-1].capture_ns == pytest.approx(NOW + (len(units) - 1) * SECOND // 25, abs=10)


def test_h264_with_lengths_has_its_sets_from_the_record() -> None:
    unit = b"\x65\x88\x84" + bytes(3_000) + b"\1"
    [line] = [line for line in Medium(Found(Kind.VIDEO, "h264", AVC), 0).lines if "fmtp" in line]
    assert "sprop-parameter-sets=Z0LgHwE=,aM4=" in line
    [packet] = Medium(Found(Kind.VIDEO, "h264", AVC), 0).packets(len(unit).to_bytes(4, "big") + unit, 0)
    assert packet[12:] == unit
    assert packet[1] & 0x80, "the last packet of an access unit has the marker"


def test_a_record_that_cannot_be_read_leaves_a_byte_stream() -> None:
    assert Medium(Found(Kind.VIDEO, "h264", b"\1\2"), 0).packets(b"\0\0\1\x65a", 0)
    assert Medium(Found(Kind.VIDEO, "hevc", b"\1\2\3\4\5"), 0).packets(b"\0\0\1\x26\1a", 0)


@pytest.mark.parametrize(("codec", "name"), [("vp8", "VP8"), ("vp9", "VP9")])
def test_frames_of_vpx_come_out_as_they_went_in(codec: str, name: str) -> None:
    frame = {"vp8": b"\x10\2\0\x9d\1\x2a" + bytes(3_000), "vp9": b"\x82\x49\x83\x42" + bytes(3_000)}[codec]
    track, batches = published(Found(Kind.VIDEO, codec), frame, frame)
    assert (track.codec, batches[0].keyframe) == (name, True)
    assert access_unit(name, batches[0].payloads) == frame


def test_a_temporal_unit_of_av1_loses_its_delimiter_alone() -> None:
    sequence, frame = b"\x0a\x0b" + bytes(11), b"\x32\x81\x02" + bytes(257)
    track, batches = published(Found(Kind.VIDEO, "av1"), b"\x12\0" + sequence + frame)
    assert (track.codec, batches[0].keyframe) == ("AV1", True)
    assert access_unit("AV1", batches[0].payloads) == b"\x12\0" + sequence + frame


@pytest.mark.parametrize("data", [b"\x0a\x0b\0", b"\x0a\xff\xff\xff\xff\xff\xff", b"\x0a"])
def test_av1_that_is_damaged_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Medium(Found(Kind.VIDEO, "av1"), 0).packets(data, 0)


def test_whole_images_stay_whole() -> None:
    image = b"\xff\xd8" + bytes(5_000) + b"\xff\xd9"
    track, batches = published(Found(Kind.VIDEO, "mjpeg"), image, b"no image", image)
    assert (track.codec, bool(track.convert)) == ("JPEG", True)
    assert [b"".join(batch.payloads) for batch in batches] == [image, image]
    assert all(batch.keyframe for batch in batches)


def test_mpeg4_has_its_configuration_before_a_keyframe() -> None:
    config, frame = b"\0\0\1\x20config", b"\0\0\1\xb6\x10picture"
    _, batches = published(Found(Kind.VIDEO, "mpeg4", config), frame)
    assert b"".join(batches[0].payloads) == config + frame


def test_aac_without_and_with_its_own_header() -> None:
    track, batches = published(Found(Kind.AUDIO, "aac", AAC_LC_48K, 48_000, 2), b"a frame of sound")
    assert (track.codec, track.channels) == ("AAC", 2)
    adts = b"".join(batches[0].payloads)
    assert adts.endswith(b"a frame of sound")
    _, batches = published(Found(Kind.AUDIO, "aac", b"", 48_000, 2), adts)
    assert b"".join(batches[0].payloads) == adts
    with pytest.raises(ProtocolError):
        Medium(Found(Kind.AUDIO, "aac", AAC_LC_48K, 48_000, 2), 0).packets(bytes(9_000), 0)


@pytest.mark.parametrize(
    ("codec", "rate", "channels", "name", "unit", "out"),
    [
        ("opus", 48_000, 2, "opus", b"opus", b"opus"),
        ("pcm_alaw", 8_000, 1, "PCMA", bytes(160), bytes(160)),
        ("pcm_mulaw", 8_000, 1, "PCMU", bytes(160), bytes(160)),
        ("adpcm_g722", 16_000, 1, "G722", bytes(160), bytes(160)),
        ("pcm_s16be", 44_100, 2, "L16", b"abcd" * 290, b"abcd" * 290),
        ("pcm_s16le", 44_100, 2, "L16", b"abcd" * 290 + b"e", b"badc" * 290),
        ("mp3", 44_100, 2, "MPA", b"\xff\xfbsound", b"\xff\xfbsound"),
        ("mp2", 48_000, 2, "MPA", b"\xff\xfdsound", b"\xff\xfdsound"),
        ("ac3", 48_000, 6, "AC3", b"\x0b\x77sound", b"\x0b\x77sound"),
        ("amr_nb", 8_000, 1, "AMR", b"\x3c" + bytes(31), b"\x3c" + bytes(31)),
        ("amr_wb", 16_000, 1, "AMR-WB", b"\x44" + bytes(60), b"\x44" + bytes(60)),
        ("gsm", 8_000, 1, "GSM", b"\xd0" * 33, b"\xd0" * 33),
        ("speex", 16_000, 1, "SPEEX", b"sound", b"sound"),
    ],
)
def test_sound(codec: str, rate: int, channels: int, name: str, unit: bytes, out: bytes) -> None:
    track, batches = published(Found(Kind.AUDIO, codec, b"", rate, channels), unit, every_ns=SECOND // 50)
    assert track.codec == name
    assert b"".join(b"".join(batch.payloads) for batch in batches) == out


def test_latm_loses_the_header_that_rtp_has_no_use_for() -> None:
    medium = Medium(Found(Kind.AUDIO, "aac_latm", b"", 48_000, 2), 0)
    assert medium.packets(b"\x56\xe0\x10element", 0)[0][12:] == b"element"


def test_what_is_not_known_is_named_and_has_no_packets() -> None:
    video, audio = Medium(Found(Kind.VIDEO, "h261"), 0), Medium(Found(Kind.AUDIO, "vorbis", b"", 44_100, 2), 1)
    with pytest.raises(NothingPlayableError) as caught:
        choose(parse(describe([video, audio])))
    assert "H.261" in caught.value.detail
    assert "Vorbis" in caught.value.detail
    assert video.packets(b"data", 0) == []


def test_a_sender_report_says_which_time_of_ours_a_timestamp_has() -> None:
    medium = Medium(Found(Kind.AUDIO, "opus", b"", 48_000, 2), 1)
    [report] = parse_rtcp(medium.report(2 * SECOND, NOW + SECOND // 2))
    assert isinstance(report, SenderReport)
    assert report.rtp_timestamp == 96_000
    assert report.ntp_ns == pytest.approx(NOW + SECOND // 2, abs=10)


def test_timestamps_of_sound_are_whole_samples() -> None:
    medium = Medium(Found(Kind.AUDIO, "opus", b"", 48_000, 2), 0)
    for number in range(500):
        [packet] = medium.packets(b"x", number * 1_024 * SECOND // 48_000)
        assert int.from_bytes(packet[4:8], "big") == number * 1_024


@given(st.sampled_from(["h264", "hevc", "vp8", "vp9", "av1", "mjpeg", "mpeg4", "aac", "aac_latm", "mp3"]), st.binary())
def test_no_bytes_do_more_than_a_protocol_error(codec: str, data: bytes) -> None:
    kind = Kind.AUDIO if codec in ("aac", "aac_latm", "mp3") else Kind.VIDEO
    with suppress(ProtocolError, NothingPlayableError):
        published(Found(kind, codec, data, 48_000, 1), data)


@pytest.mark.parametrize("codec", sorted(_FORMS))
def test_whatever_ffmpeg_calls_the_decoder_of_a_codec_it_is_that_codec(codec: str) -> None:
    context = av.CodecContext.create(codec, "r")
    assert codec_of(context.name) == codec
