"""The tracks of one session know of each other: mixed channels, numbers counted together, one epoch for all."""

from __future__ import annotations

from ingest import sdp
from ingest.payload.registry import choose
from ingest.rtp.reorder import HOLD_NS
from ingest.rtp.stream import CameraStream
from rigs.rtp import rtp

NOW = 1_700_000_000 * 10**9
BOTH = sdp.parse(b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 0\n")


def stream(*, udp: bool = True) -> CameraStream:
    return CameraStream(choose(BOTH)[0], udp=udp, epoch=5)


def sound(number: int) -> bytes:
    return rtp(bytes(160), number, 160 * number, payload_type=0)


def test_a_packet_on_the_other_track_s_channel_goes_where_its_payload_type_says() -> None:
    tracks = stream()
    video, audio = tracks.receivers
    video.receive(sound(1), NOW)
    assert (video.packets, audio.packets) == (0, 1)
    assert tracks.flowing
    assert [batch.codec for batch in tracks.take(NOW)] == ["PCMU"]


def test_a_payload_type_that_is_announced_for_the_track_is_not_handed_over() -> None:
    video, audio = (tracks := stream()).receivers
    assert not tracks.hand_over(audio, audio.payload_type, sound(1), NOW)
    assert tracks.hand_over(video, audio.payload_type, sound(1), NOW)


def test_a_track_sees_what_numbers_the_others_expect() -> None:
    video, audio = (tracks := stream()).receivers
    audio.receive(sound(41), NOW)
    assert (tracks.expected(video), tracks.expected(audio)) == ({42}, {-1})


def test_a_new_picture_is_a_new_epoch_for_all_and_new_sound_of_the_same_format_is_none() -> None:
    video, audio = (tracks := stream()).receivers
    tracks.new_source(audio, False)
    assert tracks.epoch == 5
    tracks.new_source(audio, True)
    tracks.new_source(video, False)
    assert tracks.epoch == 7
    audio.receive(sound(1), NOW)
    assert [batch.epoch for batch in tracks.take(NOW)] == [7]


def test_the_first_deadline_of_all_tracks_counts() -> None:
    video, audio = (tracks := stream()).receivers
    assert tracks.deadline_ns is None
    for number in (1, 3):
        audio.receive(sound(number), NOW)
        tracks.take(NOW)
    assert tracks.deadline_ns == NOW + HOLD_NS
    for number in (1, 3):
        video.receive(rtp(b"\x09\x10", number, number), NOW - 1)
    tracks.take(NOW)
    assert tracks.deadline_ns == NOW + HOLD_NS - 1
    tracks.expire(NOW + HOLD_NS)
    tracks.take(NOW + HOLD_NS)
    assert tracks.deadline_ns is None
