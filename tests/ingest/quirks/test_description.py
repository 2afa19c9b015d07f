"""Cameras whose session description is wrong or says too little: what comes counts."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from common.cameras import CameraState, Transport
from rigs.camera import FakeCamera, h264_track, pcmu_track
from rigs.codecs import pictures
from rigs.tracks import X265, h265_track, jpeg_track
from rigs.video import Packet
from tests.fakes.quirks import plays
from tests.fakes.viewer import Pulled


async def test_a_picture_that_is_marked_as_a_back_channel_plays() -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    fake.tracks[0].extra, fake.tracks[1].extra = ["a=sendonly"], ["a=recvonly"]
    pulled = await plays(fake)
    assert [track.codec for track in pulled.camera.report.tracks] == ["H264", "PCMU"]


async def test_a_picture_of_which_only_the_payload_type_is_said_plays() -> None:
    fake = FakeCamera()
    fake.tracks[0].sdp = "m=video 0 RTP/AVP 96\n"
    await plays(fake)


@pytest.mark.parametrize("rate", [1_000, 30_000, 1_000_000])
async def test_a_picture_that_is_counted_by_another_clock_plays_at_its_true_speed(rate: int) -> None:
    fake = FakeCamera()
    track = fake.tracks[0]
    track.sdp, track.ticks = track.sdp.replace("90000", str(rate)), rate // 25
    pulled = await plays(fake)
    stamps = [batch.timestamp for batch in pulled.of("video") if batch.unit_end]
    assert {after - before for before, after in itertools.pairwise(stamps)} == {3_600}


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.UDP])
async def test_packets_of_another_payload_type_than_announced_are_taken(transport: Transport) -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    fake.tracks[0].payload_type, fake.tracks[1].payload_type = 97, 100
    pulled = await plays(fake, transport=transport)
    assert len(pulled.of("audio")) > 10


async def test_h264_that_is_announced_by_a_name_of_the_maker_s_plays() -> None:
    fake = FakeCamera()
    fake.tracks[0].sdp = "m=video 0 RTP/AVP 96\na=rtpmap:96 X-VENDOR/90000\n"
    pulled = await plays(fake)
    assert [track.codec for track in pulled.camera.report.tracks] == ["H264"]


async def test_what_is_announced_by_such_a_name_and_is_no_h264_is_looked_at_for_a_moment_only() -> None:
    fake = FakeCamera()
    fake.tracks[0].sdp = "m=video 0 RTP/AVP 96\na=rtpmap:96 X-VENDOR/90000\n"
    fake.tracks[0].units = [[Packet(b"\x02\x01" + bytes(range(1, 200)), 0, True)]] * 10
    async with fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.NO_PLAYABLE_TRACK)
        assert report.detail.startswith("video: X-VENDOR is not known; set this stream")
        assert [track.playable for track in report.tracks] == [False]
        await fake.asked("TEARDOWN")
        assert pulled.batches == []


async def test_h266_is_not_pulled() -> None:
    fake = FakeCamera()
    fake.tracks[0].sdp = "m=video 0 RTP/AVP 96\na=rtpmap:96 H266/90000\n"
    async with fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.NO_PLAYABLE_TRACK)
        assert report.detail.startswith("video: H.266 cannot be played")
    assert "SETUP" not in fake.methods


async def test_h265_that_is_announced_as_h264_is_said_to_be_that() -> None:
    payload = b"\x02\x01" + bytes(range(1, 200))
    fake = FakeCamera()
    fake.tracks[0].units = [[Packet(payload, 0, True)]] * 10
    async with fake, Pulled(fake.url) as pulled:
        await pulled.until_report(lambda each: each.state is CameraState.NO_PLAYABLE_TRACK)
        report = pulled.camera.report
        assert "looks like H.265" in report.detail
        assert [(track.codec, track.playable) for track in report.tracks] == [("H265", False)]
        fake.tracks[0].units = h264_track().units
        await pulled.watch(5)
        assert pulled.camera.report.state is CameraState.PLAYING


@pytest.mark.parametrize(
    ("announced", "sent"), [("H264", "H265"), ("H265", "H264"), ("H264", "JPEG"), ("VP9", "H264"), ("X-VENDOR", "H265")]
)
async def test_a_picture_of_another_codec_than_announced_plays_as_what_it_is(announced: str, sent: str) -> None:
    jpegs = pictures("mjpeg", 10, pixels="yuvj420p", options="huffman=default")
    track = {
        "H264": h264_track,
        "H265": lambda: h265_track(pictures("libx265", options=X265)),
        "JPEG": lambda: jpeg_track([picture.data for picture in jpegs]),
    }[sent]()
    track = replace(track, sdp=f"m=video 0 RTP/AVP 96\na=rtpmap:96 {announced}/90000\n", payload_type=96)
    async with FakeCamera([track]) as fake, Pulled(fake.url) as pulled:
        await pulled.until(lambda: len(pulled.of("video")) > 20)
        assert {batch.codec for batch in pulled.of("video")} == {sent}
        await pulled.reached(CameraState.PLAYING)
        assert [(each.codec, each.problem) for each in pulled.camera.report.tracks] == [(sent, "")]
