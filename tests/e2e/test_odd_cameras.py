"""Cameras that get H.264 over RTP wrong, watched in Chromium: what ingest makes of them is what a browser can show."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from rigs.camera import FakeCamera, h264_track, opus_track
from rigs.chromium import Chromium, Stats, Viewing
from rigs.codecs import pictures
from rigs.video import encode, kind, nal_units
from rigs.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(240)]

PATIENCE = 60.0  # seconds
PICTURES = 60  # that are watched at once: two keyframes and more
WAITING = 5  # pictures that a browser may hold between the network and its decoder
UNITS = encode(50, gop=25)
SPROP = ",".join(base64.b64encode(nal).decode() for nal in UNITS[0][:2])


def plain() -> FakeCamera:
    return FakeCamera([h264_track(UNITS), opus_track()])


def no_markers() -> FakeCamera:
    fake = plain()
    for unit in fake.tracks[0].units:
        unit[:] = [replace(packet, marker=False) for packet in unit]
    return fake


def markers_on_every_slice() -> FakeCamera:
    fake = FakeCamera([h264_track(encode(50, gop=25, options="slices=4"), size=60_000)])
    for unit in fake.tracks[0].units:
        unit[:] = [replace(packet, marker=True) for packet in unit]
    return fake


def start_codes() -> FakeCamera:
    return FakeCamera([h264_track([[b"\0\0\0\1".join(unit)] for unit in UNITS])])


def sets_in_the_description() -> FakeCamera:
    slices = [[nal for nal in unit if kind(nal) in (1, 5)] for unit in UNITS]
    return FakeCamera([h264_track(slices, fmtp=f";sprop-parameter-sets={SPROP}")])


def timestamps_stand_still() -> FakeCamera:
    fake = plain()
    fake.tracks[0].ticks = 0
    return fake


def high_profile_with_delimiters_and_filler() -> FakeCamera:
    units = encode(50, gop=25, profile="high", options="8x8dct=1:cabac=1")
    return FakeCamera([h264_track([[b"\x09\xf0", *unit, b"\x0c" + b"\xff" * 2_000 + b"\x80"] for unit in units])])


ODD = (
    plain,
    no_markers,
    markers_on_every_slice,
    start_codes,
    sets_in_the_description,
    timestamps_stand_still,
    high_profile_with_delimiters_and_filler,
)


async def decodes_all(viewing: Viewing) -> Stats:
    """Watch until all that came in a while was decoded, but for what waits for its turn.

    A browser that gets no time leaves pictures out, and its counters stay apart for ever; then it is watched again.
    """
    async with asyncio.timeout(PATIENCE):
        while True:
            before = await viewing.stats()
            await viewing.shows(PICTURES)
            stats = await viewing.stats()
            received = stats.frames_received - before.frames_received
            if received - (stats.frames_decoded - before.frames_decoded) <= WAITING:
                return stats


async def test_odd_cameras_are_shown(shared_cluster: Callable[..., Any], chromium: Chromium) -> None:
    async with AsyncExitStack() as stack:
        cameras = {}
        for make in ODD:
            fake = make()
            fake.interval = 0.04
            cameras[make.__name__] = (await stack.enter_async_context(fake)).url
        running = await shared_cluster(cameras)
        for name in cameras:
            viewing = await chromium.whep(running.whep(name))
            await viewing.shows(1)
            at_first = await viewing.stats()
            stats = await decodes_all(viewing)
            assert (stats.width, stats.height) == (320, 240), name
            assert stats.plis == at_first.plis, f"{name}: a picture could not be decoded, so a keyframe was asked for"
            assert stats.keyframes_decoded >= 2, name
            await viewing.close()


async def test_a_camera_that_begins_to_send_b_frames_is_converted_in_the_same_session(
    shared_cluster: Callable[..., Any], chromium: Chromium
) -> None:
    reordered = pictures("libx264", 50, options="preset=veryfast bf=2 b_strategy=0 sc_threshold=0 g=25")
    async with FakeCamera([h264_track(UNITS)], interval=0.04) as fake:
        running = await shared_cluster({"odd": fake.url})
        viewing = await chromium.whep(running.whep("odd"))
        await viewing.shows(PICTURES)
        fake.tracks[0].units = h264_track([nal_units(picture.data) for picture in reordered]).units
        await until(lambda: "conversion begins" in running.log, PATIENCE)
        await viewing.shows(PICTURES, seconds=PATIENCE)
        assert len(await viewing.all_stats()) == 1
        assert "viewer left" not in running.log


async def test_resolution_changes(shared_cluster: Callable[..., Any], chromium: Chromium) -> None:
    units = [*UNITS, *encode(50, gop=25, width=640, height=480)]
    async with FakeCamera([h264_track(units)], interval=0.04) as fake:
        running = await shared_cluster({"odd": fake.url})
        viewing = await chromium.whep(running.whep("odd"))
        await viewing.shows(150)
        sizes = {(frame.width, frame.height) for frame in await viewing.frames()}
        assert sizes == {(320, 240), (640, 480)}
        assert (await viewing.stats()).freeze_seconds < 2  # CI may be busy with other browsers
