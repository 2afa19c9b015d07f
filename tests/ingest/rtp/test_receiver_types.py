"""Payload types that were not announced, and codecs that change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingest import sdp
from ingest.payload.registry import choose
from ingest.rtp.strays import ADOPT_LATER, ADOPT_PICTURES
from ingest.rtp.stream import CameraStream
from rigs.codecs import pictures
from rigs.rtp import rtp, rtp_all
from rigs.tracks import X265, h265_track
from rigs.video import TICKS, packetise, units_of
from tests.fakes.reception import NOW, UNITS, WANTED, Session, renumbered


def test_unannounced_payload_type_is_remembered() -> None:
    session = Session().feed([rtp(b"x", 1, 1, payload_type=101)])
    assert session.video.unexpected_type == 101
    assert session.video.stats.packets == 0


@pytest.mark.parametrize("udp", [True, False])
def test_another_payload_type_than_announced_is_taken_from_its_first_packet_on(udp: bool) -> None:
    packets = renumbered(rtp_all(packetise(UNITS)), 97)
    session = Session(udp=udp).feed(packets)
    assert units_of(session.of("video")) == WANTED
    assert session.video.stats.dropped == 0


def test_what_comes_between_the_announced_packets_is_not_taken() -> None:
    packets = rtp_all(packetise(UNITS))
    mixed = []
    for number, packet in enumerate(packets):
        mixed += [packet, rtp(b"\x65repair", number, 1, payload_type=98)]
    session = Session().feed(mixed)
    assert units_of(session.of("video")) == WANTED
    assert session.video.stats.dropped == len(packets)


def test_a_picture_that_changes_its_type_in_mid_session_is_missed_for_a_few_pictures() -> None:
    packets = rtp_all(packetise(UNITS))
    session = Session().feed(packets[:10]).feed(renumbered(packets[10:40], 97))
    assert len({packet[4:8] for packet in packets[10:40]}) > ADOPT_PICTURES
    assert session.video.payload_type == 97


def test_the_announced_type_counts_as_soon_as_it_comes() -> None:
    packets = rtp_all(packetise(UNITS))
    session = Session().feed([rtp(b"\x65x", number, 1, payload_type=98) for number in range(3)]).feed(packets)
    assert units_of(session.of("video"))[-20:] == WANTED[-20:]


def test_a_type_that_is_announced_as_well_is_what_it_was_announced_as() -> None:
    description = sdp.parse(b"m=audio 0 RTP/AVP 0 97\na=rtpmap:97 opus/48000/2\n")
    stream = CameraStream(choose(description)[0], udp=False, epoch=1)
    [audio] = stream.receivers
    for number in range(5):
        audio.receive(rtp(b"\xf8opus", number, 960 * number, payload_type=97), NOW)
    assert audio.track.codec == "opus"
    assert [batch.codec for batch in stream.take(NOW)] == ["opus"] * 5


def test_sound_of_a_fixed_type_is_what_rfc_3551_says() -> None:
    stream = CameraStream(choose(sdp.parse(b"m=audio 0 RTP/AVP 0\n"))[0], udp=False, epoch=1)
    [audio] = stream.receivers
    for number in range(3):
        audio.receive(rtp(bytes(160), number, 160 * number, payload_type=8), NOW)
    assert audio.track.codec == "PCMA"
    for number in range(3, 3 + ADOPT_LATER):
        audio.receive(rtp(bytes(160), number, 160 * number, payload_type=9), NOW)
    assert audio.track.codec == "G722"
    assert stream.epoch == 2
    for number in range(2):
        audio.receive(rtp(bytes(13), 100 + number, 0, payload_type=13), NOW)  # comfort noise
    assert audio.track.codec == "G722"


def test_a_camera_that_goes_over_to_another_codec_in_mid_session_is_followed() -> None:
    session = Session()
    session.feed(rtp_all(packetise(UNITS)))
    packets = [packet for unit in h265_track(pictures("libx265", options=X265)).units for packet in unit]
    stamped = [replace(packet, timestamp=200_000 + n * TICKS) for n, packet in enumerate(packets)]
    session.stream.review()
    session.feed(rtp_all(stamped[:2], sequence=1_000))
    session.stream.review()  # some seconds without a picture
    session.feed(rtp_all(stamped, sequence=1_002))
    assert {batch.codec for batch in session.of("video")} == {"H264", "H265"}
    assert next(batch.epoch for batch in session.of("video") if batch.codec == "H265") > 1_000
    assert session.video.track.codec == "H265"
