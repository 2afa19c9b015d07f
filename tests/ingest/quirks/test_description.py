"""Cameras whose session description is wrong or says too little: what comes counts."""

from __future__ import annotations

import itertools

import pytest

from common.cameras import Transport
from tests.fakes.camera import FakeCamera, h264_track, pcmu_track
from tests.fakes.quirks import plays


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
