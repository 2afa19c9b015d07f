"""Timestamps and sender reports that cannot be true."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest

from ingest.rtp import clock
from rigs.camera import FakeCamera, h264_track, opus_track
from tests.fakes.quirks import plays
from tests.fakes.viewer import Pulled


async def test_one_timestamp_hours_off_is_repaired() -> None:
    fake = FakeCamera(interval=0.02)

    def mangle(packet: bytes) -> list[bytes]:
        timestamp = int.from_bytes(packet[4:8])
        if timestamp == 15 * 3_600:
            packet = packet[:4] + struct.pack("!I", timestamp + 7 * 3_600 * 90_000 & 0xFFFFFFFF) + packet[8:]
        return [packet]

    fake.mangle = mangle
    pulled = await plays(fake)
    stamps = [batch.timestamp for batch in pulled.of("video")]
    assert stamps == sorted(stamps)
    assert max(stamps) < 200 * 3_600
    assert pulled.camera.counters["timestamps_repaired"] == 1


async def test_a_new_timeline_is_followed() -> None:
    fake = FakeCamera(interval=0.02)

    def mangle(packet: bytes) -> list[bytes]:
        timestamp = int.from_bytes(packet[4:8])
        if timestamp >= 15 * 3_600:
            timestamp = timestamp - 5 * 3_600 * 90_000 & 0xFFFFFFFF
        return [packet[:4] + struct.pack("!I", timestamp) + packet[8:]]

    fake.mangle = mangle
    pulled = await plays(fake)
    stamps = [batch.timestamp for batch in pulled.of("video")]
    assert stamps == sorted(stamps)
    assert max(stamps) < 200 * 3_600


@pytest.mark.parametrize("ticks", [0, -900])
async def test_timestamps_that_stand_still_or_go_back_end_nothing(ticks: int) -> None:
    fake = FakeCamera()
    fake.tracks[0].ticks = ticks
    pulled = await plays(fake)
    ends = [batch.timestamp for batch in pulled.of("video") if batch.unit_end]
    assert len(set(ends)) == len(ends)


@pytest.mark.parametrize("ticks", [80, 7_200])
async def test_sound_that_is_counted_by_another_clock_plays_at_its_true_speed(
    ticks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "MEASURE_NS", 400_000_000)
    fake = FakeCamera([h264_track(), opus_track()], interval=0.08)
    fake.tracks[1].ticks = ticks
    async with fake, Pulled(fake.url) as pulled:
        await pulled.until(
            lambda: [b.timestamp - a.timestamp for a, b in pairwise(pulled.of("audio")[-4:])] == [3_840] * 3
        )


async def test_sender_reports_without_a_clock_are_counted() -> None:
    fake = FakeCamera([h264_track(), opus_track()], reports=True, interval=0.02)

    def wrap(frame: bytes) -> bytes:
        if frame[1] % 2:  # RTCP: the time is zero
            return frame[:12] + bytes(8) + frame[20:]
        return frame

    fake.wrap = wrap
    pulled = await plays(fake)
    assert pulled.camera.counters["timestamps_repaired"] > 3
    late = [batch.arrival_ns - batch.capture_ns for batch in pulled.batches]
    assert min(late) >= 0
    assert max(late) < 2 * 10**9
