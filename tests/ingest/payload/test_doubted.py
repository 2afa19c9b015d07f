"""A picture is taken for what it is, and a mistake about that does not last."""

from __future__ import annotations

from collections.abc import Iterable
from unittest.mock import Mock, call

import pytest

from ingest.payload.doubted import Doubted
from ingest.payload.keyframes import NEVER_NS
from ingest.rtp.receiver import TrackReceiver
from rigs.camera import h264_track
from rigs.codecs import pictures
from rigs.reading import Reading
from rigs.rtp import rtp
from rigs.tracks import mpeg2_track
from rigs.video import Packet, encode
from tests.fakes.pictures import framed

MPEG2 = mpeg2_track(pictures("mpeg2video")).units
SPS = encode()[0][0]


class Camera:
    """One that announces a codec and sends whatever it is told to."""

    def __init__(self, announced: str) -> None:
        self.reading = Reading(f"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 {announced}/90000\r\n".encode())
        self.now_ns = 1_700_000_000 * 10**9
        self._sequence = self._timestamp = 0

    @property
    def receiver(self) -> TrackReceiver:
        return self.reading.stream.receivers[0]

    def send(self, units: Iterable[list[Packet]]) -> None:
        for unit in units:
            self._timestamp += 3_600
            self.now_ns += 40_000_000
            packets = []
            for packet in unit:
                packets.append(rtp(packet.payload, self._sequence, self._timestamp, marker=packet.marker))
                self._sequence += 1
            self.reading.read(b"".join(map(framed, packets)), self.now_ns)


def test_what_proves_the_announced_codec_ends_the_doubt() -> None:
    camera = Camera("MPV")
    camera.send(MPEG2[5:6])  # no keyframe
    camera.send([[Packet(SPS, 0, True)]])
    assert camera.receiver.track.codec == "MPV"


def test_a_codec_that_nothing_proves_gives_way_to_what_is_proved_twice() -> None:
    camera = Camera("AV1")
    camera.send([[Packet(SPS, 0, True)]])
    assert camera.receiver.track.codec == "AV1"
    camera.send([[Packet(SPS, 0, True)]])
    assert camera.receiver.track.codec == "H264"


def test_a_verdict_is_doubted_again_at_the_next_reviews_though_something_is_published() -> None:
    camera = Camera("H265")
    camera.send(h264_track().units)
    assert (camera.receiver.track.codec, camera.receiver.stats.frames) == ("H264", 30)
    camera.reading.stream.review()
    camera.send(MPEG2[:5])
    assert camera.receiver.track.codec == "MPV"
    for _ in range(5):
        camera.send(MPEG2[:5])
        camera.reading.stream.review()
    camera.send(MPEG2[:1])
    assert camera.receiver.unpacking.format is camera.receiver.unpacking._format


def test_where_nothing_is_seen_of_a_verdict_what_was_announced_counts_again() -> None:
    camera = Camera("AV1")
    camera.send([[Packet(SPS, 0, True)]] * 2)
    assert camera.receiver.track.codec == "H264"
    camera.now_ns += NEVER_NS
    camera.send([[Packet(b"\x41\x9a" + bytes(9), 0, True)]] * 2)
    camera.now_ns += NEVER_NS
    camera.send([[Packet(b"\x41\x9a" + bytes(9), 0, True)]] * 2)
    assert camera.receiver.unpacking.unseen
    camera.reading.stream.review()
    assert (camera.receiver.track.codec, camera.receiver.unpacking.unseen) == ("AV1", False)


@pytest.mark.parametrize("announced", ["H264", "H265", "VP8"])
def test_mpeg2_is_known_whatever_it_is_announced_as(announced: str) -> None:
    camera = Camera(announced)
    camera.send(MPEG2)
    assert (camera.receiver.track.codec, camera.receiver.stats.frames) == ("MPV", len(MPEG2))


def test_what_is_asked_of_it_is_asked_of_the_format() -> None:
    format = Mock(frames=3, keyframes=1, dropped=2, hindrance="its first keyframe", unseen=True)
    doubted = Doubted(format, lambda: None, lambda _: None)
    doubted.mark()
    doubted.lost()
    doubted.restart()
    assert format.method_calls == [call.mark(), call.lost(), call.restart()]
    for name in ("frames", "keyframes", "dropped", "hindrance", "unseen", "track"):
        assert getattr(doubted, name) == getattr(format, name)
